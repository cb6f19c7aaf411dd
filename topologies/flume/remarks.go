package flume

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// remarks looks at every property of an agent for what is read otherwise than
// its writer meant.
func (r *reader) remarks(a *agent) {
	look := func(e *entry, p *kinds.Property) {
		r.duplicate(a, e)
		r.inlineComment(a, e, p)
	}
	for _, word := range listNames {
		if e := a.lists[word]; e != nil {
			look(e, &kinds.Property{Type: kinds.List})
		}
		for _, c := range a.parts[word] {
			kind, ok := kinds.Lookup(categories[word], c.get("type"))
			for _, s := range c.order {
				var p *kinds.Property
				if ok {
					p, _ = kind.Property(s.name)
				}
				look(s.entry, p)
			}
		}
	}
}

var categories = map[string]kinds.Category{
	"sources": kinds.Source, "sinks": kinds.Sink, "channels": kinds.Channel, "configfilters": kinds.ConfigFilter,
}

// duplicate remarks on a key that stands in a file twice.
func (r *reader) duplicate(a *agent, e *entry) {
	if e.earlier == nil {
		return
	}
	r.fault(a.name, "SL0105", topologies.Warning, e.name.span(), fmt.Sprintf("%q is set twice; the later value counts", e.name.s),
		"remove one of the lines", "take the later value too, without a word",
		topologies.Related{Pos: e.earlier.key.pos(0), Text: "set here first"})
}

// comment matches what looks like a comment behind a value.
var comment = regexp.MustCompile(`^(.*?)[ \t]+(#|//)([ \t].*)?$`)

// inlineComment remarks on a value that ends in what looks like a comment. A
// command and a pattern may well hold one, so it has to be set off by blanks.
func (r *reader) inlineComment(a *agent, e *entry, p *kinds.Property) {
	m := comment.FindStringSubmatchIndex(e.text.s)
	if m == nil || e.substituted {
		return
	}
	effect := fmt.Sprintf("the value is %q", shorten(e.text.s))
	if topologies.IsSecret(e.name.s) {
		effect = "it is a part of the value"
	}
	if p != nil {
		switch p.Type {
		case kinds.Bool:
			effect = "this is false"
		case kinds.Int, kinds.Long, kinds.Duration:
			effect = "this is not a number"
		case kinds.List:
			effect = "each of its words is a name"
		}
	}
	at := span{e.text.pos(m[4]), e.text.end(m[4], len(e.text.s))}
	r.fault(a.name, "SL0106", topologies.Warning, at, fmt.Sprintf("%q: a comment does not end a value, so %s", e.name.s, effect),
		"put the comment on a line of its own", "take it as a part of the value too")
}

// shorten is s, cut to what fits into a message.
func shorten(s string) string {
	if r := []rune(strings.TrimSpace(s)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
