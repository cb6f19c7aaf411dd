package topologies

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// Forms are the forms that Draw knows.
func Forms() []string { return []string{"ascii", "mermaid", "dot", "svg"} }

// Draw writes a picture of t: sources on the left, channels, sinks on the right.
func Draw(w io.Writer, t *Topology, form string) error {
	var draw func(*strings.Builder, *Topology)
	switch form {
	case "ascii":
		draw = drawASCII
	case "mermaid":
		draw = drawMermaid
	case "dot":
		draw = drawDot
	case "svg":
		draw = drawSVG
	default:
		return fmt.Errorf("draw a topology as %q: there are %s", form, strings.Join(Forms(), ", "))
	}
	var b strings.Builder
	draw(&b, t)
	_, err := io.WriteString(w, b.String())
	return err
}

// node is a component in a picture.
type node struct {
	id       string // unique in the picture: "n3"
	name     string
	kind     string
	category kinds.Category
	notes    []string // interceptors, a selector, a channel's capacity
	to       []edge
}

type edge struct {
	to    *node
	label string // what chooses it: "berlin", "default", "optional"
}

// frame is a sink group in a picture.
type frame struct {
	title string
	nodes []*node
}

// picture is an agent as nodes.
type picture struct {
	agent                    string
	sources, channels, sinks []*node
	frames                   []frame
}

// pictures are the agents of t, with ids that are unique among all of them.
func pictures(t *Topology) []picture {
	var out []picture
	ids := 0
	for i := range t.Agents {
		a := &t.Agents[i]
		p := picture{agent: oneLine(a.Name)}
		byName := map[string]*node{}
		add := func(category kinds.Category, c *Component) *node {
			ids++
			n := &node{id: fmt.Sprintf("n%d", ids), name: oneLine(c.Name), category: category, notes: notes(category, c)}
			if c.Kind != nil {
				n.kind = c.Kind.Name
			}
			byName[string(category)+" "+c.Name] = n
			return n
		}
		for i := range a.Sources {
			p.sources = append(p.sources, add(kinds.Source, &a.Sources[i]))
		}
		for i := range a.Channels {
			p.channels = append(p.channels, add(kinds.Channel, &a.Channels[i]))
		}
		for i := range a.Sinks {
			p.sinks = append(p.sinks, add(kinds.Sink, &a.Sinks[i]))
		}
		for i, s := range a.Sources {
			for _, name := range s.Channels {
				if c := byName["channel "+name]; c != nil {
					p.sources[i].to = append(p.sources[i].to, edge{c, choice(&s, name)})
				}
			}
		}
		for i, s := range a.Sinks {
			for _, name := range s.Channels {
				if c := byName["channel "+name]; c != nil {
					c.to = append(c.to, edge{to: p.sinks[i]})
				}
			}
		}
		for _, g := range a.Groups {
			f := frame{title: oneLine(g.Name)}
			if g.Processor != nil {
				f.title += " " + g.Processor.Name
			}
			for _, name := range g.Sinks {
				if n := byName["sink "+name]; n != nil {
					f.nodes = append(f.nodes, n)
					if v, ok := g.Settings.Value("processor.priority." + name); ok {
						n.notes = append(n.notes, "priority "+oneLine(v.Shown()))
					}
				}
			}
			p.frames = append(p.frames, f)
		}
		out = append(out, p)
	}
	return out
}

