package flume

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// record is an error as Flume records it.
type record struct{ level, kind, component, key string }

// record notes an error of Flume's first phase.
func (r *reader) record(kind, component, key string) {
	r.records = append(r.records, record{"ERROR", kind, component, key})
}

// survivors is what Flume's first phase leaves of an agent. The order is that
// of the lists.
type survivors struct {
	valid    bool
	filters  []*component
	channels []*component
	sources  []*survivor
	sinks    []*survivor
	groups   []*survivor
}

// survivor is a source with its channels, a sink with its channel, or a group
// with its sinks.
type survivor struct {
	*component
	to []text
}

// validate is Flume's first phase: config filters, channels, sources, sinks,
// groups. It drops what Flume drops and says so.
func (r *reader) validate(a *agent) survivors {
	var s survivors
	s.filters = r.typed(a, "configfilters")
	r.filter(a, s.filters)
	if a.lists["channels"] != nil {
		s.channels = r.typed(a, "channels")
	}
	if len(s.channels) == 0 {
		r.record("PROPERTY_VALUE_NULL", a.name, "channels")
		r.nothing(a, "channel")
		return s
	}
	channels := map[string]bool{}
	for _, c := range s.channels {
		channels[c.name] = true
	}
	s.sources = r.sources(a, channels)
	s.sinks = r.sinks(a, channels)
	s.groups = r.groups(a, s.sinks)
	s.valid = len(s.sources)+len(s.sinks) > 0
	if !s.valid {
		r.record("PROPERTY_VALUE_NULL", a.name, "sources")
		r.record("PROPERTY_VALUE_NULL", a.name, "sinks")
		r.nothing(a, "source and no sink")
	}
	return s
}

// nothing says that an agent has nothing to run.
func (r *reader) nothing(a *agent, what string) {
	r.record("AGENT_CONFIGURATION_INVALID", a.name, "")
	dot := len(a.name)
	at := span{a.first.name.pos(0), a.first.name.end(0, dot)}
	r.fault(a.name, "SL0116", topologies.Error, at, fmt.Sprintf("agent %q has no %s that can run", a.name, what),
		"", "drop the whole agent and run on with nothing to do")
}

// listed are the components that the list under word names, those that have
// properties.
func (r *reader) listed(a *agent, word string) []*component {
	list := a.lists[word]
	if list == nil {
		r.unlisted(a, word, nil)
		return nil
	}
	separators := javaSpace
	if word == "sinkgroups" && !r.repaired {
		separators = " " // Flume's way with this list alone
	}
	names, repeated := list.words(separators)
	for _, w := range repeated {
		r.fault(a.name, "SL0119", topologies.Warning, w.span(), fmt.Sprintf("%s %q is listed twice", singular[word], w.s), "", "run it once, as sluice does")
	}
	var out []*component
	for _, w := range names {
		c := a.index[word+"."+w.s]
		if c == nil {
			r.record("CONFIG_ERROR", a.name, w.s)
			r.missing(a, word, w)
			continue
		}
		c.listed = &w
		out = append(out, c)
	}
	r.unlisted(a, word, names)
	return out
}

// setOf is the texts of names.
func setOf(names []text) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n.s] = true
	}
	return out
}

// missing says that a listed component has no properties.
func (r *reader) missing(a *agent, word string, w text) {
	what := singular[word]
	if strings.Contains(w.s, ",") {
		r.fault(a.name, "SL0114", r.dropped(), w.span(), fmt.Sprintf("no %s is named %q: names are separated by blanks, and the comma is part of the name", what, w.s),
			"remove the comma", "drop this "+what)
		return
	}
	r.fault(a.name, "SL0110", r.dropped(), w.span(), fmt.Sprintf("%s %q is listed and has no properties", what, w.s),
		r.didYouMean(w.s, a.names(word)), "drop this "+what)
}

