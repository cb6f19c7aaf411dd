package flume

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// selectorFits says whether a source's selector names channels of the source
// only. Other names are taken off the optional channels.
func (b *builder) selectorFits(c *survivor, built *topologies.Component) bool {
	own := map[string]bool{}
	for _, name := range built.Channels {
		own[name] = true
	}
	kind := "replicating"
	if k, ok := kinds.Lookup(kinds.Selector, c.get("selector.type")); ok {
		kind = k.Name
	}
	fits := true
	for _, s := range c.order {
		rest, ok := strings.CutPrefix(s.name, "selector.")
		mapped := kind == "multiplexing" && (rest == "default" || strings.HasPrefix(rest, "mapping.") || strings.HasPrefix(rest, "optional."))
		if !ok || !mapped && !(kind == "replicating" && rest == "optional") {
			continue
		}
		names, _ := s.entry.words(javaSpace)
		var kept []string
		for _, w := range names {
			if own[w.s] {
				kept = append(kept, w.s)
			} else {
				fits = b.notAttached(c, w, mapped, built.Channels) && fits
			}
		}
		if !mapped && len(kept) < len(names) {
			built.Settings = settingsWith(built.Settings, s.name, strings.Join(kept, " "))
		}
		if mapped && b.o.Compat && strings.Contains(s.value(), "  ") {
			b.fault(b.a.name, "SL0128", topologies.Warning, s.valueSpan(), fmt.Sprintf("%s: two blanks stand between channels", c.title()), "write one", "drop this source, as sluice does now")
			fits = false
		}
	}
	if kind == "multiplexing" && fits && c.props["selector.default"] == nil {
		b.fault(b.a.name, "SL0140", topologies.Note, c.props["selector.type"].valueSpan(),
			fmt.Sprintf("%s: events whose header matches no mapping are dropped, as there is no selector.default", c.title()),
			fmt.Sprintf("add %s.sources.%s.selector.default = …", b.a.name, c.name), "drop them too")
	}
	return fits
}

// settingsWith are settings with another text for one property.
func settingsWith(s topologies.Settings, name, text string) topologies.Settings {
	values := s.Values()
	v := values[name]
	v.Text = text
	values[name] = v
	return topologies.NewSettings(s.Kind(), s.Name(), values)
}

// namesMax bounds the names that a message lists.
const namesMax = 20

// notAttached says that a selector names a channel that its source does not
// have. It is false where that costs the source.
func (b *builder) notAttached(c *survivor, w text, mapped bool, channels []string) bool {
	names := channels[:min(len(channels), namesMax)]
	message := fmt.Sprintf("%s: the selector names channel %q, which the source does not have", c.title(), w.s)
	related := topologies.Related{Pos: c.props["channels"].valueSpan().pos, Text: "its channels: " + strings.Join(names, " ")}
	if mapped {
		b.fault(b.a.name, "SL0128", b.dropped(), w.span(), message, b.didYouMean(w.s, names), "drop this source", related)
		return false
	}
	b.fault(b.a.name, "SL0129", topologies.Warning, w.span(), message, b.didYouMean(w.s, names), "fail on every event; sluice leaves the name out", related)
	return true
}

// groups builds the sink groups.
func (b *builder) groups(groups []*survivor) {
	b.running = map[string]bool{}
	for _, s := range b.out.Sinks {
		b.running[s.Name] = true
	}
	for _, g := range groups {
		b.group(g)
	}
	b.out.Sinks = slices.DeleteFunc(b.out.Sinks, func(s topologies.Component) bool { return !b.running[s.Name] })
}

// group builds a sink group from the sinks that are left.
func (b *builder) group(g *survivor) {
	out := topologies.Group{Name: g.name, Pos: g.span().pos}
	for _, w := range g.to {
		if b.running[w.s] {
			out.Sinks = append(out.Sinks, w.s)
		}
	}
	if len(out.Sinks) == 0 {
		return // the sinks' faults say so
	}
	kind, ok := b.processor(g, len(out.Sinks))
	if !ok {
		b.lose(out.Sinks)
		return
	}
	if kind == nil {
		return // the one sink runs on its own
	}
	out.Processor = kind
	values := g.values()
	out.Settings = topologies.NewSettings(nil, fmt.Sprintf("sink group %s.%s", b.a.name, g.name), values)
	b.unknownOfGroup(g, kind, values)
	b.priorities(g, out)
	b.out.Groups = append(b.out.Groups, out)
}

// lose takes sinks away together with their group: Flume has already taken them
// out of the sinks that run on their own.
func (b *builder) lose(sinks []string) {
	for _, name := range sinks {
		delete(b.running, name)
	}
}