// oneLine is a user's text for a picture: short, and without control signs.
func oneLine(s string) string {
	s = printable(s)
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func notes(category kinds.Category, c *Component) []string {
	if c.Kind == nil {
		return nil
	}
	var out []string
	if category == kinds.Source {
		for _, part := range Parts(c.Kind, c.Settings.Values()) {
			if part.Property.Category != kinds.Interceptor || part.Kind == nil {
				continue
			}
			out = append(out, part.Kind.Name)
		}
		if k, ok := kinds.Lookup(kinds.Selector, c.Settings.String("selector.type")); ok && k.Name != "replicating" {
			out = append(out, k.Name)
		}
	}
	if category == kinds.Channel {
		if n, ok := number(c, "capacity"); ok {
			out = append(out, fmt.Sprintf("up to %d", n))
		}
	}
	return out
}

// choice says when source puts events into channel; "" is always.
func choice(source *Component, channel string) string {
	kind, ok := kinds.Lookup(kinds.Selector, source.Settings.String("selector.type"))
	if !ok || source.Kind == nil {
		return ""
	}
	has := func(property string) bool { return slices.Contains(source.Settings.List(property), channel) }
	switch kind.Name {
	case "replicating":
		if has("selector.optional") {
			return "optional"
		}
	case "multiplexing":
		var out []string
		for _, prefix := range []string{"selector.mapping.", "selector.optional."} {
			for _, value := range source.Settings.Keys(prefix) {
				if has(prefix + value) {
					out = append(out, oneLine(value))
				}
			}
		}
		if has("selector.default") {
			out = append(out, "default")
		}
		slices.Sort(out)
		return strings.Join(slices.Compact(out), ", ")
	}
	return ""
}

// line is a node in one line: "r1 taildir +timestamp +host".
func (n *node) line() string {
	out := n.name + " " + n.kind
	for _, note := range n.notes {
		out += " +" + note
	}
	return out
}

// row is one line of a picture in text.
type row struct{ source, first, channel, second, sink string }

func drawASCII(b *strings.Builder, t *Topology) {
	for i, p := range pictures(t) {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "agent %s\n", p.agent)
		rows := p.rows()
		var width [3]int
		for _, r := range rows {
			width[0] = max(width[0], utf8.RuneCountInString(r.source))
			width[1] = max(width[1], utf8.RuneCountInString(r.channel))
		}
		for _, r := range rows {
			line := "  " + cell(r.source, width[0], r.first) + cell(r.channel, width[1], r.second) + r.sink
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		for _, f := range p.frames {
			var names []string
			for _, n := range f.nodes {
				names = append(names, n.name)
			}
			fmt.Fprintf(b, "  group %s: %s\n", f.title, strings.Join(names, " "))
		}
	}
}

// cell is text filled up to width, and the arrow that leaves it.
func cell(text string, width int, arrow string) string {
	room := max(0, width-utf8.RuneCountInString(text))
	if rest, ok := strings.CutPrefix(arrow, " ─"); ok && text != "" {
		return text + " " + strings.Repeat("─", room+1) + rest
	}
	return text + strings.Repeat(" ", room) + arrow
}

// The arrows to the first, a further and the last of several, and what stands
// below them.
const (
	arrowOne   = " ──> "
	arrowFirst = " ─┬> "
	arrowNext  = "  ├> "
	arrowLast  = "  └> "
	arrowBelow = "  │  "
	arrowNone  = "     "
)

// arrow is the one to item i of n.
func arrow(i, n int) string {
	switch {
	case n == 1:
		return arrowOne
	case i == 0:
		return arrowFirst
	case i == n-1:
		return arrowLast
	}
	return arrowNext
}

func below(i, n int) string {
	if i < n-1 {
		return arrowBelow
	}
	return arrowNone
}

// rows are the lines of a picture: each channel with its sinks stands behind
// the first of its sources.
func (p *picture) rows() []row {
	var out []row
	shown := map[*node]bool{}
	channel := func(n *node, label string) []row {
		text := n.line()
		if label != "" {
			text = "(" + label + ") " + text
		}
		if shown[n] {
			return []row{{channel: text + ", see above"}}
		}
		shown[n] = true
		if len(n.to) == 0 {
			return []row{{channel: text}}
		}
		var rows []row
		for i, e := range n.to {
			r := row{second: arrow(i, len(n.to)), sink: e.to.line()}
			if i == 0 {
				r.channel = text
			}
			rows = append(rows, r)
		}
		return rows
	}
	for _, s := range p.sources {
		if len(s.to) == 0 {
			out = append(out, row{source: s.line()})
		}
		for i, e := range s.to {
			for j, r := range channel(e.to, e.label) {
				if j == 0 {
					r.first = arrow(i, len(s.to))
					if i == 0 {
						r.source = s.line()
					}
				} else {
					r.first = below(i, len(s.to))
				}
				out = append(out, r)
			}
		}
	}
	for _, c := range p.channels {
		if !shown[c] {
			for _, r := range channel(c, "") {
				r.first = arrowNone
				out = append(out, r)
			}
		}
	}
	return out
}

// nodes are all of a picture, left to right.
func (p *picture) nodes() []*node { return slices.Concat(p.sources, p.channels, p.sinks) }

func drawMermaid(b *strings.Builder, t *Topology) {
	b.WriteString("flowchart LR\n")
	for i, p := range pictures(t) {
		fmt.Fprintf(b, "  subgraph a%d[\"%s\"]\n", i+1, mermaidText(p.agent))
		shape := map[kinds.Category][2]string{kinds.Source: {"([", "])"}, kinds.Channel: {"[(", ")]"}, kinds.Sink: {"[", "]"}}
		for _, n := range p.nodes() {
			lines := []string{"<b>" + mermaidText(n.name) + "</b>", mermaidText(n.kind)}
			for _, note := range n.notes {
				lines = append(lines, "<i>"+mermaidText(note)+"</i>")
			}
			s := shape[n.category]
			fmt.Fprintf(b, "    %s%s\"%s\"%s\n", n.id, s[0], strings.Join(lines, "<br>"), s[1])
		}
		for j, f := range p.frames {
			fmt.Fprintf(b, "    subgraph a%dg%d[\"%s\"]\n", i+1, j+1, mermaidText(f.title))
			for _, n := range f.nodes {
				fmt.Fprintf(b, "      %s\n", n.id)
			}
			b.WriteString("    end\n")
		}
		b.WriteString("  end\n")
		for _, n := range p.nodes() {
			for _, e := range n.to {
				arrow := "-->"
				if e.label == "optional" {
					arrow = "-.->"
				}
				if e.label != "" {
					arrow += "|\"" + mermaidText(e.label) + "\"|"
				}
				fmt.Fprintf(b, "  %s %s %s\n", n.id, arrow, e.to.id)
			}
		}
	}
}

// mermaidText is a text between quotes.
var mermaidText = strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "`", "#96;").Replace

