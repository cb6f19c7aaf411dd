package flume

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluicehq/sluice/topologies"
)

// Bounds of what is read.
const (
	fileBytesMax = 8 << 20 // of all files together
	keysMax      = 100_000 // of all files together
)

// Property is one property as it stands in a file, without its escapes.
type Property struct {
	Key, Value string
	Pos        topologies.Pos // of the key
	Comments   []string       // the comment lines directly above, without their marks
}

// property is a Property that knows the place of every byte.
type property struct {
	key, value text
	comments   []string
}

// lexer reads one file by the rules of java.util.Properties.
type lexer struct {
	file    string
	data    []byte
	latin1  bool
	i       int // the next byte
	line    int
	start   int // where the line begins
	out     []property
	pending []string // comment lines that the next property may own
	faults  []topologies.Fault
	full    bool // keysMax is reached
	blocks  *blocks
	left    int // keys that may still come
}

// parse reads data as properties; with blocks not nil also the block dialect.
func parse(file string, data []byte, b *blocks, left int) *lexer {
	l := &lexer{file: file, data: data, line: 1, blocks: b, left: left}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		l.i, l.start = 3, 3
		l.fault("SL0135", topologies.Note, l.here(), 0, "the file begins with a byte order mark, which is skipped",
			"save the file as UTF-8 without a mark", "take the mark for a part of the first key and lose that line")
	}
	l.latin1 = !utf8.Valid(data)
	if l.latin1 {
		l.fault("SL0134", topologies.Note, l.firstBad(), 0, "the file is not UTF-8 and is read as ISO-8859-1",
			"save the file as UTF-8", "")
	}
	for !l.full && l.lineOfFile() {
	}
	if b != nil {
		b.close(l)
	}
	return l
}

// fault notes what is wrong at a place of the file.
func (l *lexer) fault(code string, s topologies.Severity, at topologies.Pos, end int, message, hint, flume string) {
	l.faults = append(l.faults, topologies.Fault{Code: code, Severity: s, Pos: at, End: end,
		Message: message, Hint: hint, Flume: flume})
}

// firstBad is the place of the first byte that is not UTF-8.
func (l *lexer) firstBad() topologies.Pos {
	line, start := 1, 0
	for i := 0; i < len(l.data); {
		r, n := utf8.DecodeRune(l.data[i:])
		if r == utf8.RuneError && n == 1 {
			return topologies.Pos{File: l.file, Line: line, Column: i - start + 1}
		}
		if i += n; r == '\n' {
			line, start = line+1, i
		}
	}
	return topologies.Pos{File: l.file}
}

func (l *lexer) here() topologies.Pos {
	return topologies.Pos{File: l.file, Line: l.line, Column: l.i - l.start + 1}
}

// lineOfFile reads one logical line: nothing, a comment or a property. It is
// false at the end of the file.
func (l *lexer) lineOfFile() bool {
	l.blanks()
	switch {
	case l.i >= len(l.data):
		return false
	case isEOL(l.data[l.i]):
		l.newline()
		l.pending = nil
	case l.data[l.i] == '#' || l.data[l.i] == '!':
		l.comment(1)
	case l.blocks != nil && l.blocks.statement(l):
	default:
		l.property()
	}
	return true
}

// comment takes the rest of the natural line; a backslash at its end does not
// continue it.
func (l *lexer) comment(mark int) {
	from := l.i + mark
	for l.i < len(l.data) && !isEOL(l.data[l.i]) {
		l.i++
	}
	l.pending = append(l.pending, strings.TrimRight(l.decode(l.data[min(from, l.i):l.i]), " \t"))
	l.newline()
}

// property reads a key and its value.
func (l *lexer) property() {
	if l.left--; l.left < 0 {
		l.full = true
		l.fault("SL0102", topologies.Error, l.here(), 0, fmt.Sprintf("the configuration has more than %d properties", keysMax), "", "")
		return
	}
	p := property{comments: l.pending}
	l.pending = nil
	p.key = l.piece(true)
	if p.key.s == "" && (l.i >= len(l.data) || isEOL(l.data[l.i])) {
		l.newline() // nothing but continued lines
		return
	}
	l.between()
	p.value = l.piece(false)
	l.newline()
	if l.blocks != nil {
		p = l.blocks.property(p)
	}
	l.out = append(l.out, p)
}

