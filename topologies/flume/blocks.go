package flume

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// The block dialect is the form in which articles print Flume's configuration:
//
//	agent.sources {
//	  source1.type = exec
//	  source1.command = tail -F /var/log/app.log
//	  source1.channels = channel1
//	}
//	agent.sinks(sink1).channels(channel1)
//
// A block's lines are properties with the block's name before them, and the
// components of a block need no list of their own. Blocks may stand in blocks.
type blocks struct {
	open   []block
	inline bool // the rest of this line is inside a block that began in it
	depth  int  // of braces inside an inline value
	wires  []wire
	own    map[string]bool // keys of properties from blocks
	known  map[string]bool // components, as prefixes of keys
	at     map[string]int  // by such a prefix: the property with the channels
}

type block struct {
	prefix string
	pos    topologies.Pos
}

// wire is a line agent.sources(a).channels(b).
type wire struct {
	agent, list string
	parts       []text
	channels    []text
	pos         topologies.Pos
	end         int
}

// blockDepthMax bounds how deep blocks stand in blocks.
const blockDepthMax = 8

var (
	listWords = `(?:sources|sinks|channels|sinkgroups|configfilters)`
	// opening is what begins a block. A value may begin with a brace too, so
	// with an equals sign the name must be that of a list, and nothing follow.
	opening    = regexp.MustCompile(`^([^\s={}()#!:]+)[ \t]*(?:([=:])[ \t]*)?\{[ \t]*`)
	openingEOL = regexp.MustCompile(`^[ \t\f]*(?:[^\s={}()#!:]+|[^\s={}()#!:.]+\.` + listWords + `[ \t]*[=:])[ \t]*\{[ \t]*(?:[#!].*|//.*)?$`)
	openingOne = regexp.MustCompile(`^[ \t\f]*[^\s={}()#!:.]+\.` + listWords + `[ \t]*\{`)
	wiring     = regexp.MustCompile(`^([^\s.(){}=:]+)\.(sources|sinks)[ \t]*\(([^()]*)\)[ \t]*\.[ \t]*channels?[ \t]*\(([^()]*)\)[ \t]*;?[ \t]*(?:[#!].*|//.*)?$`)
	wiringLike = regexp.MustCompile(`^[^\s.(){}=:]+\.[a-zA-Z]+[ \t]*\([^=]*\)`)
)