// unlisted remarks on components that have properties and stand in no list.
func (r *reader) unlisted(a *agent, word string, names []text) {
	listed := setOf(names)
	for _, c := range a.parts[word] {
		if listed[c.name] {
			continue
		}
		hint := fmt.Sprintf("add %q to %s.%s", c.name, a.name, word)
		r.fault(a.name, "SL0115", topologies.Warning, c.first.name.span(), fmt.Sprintf("%s is not listed in %s.%s", c.title(), a.name, word),
			hint, "ignore its properties")
	}
}

// typed are the listed components that have a type.
func (r *reader) typed(a *agent, word string) []*component {
	return slices.DeleteFunc(r.listed(a, word), func(c *component) bool { return !r.hasType(a, c) })
}

func (r *reader) hasType(a *agent, c *component) bool {
	if c.props["type"] != nil {
		return true
	}
	r.record("ATTRS_MISSING", c.name, "type")
	hint := fmt.Sprintf("add %s.%s.%s.type = …", a.name, c.word, c.name)
	for _, s := range c.order {
		if near, ok := topologies.Nearest(s.name, []string{"type"}); ok {
			hint = fmt.Sprintf("did you mean %q where it says %q?", near, s.name)
		}
	}
	r.fault(a.name, "SL0111", r.dropped(), c.span(), c.title()+" has no type", hint, "drop this "+singular[c.word])
	return false
}

// oneSided notes that an agent lists no sources, or no sinks.
func (r *reader) oneSided(a *agent, word string) {
	r.records = append(r.records, record{"WARNING", "PROPERTY_VALUE_NULL", a.name, word})
	effect := "nothing drains its channels"
	if word == "sources" {
		effect = "nothing fills its channels"
	}
	at := span{a.first.name.pos(0), a.first.name.end(0, len(a.name))}
	r.fault(a.name, "SL0118", topologies.Warning, at, fmt.Sprintf("agent %q lists no %s, so %s", a.name, word, effect),
		"", "warn and run, as sluice does")
}

// sources are the sources that have a type and a channel.
func (r *reader) sources(a *agent, channels map[string]bool) []*survivor {
	if a.lists["sources"] == nil {
		r.oneSided(a, "sources")
	}
	var out []*survivor
	for _, c := range r.listed(a, "sources") {
		if !r.hasType(a, c) {
			continue
		}
		list := c.props["channels"]
		if list == nil {
			r.record("PROPERTY_VALUE_NULL", c.name, "Channel")
			r.record("CONFIG_ERROR", c.name, "ChannelSelector")
			r.unwired(a, c, "channels", "channel")
			continue
		}
		if to := r.known(a, c, list, channels); len(to) > 0 {
			out = append(out, &survivor{c, to})
		}
	}
	return out
}

// unwired says that a source has no channels or a sink no channel.
func (r *reader) unwired(a *agent, c *component, property, mistake string) {
	hint := fmt.Sprintf("add %s.%s.%s.%s = …", a.name, c.word, c.name, property)
	at := c.span()
	if s := c.props[mistake]; s != nil {
		hint, at = fmt.Sprintf("a %s says %q", singular[c.word], property), s.keySpan()
	}
	r.fault(a.name, "SL0113", r.dropped(), at, fmt.Sprintf("%s has no %q", c.title(), property), hint, "drop this "+singular[c.word])
}

// known are the names of list that are among channels. It says which are not.
func (r *reader) known(a *agent, c *component, list *setting, channels map[string]bool) []text {
	var out, unknown []text
	names, _ := list.entry.words(javaSpace)
	for _, w := range names {
		if channels[w.s] {
			out = append(out, w)
		} else {
			unknown = append(unknown, w)
		}
	}
	severity, flume := r.dropped(), "drop the "+singular[c.word]+" with no more than a warning"
	if len(out) > 0 {
		severity, flume = topologies.Warning, "take this name off the list without a word, and sluice does too"
	}
	for _, w := range unknown {
		r.unknownChannel(a, c, w, channels, severity, flume)
	}
	return out
}

// unknownChannel says that a component names a channel that is not there.
func (r *reader) unknownChannel(a *agent, c *component, w text, channels map[string]bool, severity topologies.Severity, flume string) {
	if strings.Contains(w.s, ",") {
		r.fault(a.name, "SL0114", severity, w.span(), fmt.Sprintf("no channel is named %q: names are separated by blanks, and the comma is part of the name", w.s),
			"remove the comma", flume)
		return
	}
	verb := "reads"
	if c.word == "sources" {
		verb = "writes to"
	}
	why := fmt.Sprintf("which agent %q does not declare", a.name)
	if a.index["channels."+w.s] != nil {
		why = "which is not listed or was dropped"
	}
	var related []topologies.Related
	if list := a.lists["channels"]; list != nil {
		related = append(related, topologies.Related{Pos: list.name.pos(0), Text: fmt.Sprintf("declared here: %s = %s", list.name.s, list.text.s)})
	}
	r.fault(a.name, "SL0112", severity, w.span(), fmt.Sprintf("%s %s channel %q, %s", c.title(), verb, w.s, why),
		r.nearest(w.s, channels), flume, related...)
}

// sinks are the sinks that have a type and a channel that runs.
func (r *reader) sinks(a *agent, channels map[string]bool) []*survivor {
	if a.lists["sinks"] == nil {
		r.oneSided(a, "sinks")
	}
	var out []*survivor
	for _, c := range r.listed(a, "sinks") {
		if !r.hasType(a, c) {
			continue
		}
		s := c.props["channel"]
		if s == nil {
			r.record("PROPERTY_VALUE_NULL", c.name, "channel")
			r.unwired(a, c, "channel", "channels")
			continue
		}
		to := s.entry.text
		if s.entry.substituted {
			to.runs = s.entry.value.runs
		}
		if channels[to.s] {
			out = append(out, &survivor{c, []text{to}})
		} else {
			r.unknownChannel(a, c, to, channels, r.dropped(), "drop the sink with no more than a warning")
		}
	}
	return out
}

// groups are the sink groups with the sinks that are left for each.
func (r *reader) groups(a *agent, sinks []*survivor) []*survivor {
	owner := map[string]*component{}
	usable := map[string]bool{}
	for _, s := range sinks {
		usable[s.name] = true
	}
	var out []*survivor
	for _, c := range r.listed(a, "sinkgroups") {
		var members []text
		if list := c.props["sinks"]; list != nil {
			names, _ := list.entry.words(javaSpace)
			for _, w := range names {
				if r.member(a, c, w, usable, owner) {
					members = append(members, w)
				}
			}
		}
		if len(members) == 0 {
			r.record("CONFIG_ERROR", a.name, c.name)
			r.fault(a.name, "SL0122", r.dropped(), c.span(), fmt.Sprintf("%s has no sink that can run", c.title()),
				fmt.Sprintf("name its sinks in %s.sinkgroups.%s.sinks", a.name, c.name), "drop the group and run its sinks on their own")
			continue
		}
		out = append(out, &survivor{c, members})
	}
	return out
}

// member says whether the sink w may be in the group c.
func (r *reader) member(a *agent, c *component, w text, usable map[string]bool, owner map[string]*component) bool {
	if first := owner[w.s]; first != nil {
		r.record("PROPERTY_PART_OF_ANOTHER_GROUP", a.name, c.name)
		r.fault(a.name, "SL0121", topologies.Warning, w.span(), fmt.Sprintf("sink %q is in sink group %q already", w.s, first.name),
			"a sink can be in one group", "leave it out of this group, as sluice does",
			topologies.Related{Pos: first.props["sinks"].valueSpan().pos, Text: "taken here"})
		return false
	}
	if !usable[w.s] {
		r.record("INVALID_PROPERTY", a.name, w.s)
		r.fault(a.name, "SL0120", topologies.Warning, w.span(), fmt.Sprintf("%s names sink %q, which cannot run or is not there", c.title(), w.s),
			r.nearest(w.s, usable), "leave it out of the group, as sluice does")
		return false
	}
	owner[w.s] = c
	return true
}