// between skips what stands between key and value: blanks, at most one = or :,
// blanks.
func (l *lexer) between() {
	seen := false
	for {
		l.join()
		if l.i >= len(l.data) {
			return
		}
		switch c := l.data[l.i]; {
		case isBlank(c):
		case !seen && (c == '=' || c == ':'):
			seen = true
		default:
			return
		}
		l.i++
	}
}

// piece reads a key, which ends at an unescaped blank, = or :, or a value, which
// ends with the logical line.
func (l *lexer) piece(key bool) text {
	t := text{file: l.file}
	var b strings.Builder
	for {
		l.join()
		if l.i >= len(l.data) || isEOL(l.data[l.i]) {
			break
		}
		c, column := l.data[l.i], l.i-l.start+1
		if key && (isBlank(c) || c == '=' || c == ':') || l.blocks != nil && !key && l.blocks.ends(c) {
			break
		}
		line := l.line
		if c != '\\' {
			t.add(&b, l.char(), line, column)
			continue
		}
		l.i++
		t.add(&b, l.escape(line, column), line, column)
	}
	if len(t.runs) == 0 {
		t.runs = []run{{0, l.line, l.i - l.start + 1}}
	}
	t.s = b.String()
	return t
}

// char takes one character.
func (l *lexer) char() string {
	n := 1
	if !l.latin1 {
		_, n = utf8.DecodeRune(l.data[l.i:])
	}
	l.i += n
	return l.decode(l.data[l.i-n : l.i])
}

// decode is raw as UTF-8.
func (l *lexer) decode(raw []byte) string {
	if !l.latin1 {
		return string(raw)
	}
	out := make([]rune, len(raw))
	for i, c := range raw {
		out[i] = rune(c)
	}
	return string(out)
}

// escape takes what follows a backslash at line:column.
func (l *lexer) escape(line, column int) string {
	if l.i >= len(l.data) {
		return "" // Java drops a backslash at the end of the file
	}
	switch c := l.data[l.i]; c {
	case 't', 'n', 'r', 'f':
		l.i++
		return string("\t\n\r\f"[strings.IndexByte("tnrf", c)])
	case 'u':
		l.i++
		return l.unicode(line, column)
	}
	return l.char()
}

// unicode takes the digits after \u, of two escapes where they are a pair.
func (l *lexer) unicode(line, column int) string {
	high, ok := l.hex()
	if !ok {
		l.fault("SL0103", topologies.Error, topologies.Pos{File: l.file, Line: line, Column: column}, column+2,
			`\u needs four hexadecimal digits`, `write \\u for a backslash and the letter u`, "refuse the whole file")
		return ""
	}
	if !utf16.IsSurrogate(high) {
		return string(high)
	}
	i, lineWas, start := l.i, l.line, l.start
	if bytes.HasPrefix(l.data[l.i:], []byte(`\u`)) {
		l.i += 2
		if low, ok := l.hex(); ok && utf16.DecodeRune(high, low) != utf8.RuneError {
			return string(utf16.DecodeRune(high, low))
		}
	}
	l.i, l.line, l.start = i, lineWas, start
	return string(utf8.RuneError)
}

func (l *lexer) hex() (rune, bool) {
	var r rune
	for range 4 {
		l.join()
		if l.i >= len(l.data) {
			return 0, false
		}
		digit := strings.IndexByte("0123456789abcdef", l.data[l.i]|0x20)
		if digit < 0 || l.data[l.i] < '0' {
			return 0, false
		}
		r = r<<4 | rune(digit)
		l.i++
	}
	return r, true
}

// join goes on in the next natural line while a backslash ends this one.
func (l *lexer) join() {
	for l.i < len(l.data) && l.data[l.i] == '\\' {
		if l.i+1 < len(l.data) && !isEOL(l.data[l.i+1]) {
			return
		}
		l.i++
		l.newline()
		l.blanks()
	}
}

// newline steps over one line end, if there is one.
func (l *lexer) newline() {
	if l.i >= len(l.data) || !isEOL(l.data[l.i]) {
		return
	}
	if l.data[l.i] == '\r' && l.i+1 < len(l.data) && l.data[l.i+1] == '\n' {
		l.i++
	}
	l.i++
	l.line++
	l.start = l.i
	if l.blocks != nil {
		l.blocks.inline, l.blocks.depth = false, 0
	}
}

func (l *lexer) blanks() {
	for l.i < len(l.data) && isBlank(l.data[l.i]) {
		l.i++
	}
}

func isEOL(c byte) bool   { return c == '\n' || c == '\r' }
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }
