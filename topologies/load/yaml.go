package load

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// yamlReader reads topologies in YAML.
type yamlReader struct {
	o      Options
	t      *topologies.Topology
	faults []topologies.Fault
	agent  string // the one being read
	file   string
	lines  []string
	values int // of valuesMax
	compat bool
}

func readYAML(files []flume.File, o Options) (*topologies.Topology, []topologies.Fault) {
	r := &yamlReader{o: o, t: &topologies.Topology{Name: baseName(files[0].Name)}}
	for _, f := range files {
		r.document(f)
	}
	for i := range r.t.Agents {
		r.t.Agents[i].Compat = r.compat || o.Compat
	}
	r.wanted(files[0].Name)
	for _, f := range topologies.Validate(r.t) {
		if f.Code == "SL0104" {
			f.Severity = topologies.Error // a word that is not known is refused
		}
		r.faults = append(r.faults, f)
	}
	for i := range r.faults {
		r.faults[i].Flume = "" // which does not read this form
	}
	for i := range r.t.Agents {
		a := &r.t.Agents[i]
		for _, components := range []*[]topologies.Component{&a.Sources, &a.Channels, &a.Sinks} {
			*components = slices.DeleteFunc(*components, func(c topologies.Component) bool { return c.Kind == nil })
		}
	}
	topologies.SortFaults(r.faults)
	return r.t, r.faults
}

// wanted checks that the agent that is to run is there.
func (r *yamlReader) wanted(file string) {
	if r.o.Agent == "" {
		return
	}
	var names []string
	for _, a := range r.t.Agents {
		names = append(names, a.Name)
	}
	if slices.Contains(names, r.o.Agent) {
		return
	}
	f := topologies.Fault{Code: "SL0101", Severity: topologies.Error, Pos: topologies.Pos{File: file},
		Message: fmt.Sprintf("no agent named %q in %s; it has: %s", r.o.Agent, file, strings.Join(names, ", "))}
	if near, ok := topologies.Nearest(r.o.Agent, names); ok {
		f.Hint = "try -n " + near
	} else if len(names) > 0 {
		f.Hint = "try -n " + names[0]
	}
	r.faults = append(r.faults, f)
}

// fault notes what is wrong at a node.
func (r *yamlReader) fault(code string, n *yaml.Node, format string, args ...any) *topologies.Fault {
	f := topologies.Fault{Code: code, Severity: topologies.Error, Agent: r.agent, Pos: topologies.Pos{File: r.file}, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		f.Pos = r.pos(n)
		if n.Kind == yaml.ScalarNode && f.Pos.Column > 0 && !strings.Contains(n.Value, "\n") {
			f.End = f.Pos.Column + len(n.Value)
		}
	}
	r.faults = append(r.faults, f)
	return &r.faults[len(r.faults)-1]
}

// pos is where the text of a node begins.
func (r *yamlReader) pos(n *yaml.Node) topologies.Pos {
	column := r.bytes(n.Line, n.Column)
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && n.Line <= len(r.lines) &&
		column > 0 && column <= len(r.lines[n.Line-1]) && strings.ContainsRune(`"'`, rune(r.lines[n.Line-1][column-1])) {
		column++
	}
	return topologies.Pos{File: r.file, Line: n.Line, Column: column}
}

// bytes turns a column in runes into one in bytes.
func (r *yamlReader) bytes(line, column int) int {
	if line < 1 || line > len(r.lines) || column < 1 {
		return column
	}
	at := 0
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(r.lines[line-1][at:])
		at += size
	}
	return at + 1
}

// document reads one file.
func (r *yamlReader) document(f flume.File) {
	r.file, r.agent = f.Name, ""
	r.lines = strings.Split(string(f.Data), "\n")
	root, bad := parseYAML(f.Data)
	if bad != nil {
		r.faults = append(r.faults, topologies.Fault{Code: bad.code, Severity: topologies.Error, Message: bad.why,
			Pos: topologies.Pos{File: f.Name, Line: bad.line, Column: r.bytes(bad.line, bad.column)}})
		return
	}
	version := false
	r.fields(root, 1, "the file", func(key, value *yaml.Node) {
		switch key.Value {
		case "version":
			version = true
			if value.Value != "1" {
				r.fault("SL0150", value, "version %q is not known", value.Value).Hint = "this sluice reads version 1"
			}
		case "name":
			if r.name(value, "the topology") {
				r.t.Name = value.Value
			}
		case "compat":
			if r.compat = value.Value == "flume"; !r.compat {
				r.fault("SL0150", value, "compat %q is not known", value.Value).Hint = "write compat: flume to get Flume's defects too, or remove the line"
			}
		case "agents":
			r.agents(value)
		case "topics":
			r.topics(value)
		default:
			r.unknown(key, "the file", "version", "name", "compat", "agents", "topics")
		}
	})
	if root.Kind == yaml.MappingNode && !version {
		r.fault("SL0150", root, "the file does not say which version it is of").Hint = "begin it with version: 1"
	}
}

func (r *yamlReader) unknown(key *yaml.Node, where string, known ...string) {
	f := r.fault("SL0150", key, "%q is not known in %s", key.Value, where)
	if near, ok := topologies.Nearest(key.Value, known); ok {
		f.Hint = fmt.Sprintf("did you mean %q?", near)
	} else {
		f.Hint = "known are: " + strings.Join(known, ", ")
	}
}

// fields calls each for the pairs of a mapping. Whatever is no mapping, and
// keys that stand twice, are faults.
func (r *yamlReader) fields(n *yaml.Node, depth int, what string, each func(key, value *yaml.Node)) {
	n = r.target(n)
	if n.Kind != yaml.MappingNode || depth > depthMax {
		r.fault("SL0150", n, "%s should be names and what belongs to them (name: …)", what)
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.values++; r.values > valuesMax {
			if r.values == valuesMax+1 {
				r.fault("SL0152", n, "the files hold more than %d values, aliases included", valuesMax)
			}
			return
		}
		key, value := n.Content[i], r.target(n.Content[i+1])
		if key.Kind != yaml.ScalarNode || key.Value == "<<" {
			r.fault("SL0150", key, "a name in %s has to be a plain text", what).Hint = "merging (<<) is not understood; write the lines out"
			continue
		}
		if first := seen[key.Value]; first != nil {
			f := r.fault("SL0105", key, "%q stands twice in %s", key.Value, what)
			f.Related = []topologies.Related{{Pos: r.pos(first), Text: "first here"}}
			continue
		}
		seen[key.Value] = key
		each(key, value)
	}
}

// target is what an alias stands for.
func (r *yamlReader) target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// name says whether a node is a name that a component can have.
func (r *yamlReader) name(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Value == "" || strings.ContainsAny(n.Value, ". \t\r\n/") || !utf8.ValidString(n.Value) || len(n.Value) > 200 {
		r.fault("SL0150", n, "%q cannot be the name of %s", n.Value, what).Hint = "use letters, digits, - and _"
		return false
	}
	return true
}

func (r *yamlReader) agents(n *yaml.Node) {
	r.fields(n, 2, "agents", func(key, value *yaml.Node) {
		if !r.name(key, "an agent") {
			return
		}
		r.agent = key.Value
		a, ok := r.t.Agent(key.Value)
		if !ok {
			r.t.Agents = append(r.t.Agents, topologies.Agent{Name: key.Value, Pos: r.pos(key)})
			a = &r.t.Agents[len(r.t.Agents)-1]
		}
		r.parts(a, value)
		r.agent = ""
	})
}

func (r *yamlReader) parts(a *topologies.Agent, n *yaml.Node) {
	r.fields(n, 3, fmt.Sprintf("agent %q", a.Name), func(key, value *yaml.Node) {
		switch key.Value {
		case "sources":
			a.Sources = r.components(a.Sources, kinds.Source, "source", value)
		case "channels":
			a.Channels = r.components(a.Channels, kinds.Channel, "channel", value)
		case "sinks":
			a.Sinks = r.components(a.Sinks, kinds.Sink, "sink", value)
		case "sinkgroups":
			r.groups(a, value)
		default:
			r.unknown(key, fmt.Sprintf("agent %q", a.Name), "sources", "channels", "sinks", "sinkgroups")
		}
	})
}

// components adds those of n to have.
func (r *yamlReader) components(have []topologies.Component, category kinds.Category, word string, n *yaml.Node) []topologies.Component {
	r.fields(n, 4, word+"s", func(key, value *yaml.Node) {
		if !r.name(key, "a "+word) {
			return
		}
		for _, c := range have {
			if c.Name == key.Value {
				r.fault("SL0155", key, "%s %q is defined in another file too", word, key.Value).
					Related = []topologies.Related{{Pos: c.Pos, Text: "first here"}}
				return
			}
		}
		have = append(have, r.component(category, word, key, value))
	})
	return have
}

func (r *yamlReader) component(category kinds.Category, word string, key, n *yaml.Node) topologies.Component {
	who := fmt.Sprintf("%s %q", word, key.Value)
	c := topologies.Component{Name: key.Value, Pos: r.pos(key)}
	typ := ""
	values := r.properties(who, n, func(values map[string]topologies.Value) *kinds.Kind {
		typ = strings.TrimSpace(values["type"].Text)
		c.Kind, _ = kinds.Lookup(category, typ)
		return c.Kind
	})
	switch {
	case typ == "":
		r.fault("SL0111", key, "%s has no type", who).Hint = "add type: …"
	case c.Kind == nil:
		r.unknownType(category, who, values["type"])
	}
	c.Settings = topologies.NewSettings(c.Kind, fmt.Sprintf("%s %s.%s", word, r.agent, c.Name), values)
	switch category {
	case kinds.Source:
		c.Channels = strings.Fields(values["channels"].Text)
	case kinds.Sink:
		c.Channels = strings.Fields(values["channel"].Text)
	}
	return c
}

func (r *yamlReader) unknownType(category kinds.Category, who string, typ topologies.Value) {
	var words, known []string
	for _, k := range kinds.All(category) {
		words = append(append(words, k.Name, k.Class), k.Aliases...)
		if k.Support != kinds.Missing {
			known = append(known, k.Name)
		}
	}
	f := topologies.Fault{Code: "SL0125", Severity: topologies.Error, Agent: r.agent, Pos: typ.Pos,
		Message: fmt.Sprintf("%s: there is no %s %q", who, category, typ.Shown()), Hint: "one of: " + strings.Join(known, " ")}
	if near, ok := topologies.Nearest(typ.Text, words); ok {
		f.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	if typ.Pos.Column > 0 {
		f.End = typ.Pos.Column + len(typ.Text)
	}
	r.faults = append(r.faults, f)
}

func (r *yamlReader) groups(a *topologies.Agent, n *yaml.Node) {
	r.fields(n, 4, "sinkgroups", func(key, value *yaml.Node) {
		if !r.name(key, "a sink group") {
			return
		}
		for _, g := range a.Groups {
			if g.Name == key.Value {
				r.fault("SL0155", key, "sink group %q is defined in another file too", key.Value)
				return
			}
		}
		g := topologies.Group{Name: key.Value, Pos: r.pos(key)}
		values := r.properties(fmt.Sprintf("sink group %q", key.Value), value, func(values map[string]topologies.Value) *kinds.Kind {
			g.Processor, _ = kinds.Lookup(kinds.Processor, values["processor.type"].Text)
			return nil
		})
		g.Sinks = strings.Fields(values["sinks"].Text)
		g.Settings = topologies.NewSettings(nil, fmt.Sprintf("sink group %s.%s", r.agent, g.Name), values)
		a.Groups = append(a.Groups, g)
	})
}