// isBlocks says whether data is written in the block dialect.
func isBlocks(data []byte) bool {
	continued := false
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if !continued && (openingEOL.Match(line) || openingOne.Match(line)) {
			return true
		}
		comment := bytes.TrimLeft(line, " \t\f")
		isComment := len(comment) > 0 && (comment[0] == '#' || comment[0] == '!')
		continued = !isComment && (len(line)-len(bytes.TrimRight(line, `\`)))%2 == 1
	}
	return false
}

// statement takes what only blocks have, at the beginning of a line or inside
// an inline block. It is false for a property.
func (b *blocks) statement(l *lexer) bool {
	rest := restOfLine(l)
	switch c := l.data[l.i]; {
	case c == '}':
		b.end(l)
	case c == ';':
		l.i++
	case c == '/' && strings.HasPrefix(rest, "//"):
		l.comment(2)
	case wiring.MatchString(rest):
		b.wire(l, rest)
	case wiringLike.MatchString(rest):
		l.fault("SL0137", topologies.Error, l.here(), l.i-l.start+1+len(rest), "this line is not understood",
			"wire components as agent.sources(source1).channels(channel1)", "")
		l.i += len(rest)
		l.newline()
	default:
		return b.begin(l, rest)
	}
	return true
}

func restOfLine(l *lexer) string {
	end := bytes.IndexAny(l.data[l.i:], "\r\n")
	if end < 0 {
		return string(l.data[l.i:])
	}
	return string(l.data[l.i : l.i+end])
}

// begin opens a block when rest begins one.
func (b *blocks) begin(l *lexer, rest string) bool {
	m := opening.FindStringSubmatch(rest)
	if m == nil {
		return false
	}
	after := strings.TrimRight(rest[len(m[0]):], " \t;")
	comment := after == "" || strings.HasPrefix(after, "#") || strings.HasPrefix(after, "!") || strings.HasPrefix(after, "//")
	prefix := b.prefix() + m[1]
	words := strings.SplitN(prefix, ".", 3)
	ofList := len(words) > 1 && isList(words[1])
	if !comment && (m[2] != "" || !ofList) || m[2] != "" && (!ofList || len(words) > 2) {
		return false
	}
	at := l.here()
	if len(words) > 1 && !ofList {
		l.fault("SL0137", topologies.Error, at, at.Column+len(m[1]), fmt.Sprintf("there are no %s in an agent", words[1]),
			didYouMean(words[1], listNames), "")
	}
	if len(b.open) == blockDepthMax {
		l.fault("SL0137", topologies.Error, at, 0, fmt.Sprintf("blocks stand more than %d deep in blocks", blockDepthMax), "", "")
	}
	b.open = append(b.open[:min(len(b.open), blockDepthMax)], block{prefix + ".", at})
	l.pending = nil
	if comment {
		l.i += len(rest)
		l.newline()
		return true
	}
	l.i += len(m[0])
	b.inline = true
	return true
}

// end closes a block.
func (b *blocks) end(l *lexer) {
	if len(b.open) == 0 {
		l.fault("SL0137", topologies.Error, l.here(), 0, "this brace closes nothing", "", "")
	} else {
		b.open = b.open[:len(b.open)-1]
	}
	l.i++
	b.inline = len(b.open) > 0 && b.inline
	l.pending = nil
}

func (b *blocks) prefix() string {
	if len(b.open) == 0 {
		return ""
	}
	return b.open[len(b.open)-1].prefix
}

// ends says whether c ends a value of an inline block.
func (b *blocks) ends(c byte) bool {
	if !b.inline {
		return false
	}
	switch c {
	case '{':
		b.depth++
	case '}':
		if b.depth--; b.depth < 0 {
			b.depth = 0
			return true
		}
	case ';':
		return b.depth == 0
	}
	return false
}

// property gives p the name of the block around it.
func (b *blocks) property(p property) property {
	if v := strings.TrimRight(p.value.s, " \t"); strings.HasSuffix(v, ";") {
		p.value = p.value.cut(0, len(v)-1)
	}
	if prefix := b.prefix(); prefix != "" {
		if !strings.HasPrefix(p.key.s, prefix) {
			p.key.s, p.key.lead = prefix+p.key.s, len(prefix)
		}
		b.own[p.key.s] = true
	}
	return p
}

// wire notes a line agent.sources(a, b).channels(c).
func (b *blocks) wire(l *lexer, rest string) {
	m := wiring.FindStringSubmatchIndex(rest)
	at := l.here()
	names := func(group int) []text {
		t := text{s: rest[m[2*group]:m[2*group+1]], file: l.file, runs: []run{{0, at.Line, at.Column + m[2*group]}}}
		return t.words(", \t")
	}
	b.wires = append(b.wires, wire{rest[m[2]:m[3]], rest[m[4]:m[5]], names(3), names(4), at, at.Column + m[9] + 1})
	l.i += len(rest)
	l.newline()
	l.pending = nil
}

// close completes what the blocks left open: lists, wires, sinks' channels.
func (b *blocks) close(l *lexer) {
	for _, o := range b.open {
		l.fault("SL0137", topologies.Error, o.pos, 0, "the block that begins here has no closing brace", "", "")
	}
	b.lists(l)
	b.index(l)
	for _, w := range b.wires {
		b.apply(l, w)
	}
	b.sinkChannels(l)
}

// lists adds a list of components for each block that has none.
func (b *blocks) lists(l *lexer) {
	given := map[string]bool{}
	for _, p := range l.out {
		given[p.key.s] = true
	}
	var order []string
	names, seen := map[string]*property{}, map[string]bool{}
	for _, p := range l.out {
		words := strings.SplitN(p.key.s, ".", 4)
		if !b.own[p.key.s] || len(words) < 4 || !isList(words[1]) {
			continue
		}
		key := words[0] + "." + words[1]
		list := names[key]
		if list == nil {
			list = &property{key: text{s: key, file: l.file, lead: len(key)}, value: text{file: l.file}}
			names[key] = list
			order = append(order, key)
		}
		if seen[key+"."+words[2]] {
			continue
		}
		seen[key+"."+words[2]] = true
		from := len(key) + 1
		at := p.key.pos(from)
		if list.value.s != "" {
			list.value.s += " "
		} else {
			list.key.runs = []run{{0, at.Line, at.Column}}
		}
		list.value.runs = append(list.value.runs, run{len(list.value.s), at.Line, at.Column})
		list.value.s += words[2]
	}
	for _, key := range order {
		if !given[key] {
			l.out = append(l.out, *names[key])
		}
	}
}

// index notes which components there are, and where their channels stand.
func (b *blocks) index(l *lexer) {
	b.known, b.at = map[string]bool{}, map[string]int{}
	for i, p := range l.out {
		words := strings.SplitN(p.key.s, ".", 4)
		if len(words) < 4 {
			continue
		}
		prefix := strings.TrimSuffix(p.key.s, words[3])
		b.known[prefix] = true
		if words[3] == "channels" || words[3] == "channel" {
			b.at[prefix] = i
		}
	}
}

// apply adds what a wiring line says to the components it names.
func (b *blocks) apply(l *lexer, w wire) {
	if len(w.parts) == 0 || len(w.channels) == 0 {
		l.fault("SL0137", topologies.Error, w.pos, w.end, "the wiring names no component or no channel", "", "")
		return
	}
	for _, part := range w.parts {
		prefix := w.agent + "." + w.list + "." + part.s + "."
		if !b.known[prefix] {
			l.fault("SL0137", topologies.Error, part.pos(0), part.end(0, len(part.s)),
				fmt.Sprintf("the wiring names %s, which no block of %s.%s has", part.s, w.agent, w.list), "", "")
			continue
		}
		b.connect(l, prefix, part, w)
	}
}

// connect gives the component whose keys begin with prefix the wire's channels,
// beside those it has.
func (b *blocks) connect(l *lexer, prefix string, part text, w wire) {
	i, ok := b.at[prefix]
	if !ok {
		key := text{s: prefix + map[string]string{"sources": "channels", "sinks": "channel"}[w.list], file: l.file, runs: part.runs, lead: len(prefix)}
		l.out = append(l.out, property{key: key, value: text{file: l.file}})
		i = len(l.out) - 1
		b.at[prefix] = i
	}
	value := &l.out[i].value
	for _, c := range w.channels {
		if slices.Contains(strings.Fields(value.s), c.s) {
			continue
		}
		if value.s != "" {
			value.s += " "
		}
		value.runs = append(value.runs, run{len(value.s), c.pos(0).Line, c.pos(0).Column})
		value.s += c.s
	}
}

// sinkChannels takes a sink's "channels" for its "channel".
func (b *blocks) sinkChannels(l *lexer) {
	for i := range l.out {
		p := &l.out[i]
		words := strings.Split(p.key.s, ".")
		if len(words) != 4 || words[1] != "sinks" || words[3] != "channels" && words[3] != "channel" {
			continue
		}
		p.key.s = strings.TrimSuffix(p.key.s, "s")
		from := strings.LastIndexByte(p.key.s, '.') + 1
		if n := len(strings.Fields(p.value.s)); n > 1 {
			l.fault("SL0137", topologies.Error, p.value.pos(0), p.value.end(0, len(p.value.s)),
				fmt.Sprintf("sink %q names %d channels, and a sink drains one", words[2], n), "add a sink for each channel", "")
			continue
		}
		if words[3] == "channel" {
			continue
		}
		l.fault("SL0138", topologies.Note, p.key.pos(from), 0,
			fmt.Sprintf(`sink %q says "channels"; it is taken for "channel"`, words[2]), `write "channel"`, "not read a configuration in blocks at all")
	}
}

// listNames are the words that a key may have after the agent.
var listNames = []string{"sources", "sinks", "channels", "sinkgroups", "configfilters"}

func isList(word string) bool { return slices.Contains(listNames, word) }

// didYouMean is a hint with the nearest of names, or none.
func didYouMean(word string, names []string) string {
	if near, ok := topologies.Nearest(word, names); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
