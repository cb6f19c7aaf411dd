package flume

import (
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// entry is a property on its way into the configuration.
type entry struct {
	property
	name        text // the key, trimmed
	text        text // the value, resolved and trimmed
	substituted bool
	secret      bool      // a config filter brought a part of the value
	failed      []string  // references that nothing answers
	err         error     // why the value could not be resolved
	earlier     *property // the same key before it in the same file
}

// agent is everything under one agent's name.
type agent struct {
	name  string
	first *entry
	lists map[string]*entry       // by word: "sources"
	parts map[string][]*component // by word, in file order
	index map[string]*component   // by word and name: "sources.r1"
}

// component is everything under one component's name.
type component struct {
	word   string // "sources"
	name   string
	first  *entry
	props  map[string]*setting
	order  []*setting
	listed *text // where the component is listed
}

// setting is one property of a component.
type setting struct {
	name  string
	from  int // where the name begins in the key
	entry *entry
}

func (s *setting) value() string { return s.entry.text.s }

// keySpan is the place of the setting's name.
func (s *setting) keySpan() span {
	k := s.entry.name
	return span{k.pos(s.from), k.end(s.from, len(k.s))}
}

// valueSpan is the place of the setting's value; that of the key when nothing
// of it stands in the file as it is.
func (s *setting) valueSpan() span { return s.entry.valueSpan() }

func (e *entry) valueSpan() span {
	if e.substituted {
		return e.value.trim().span()
	}
	return e.text.span()
}

// words are the names in a list, each once, with their places. Substituted
// lists have the place of the whole value.
func (e *entry) words(separators string) (names []text, repeated []text) {
	seen := map[string]bool{}
	for _, w := range e.text.words(separators) {
		if e.substituted {
			w.runs = e.value.runs[:1]
		}
		if seen[w.s] {
			repeated = append(repeated, w)
			continue
		}
		seen[w.s] = true
		names = append(names, w)
	}
	return names, repeated
}

// get is the value of a property, "" where it is missing.
func (c *component) get(name string) string {
	if s := c.props[name]; s != nil {
		return s.value()
	}
	return ""
}

// title names the component in messages: `sink "k1"`.
func (c *component) title() string { return fmt.Sprintf("%s %q", singular[c.word], c.name) }

// span is where the component is listed, or first has a property.
func (c *component) span() span {
	if c.listed != nil {
		return c.listed.span()
	}
	return c.first.name.span()
}

var singular = map[string]string{
	"sources": "source", "sinks": "sink", "channels": "channel",
	"sinkgroups": "sink group", "configfilters": "config filter",
}

// sort puts a property where it belongs, with Flume's rules for keys.
func (r *reader) sort(e *entry) {
	key := e.name.s
	dot := strings.IndexByte(key, '.')
	switch {
	case e.text.s == "":
		r.record("PROPERTY_VALUE_NULL", key, "")
		r.emptyValue(e)
	case dot <= 0:
		r.record("AGENT_NAME_MISSING", key, "")
		r.noAgent(e)
	case dot == len(key)-1:
		r.record("PROPERTY_NAME_NULL", key, "")
		r.fault(key[:dot], "SL0107", topologies.Warning, e.name.span(), fmt.Sprintf("the key %q names no property", key), "", "ignore this line")
	default:
		r.agent(key[:dot], e).add(r, e, dot+1)
	}
}

// agent finds or makes the agent called name.
func (r *reader) agent(name string, e *entry) *agent {
	if a := r.byName[name]; a != nil {
		return a
	}
	a := &agent{name: name, first: e, lists: map[string]*entry{}, parts: map[string][]*component{}, index: map[string]*component{}}
	r.agents = append(r.agents, a)
	r.byName[name] = a
	return a
}

// add takes the property whose key goes on, after the agent, at byte from.
func (a *agent) add(r *reader, e *entry, from int) {
	rest := e.name.s[from:]
	if isList(rest) {
		a.lists[rest] = e
		return
	}
	word, after, _ := strings.Cut(rest, ".")
	// As in Flume the dot after the name is looked for one byte late, so
	// that a name may begin with a dot.
	if isList(word) && len(after) > 1 {
		if dot := strings.IndexByte(after[1:], '.') + 1; dot > 0 && dot < len(after)-1 {
			name := after[:dot]
			a.component(word, name, e).set(after[dot+1:], from+len(word)+1+dot+1, e)
			return
		}
	}
	r.record("INVALID_PROPERTY", a.name, rest)
	r.invalid(a, e, from)
}

// component finds or makes a component.
func (a *agent) component(word, name string, e *entry) *component {
	key := word + "." + name
	c := a.index[key]
	if c == nil {
		c = &component{word: word, name: name, first: e, props: map[string]*setting{}}
		a.index[key] = c
		a.parts[word] = append(a.parts[word], c)
	}
	return c
}

func (c *component) set(name string, from int, e *entry) {
	if s := c.props[name]; s != nil { // the same key but for blanks
		*s = setting{name, from, e}
		return
	}
	s := &setting{name, from, e}
	c.order = append(c.order, s)
	c.props[name] = s
}

// names are the components of a kind that have properties, as many as a hint
// can be looked for in.
func (a *agent) names(word string) []string {
	var out []string
	for _, c := range a.parts[word][:min(len(a.parts[word]), hintNamesMax)] {
		out = append(out, c.name)
	}
	return out
}

// emptyValue remarks on a key without value.
func (r *reader) emptyValue(e *entry) {
	agent, _, _ := strings.Cut(e.name.s, ".")
	if e.name.s == "" {
		r.fault("", "SL0107", topologies.Warning, e.name.span(), "the line has no key", "", "ignore this line")
		return
	}
	r.fault(agent, "SL0108", topologies.Warning, e.name.span(), fmt.Sprintf("%q has no value", e.name.s),
		"remove the line, or give it a value", "ignore this line and use the default")
}

// noAgent remarks on a key without an agent. A key that references name is a
// variable and needs none; whether it is one is known at the end.
func (r *reader) noAgent(e *entry) {
	if strings.HasPrefix(e.name.s, ".") {
		r.fault("", "SL0107", topologies.Warning, e.name.span(), fmt.Sprintf("the key %q names no agent", e.name.s),
			"keys begin with the agent's name: a1.sources", "ignore this line")
	}
}

// unusedVariables remarks on keys without an agent that no reference names.
func (r *reader) unusedVariables() {
	for _, e := range r.entries {
		key := e.name.s
		if e.text.s == "" || strings.Contains(key, ".") || r.sub.used[e.key.s] {
			continue
		}
		r.fault("", "SL0107", topologies.Warning, e.name.span(), fmt.Sprintf("the key %q names no agent, and no value refers to it", key),
			"keys begin with the agent's name: a1.sources", "ignore this line")
	}
}

// invalid remarks on a key whose second word is none of Flume's, or that stops
// at the component.
func (r *reader) invalid(a *agent, e *entry, from int) {
	rest := e.name.s[from:]
	word, _, _ := strings.Cut(rest, ".")
	at := span{e.name.pos(from), e.name.end(from, from+len(word))}
	if isList(word) {
		r.fault(a.name, "SL0109", topologies.Warning, e.name.span(),
			fmt.Sprintf("the key %q names no property of its %s", e.name.s, singular[word]),
			fmt.Sprintf("write %s.%s.<name>.type = …", a.name, word), "ignore this line")
		return
	}
	hint := r.didYouMean(word, listNames)
	if hint == "" {
		hint = "after the agent comes one of " + strings.Join(listNames, ", ")
	}
	r.fault(a.name, "SL0109", topologies.Warning, at, fmt.Sprintf("%q is no part of an agent", word), hint, "ignore this line")
}