// processor is the kind of a group's processor; nil where the group's one sink
// runs on its own. It is false where the group and its sinks are lost.
func (b *builder) processor(g *survivor, sinks int) (*kinds.Kind, bool) {
	const lost = "lose the group and its sinks, so that the channel fills up"
	s := g.props["processor.type"]
	if s == nil {
		return b.noProcessor(g, sinks, lost)
	}
	kind, ok := b.kind(g.component, kinds.Processor, s)
	switch {
	case !ok:
		return nil, false
	case kind.Name == "load_balance" && sinks < 2:
		severity, hint := topologies.Warning, "the sink runs on its own"
		if b.o.Compat {
			hint = "add a second sink"
		}
		b.fault(b.a.name, "SL0123", severity, s.valueSpan(), fmt.Sprintf("%s balances load over one sink", g.title()), hint, lost)
		return nil, !b.o.Compat
	case kind.Name == "default" && sinks > 1:
		b.fault(b.a.name, "SL0123", b.dropped(), s.valueSpan(), fmt.Sprintf("%s has %d sinks, and the default processor runs one", g.title(), sinks),
			"use failover or load_balance", lost)
		return nil, false
	}
	return kind, true
}

func (b *builder) noProcessor(g *survivor, sinks int, lost string) (*kinds.Kind, bool) {
	hint := fmt.Sprintf("add %s.sinkgroups.%s.processor.type = failover (or load_balance)", b.a.name, g.name)
	if sinks == 1 && !b.o.Compat {
		b.fault(b.a.name, "SL0124", topologies.Warning, g.span(), g.title()+" has no processor.type; its one sink runs on its own", hint, lost)
		return nil, true
	}
	b.fault(b.a.name, "SL0124", b.dropped(), g.span(), g.title()+" has no processor.type", hint, lost)
	return nil, false
}

// unknownOfGroup remarks on properties of a group that nothing reads.
func (b *builder) unknownOfGroup(g *survivor, kind *kinds.Kind, values map[string]topologies.Value) {
	for _, s := range g.order {
		if s.name == "sinks" {
			continue
		}
		rest, ok := strings.CutPrefix(s.name, "processor.")
		if !ok {
			b.fault(b.a.name, "SL0104", topologies.Warning, s.keySpan(), fmt.Sprintf("unknown property %q for %s", s.name, g.title()),
				b.didYouMean(s.name, []string{"sinks", "processor." + s.name, "processor.type"}), "ignore this line")
		} else if _, known := kind.Property(rest); !known {
			var names []string
			for _, p := range kind.Properties {
				if full, ok := strings.CutSuffix(p.Name, "<sink>"); ok {
					_, sink, _ := strings.Cut(rest, ".")
					names = append(names, full+sink)
				} else {
					names = append(names, p.Name)
				}
			}
			b.fault(b.a.name, "SL0104", topologies.Warning, s.keySpan(), fmt.Sprintf("unknown property %q for %s (processor %s)", s.name, g.title(), kind.Name),
				b.didYouMean(rest, names), "ignore this line")
		}
	}
}

// priorities remarks on failover priorities that do not say what they seem to.
func (b *builder) priorities(g *survivor, out topologies.Group) {
	taken, members := map[int64]*setting{}, setOf(g.to)
	for _, s := range g.order {
		sink, ok := strings.CutPrefix(s.name, "processor.priority.")
		if !ok || out.Processor.Name != "failover" {
			continue
		}
		if !members[sink] {
			k := s.entry.name
			at := span{k.pos(len(k.s) - len(sink)), k.end(len(k.s)-len(sink), len(k.s))}
			b.fault(b.a.name, "SL0120", topologies.Warning, at, fmt.Sprintf("%s gives a priority to %q, which is no sink of it", g.title(), sink),
				b.didYouMean(sink, out.Sinks), "ignore this line")
			continue
		}
		n, ok := javaNumber(kinds.Int, s.value())
		if !ok {
			b.fault(b.a.name, "SL0141", topologies.Warning, s.valueSpan(), fmt.Sprintf("%s: the priority %q is not a whole number", g.title(), s.value()),
				"", "give the sink a priority below all others, as sluice does")
			continue
		}
		if first := taken[n]; first != nil {
			b.fault(b.a.name, "SL0141", topologies.Warning, s.valueSpan(), fmt.Sprintf("%s: two sinks have priority %d", g.title(), n),
				"give each sink its own", "ignore the one it meets second, in no certain order", topologies.Related{Pos: first.valueSpan().pos, Text: "the other one"})
			continue
		}
		taken[n] = s
	}
}