func drawDot(b *strings.Builder, t *Topology) {
	b.WriteString("digraph sluice {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=11];\n  edge [fontname=\"sans-serif\", fontsize=9];\n")
	shape := map[kinds.Category]string{kinds.Source: "cds", kinds.Channel: "cylinder", kinds.Sink: "box"}
	for i, p := range pictures(t) {
		fmt.Fprintf(b, "  subgraph cluster_a%d {\n    label=%s;\n", i+1, dotText("agent "+p.agent))
		for _, n := range p.nodes() {
			fmt.Fprintf(b, "    %s [shape=%s, label=%s];\n", n.id, shape[n.category], dotText(strings.Join(append([]string{n.name, n.kind}, n.notes...), "\n")))
		}
		for j, f := range p.frames {
			fmt.Fprintf(b, "    subgraph cluster_a%dg%d {\n      style=dashed; label=%s;\n", i+1, j+1, dotText(f.title))
			for _, n := range f.nodes {
				fmt.Fprintf(b, "      %s;\n", n.id)
			}
			b.WriteString("    }\n")
		}
		b.WriteString("  }\n")
		for _, n := range p.nodes() {
			for _, e := range n.to {
				fmt.Fprintf(b, "  %s -> %s", n.id, e.to.id)
				switch {
				case e.label == "optional":
					b.WriteString(" [style=dashed, label=\"optional\"]")
				case e.label != "":
					fmt.Fprintf(b, " [label=%s]", dotText(e.label))
				}
				b.WriteString(";\n")
			}
		}
	}
	b.WriteString("}\n")
}

// dotText is a quoted text in the language of Graphviz.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
