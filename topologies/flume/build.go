package flume

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// builder is Flume's second phase for one agent: it finds the kind of each
// component and drops what Flume would fail to set up.
type builder struct {
	*reader
	a        *agent
	out      topologies.Agent
	channels map[string]*topologies.Component // those that run
	running  map[string]bool                  // the sinks that run
}

// build makes what survived into an agent. It is false when nothing is left.
func (r *reader) build(a *agent, s survivors) (topologies.Agent, bool) {
	b := &builder{reader: r, a: a}
	b.out = topologies.Agent{Name: a.name, Pos: a.first.name.pos(0), Compat: r.o.Compat}
	r.remarks(a)
	if !s.valid {
		return b.out, false
	}
	for _, c := range s.channels {
		if built, ok := b.component(c, kinds.Channel, nil); ok && b.channelFits(c, built) {
			b.out.Channels = append(b.out.Channels, built)
		}
	}
	b.channels = map[string]*topologies.Component{}
	for i := range b.out.Channels {
		b.channels[b.out.Channels[i].Name] = &b.out.Channels[i]
	}
	for _, c := range s.sources {
		if built, ok := b.component(c.component, kinds.Source, c.to); ok && b.fits(c, &built) && b.selectorFits(c, &built) {
			b.out.Sources = append(b.out.Sources, built)
		}
	}
	for _, c := range s.sinks {
		if built, ok := b.component(c.component, kinds.Sink, c.to); ok && b.fits(c, &built) {
			b.out.Sinks = append(b.out.Sinks, built)
		}
	}
	b.groups(s.groups)
	b.idleChannels()
	if len(b.out.Sources)+len(b.out.Sinks) == 0 {
		if !topologies.Failed(r.faults, a.name) {
			r.nothing(a, "source and no sink")
		}
		return b.out, false
	}
	return b.out, true
}

// component finds the kind of c and looks at its properties. It is false when
// the component cannot run.
func (b *builder) component(c *component, category kinds.Category, to []text) (topologies.Component, bool) {
	out := topologies.Component{Name: c.name, Pos: c.span().pos}
	for _, w := range to {
		out.Channels = append(out.Channels, w.s)
	}
	kind, ok := b.kind(c, category, c.props["type"])
	if !ok {
		return out, false
	}
	out.Kind = kind
	values := c.values()
	if b.o.Compat && category == kinds.Sink && isLogger(c.get("type")) {
		values = b.bareLogger(c, values)
	}
	ok = b.parts(c, kind, values, "")
	b.unknown(c, kind, values)
	out.Settings = topologies.NewSettings(kind, fmt.Sprintf("%s %s.%s", singular[c.word], b.a.name, c.name), values)
	return out, b.values(c, category, &out) && ok
}

// values are the properties of c with their places.
func (c *component) values() map[string]topologies.Value {
	out := map[string]topologies.Value{}
	for name, s := range c.props {
		v := topologies.Value{Text: s.value(), Pos: s.valueSpan().pos, Key: s.keySpan().pos,
			Secret: s.entry.secret || topologies.IsSecret(name)}
		if s.entry.substituted {
			v.Pos.Column = 0
		}
		out[name] = v
	}
	return out
}

// bareLogger is what Flume gives a logger sink of its properties: nothing.
func (b *builder) bareLogger(c *component, values map[string]topologies.Value) map[string]topologies.Value {
	for _, s := range c.order {
		if s.name != "type" && s.name != "channel" {
			b.fault(b.a.name, "SL0144", topologies.Note, s.keySpan(), fmt.Sprintf("%s does not get %q under compat=flume", c.title(), s.name), "", "give this sink no properties")
		}
	}
	return map[string]topologies.Value{"type": values["type"], "channel": values["channel"]}
}

// kind finds what a type names. It is false, and says why, for what sluice
// cannot run: Flume refuses the whole configuration for an unknown class, so
// this is an error in every mode.
func (b *builder) kind(c *component, category kinds.Category, s *setting) (*kinds.Kind, bool) {
	typ := s.value()
	kind, ok := kinds.Lookup(category, typ)
	if ok && kind.Support != kinds.Missing {
		return kind, true
	}
	if ok {
		b.fault(b.a.name, "SL0126", topologies.Error, s.valueSpan(), fmt.Sprintf("%s: sluice has no %s %q", c.title(), category, typ), kind.Note, "run it")
		return nil, false
	}
	message, hint := fmt.Sprintf("%s: there is no %s %q", c.title(), category, typ), nearestKind(category, typ)
	flume := "refuse the whole configuration, and end with exit code 0"
	if strings.Contains(typ, ".") && hint == "" {
		message = fmt.Sprintf("%s: sluice does not know the class %s", c.title(), typ)
		hint = "a class from a jar cannot be loaded; use a kind that sluice has (sluice explain SL0125)"
		flume = "load the class from a jar in plugins.d, if there is one"
	}
	b.fault(b.a.name, "SL0125", topologies.Error, s.valueSpan(), message, hint, flume)
	return nil, false
}

// nearestKind is a hint with the kind that typ was likely meant to be; it also
// knows names of another category.
func nearestKind(category kinds.Category, typ string) string {
	var names []string
	for _, k := range kinds.All(category) {
		names = append(names, k.Name, k.Class)
		names = append(names, k.Aliases...)
	}
	if hint := didYouMean(typ, names); hint != "" {
		return hint
	}
	for _, other := range []kinds.Category{kinds.Source, kinds.Channel, kinds.Sink} {
		if _, ok := kinds.Lookup(other, typ); ok {
			return fmt.Sprintf("%q is a %s", typ, other)
		}
	}
	return ""
}

// parts checks that the selector, the interceptors and the serializers of c
// have kinds that run.
func (b *builder) parts(c *component, kind *kinds.Kind, values map[string]topologies.Value, prefix string) bool {
	ok := true
	places := map[string]span{}
	for _, part := range topologies.Parts(kind, values) {
		s := c.props[prefix+part.Name]
		switch {
		case s == nil && part.Type == "":
			b.partWithoutType(c, part, prefix, places)
			ok = false
		case s != nil:
			_, found := b.kind(c, part.Property.Category, s)
			ok = ok && found
		}
		if part.Kind != nil {
			ok = b.parts(c, part.Kind, part.Values, prefix+part.Prefix) && ok
		}
	}
	return ok
}

// partWithoutType says that a part which a list names has no type. In places it
// notes where the list names each of its parts.
func (b *builder) partWithoutType(c *component, part topologies.Part, prefix string, places map[string]span) {
	list, name, _ := strings.Cut(strings.TrimSuffix(part.Prefix, "."), ".")
	if s := c.props[prefix+list]; s != nil && len(places) == 0 {
		names, _ := s.entry.words(javaSpace)
		for _, w := range names {
			places[w.s] = w.span()
		}
	}
	at, ok := places[name]
	if !ok {
		at = c.span()
	}
	hint := fmt.Sprintf("add %s.%s.%s.%s%s = …", b.a.name, c.word, c.name, prefix, part.Name)
	if strings.Contains(name, ",") {
		hint = "names are separated by blanks; remove the comma"
	}
	b.fault(b.a.name, "SL0111", b.dropped(), at, fmt.Sprintf("%s %q of %s has no type", part.Property.Category, name, c.title()), hint, "drop this "+singular[c.word])
}

// unknown remarks on properties that nothing reads.
func (b *builder) unknown(c *component, kind *kinds.Kind, values map[string]topologies.Value) {
	for _, u := range topologies.UnknownProperties(kind, values) {
		s := c.props[u.Name]
		word := u.Name
		at := s.keySpan()
		if u.Near != "" { // underline only what differs after the common beginning
			for n := strings.IndexByte(word, '.') + 1; n > 0 && strings.HasPrefix(u.Near, u.Name[:len(u.Name)-len(word)+n]); n = strings.IndexByte(word, '.') + 1 {
				word = word[n:]
			}
		}
		k := s.entry.name
		from := s.from + len(u.Name) - len(word)
		at = span{k.pos(from), k.end(from, len(k.s))}
		hint, flume := "", "ignore this line"
		if u.List != "" {
			hint = fmt.Sprintf("name it in %s.%s.%s.%s", b.a.name, c.word, c.name, u.List)
		}
		if u.Near != "" {
			hint = fmt.Sprintf("did you mean %q?", u.Near[len(u.Name)-len(word):])
			if u.Default != "" && c.props[u.Near] == nil {
				flume += " and use " + u.Default
			}
		}
		b.fault(b.a.name, "SL0104", topologies.Warning, at, fmt.Sprintf("unknown property %q for %s (type %s)", u.Name, c.title(), kind.Name), hint, flume)
	}
}

// channelFits says whether a channel's numbers fit together.
func (b *builder) channelFits(c *component, built topologies.Component) bool {
	if built.Kind.Name != "memory" {
		return true
	}
	capacity, _ := number(built, "capacity")
	transaction, _ := number(built, "transactionCapacity")
	if transaction <= capacity {
		return true
	}
	at, related := c.span(), []topologies.Related(nil)
	if s := c.props["transactionCapacity"]; s != nil {
		at = s.valueSpan()
	}
	if s := c.props["capacity"]; s != nil {
		related = append(related, topologies.Related{Pos: s.valueSpan().pos, Text: "capacity"})
		if c.props["transactionCapacity"] == nil {
			at = s.valueSpan()
		}
	}
	b.fault(b.a.name, "SL0310", b.dropped(), at, fmt.Sprintf("memory channel %q: transactionCapacity %d is above capacity %d", c.name, transaction, capacity),
		fmt.Sprintf("set capacity to %d or more", transaction), "refuse this channel too, and with it every source and sink on it", related...)
	return false
}

// fits says whether a source's or sink's channels are there and take its
// batches. Channels that are gone are taken off its list.
func (b *builder) fits(c *survivor, built *topologies.Component) bool {
	built.Channels = slices.DeleteFunc(built.Channels, func(name string) bool { return b.channels[name] == nil })
	if len(built.Channels) == 0 {
		return false // the channel's fault says so
	}
	batch, ok := number(*built, built.Kind.BatchProperty)
	if !ok {
		return true
	}
	for _, name := range built.Channels {
		ch := b.channels[name]
		limit, ok := number(*ch, "transactionCapacity")
		if !ok || batch <= limit {
			continue
		}
		b.tooLarge(c, built, ch, batch, limit)
		return false
	}
	return true
}

// tooLarge says that a batch does not fit into a transaction.
func (b *builder) tooLarge(c *survivor, built, ch *topologies.Component, batch, limit int64) {
	at := c.props["type"].valueSpan()
	what := fmt.Sprintf("%s %d", built.Kind.BatchProperty, batch)
	if s := c.props[built.Kind.BatchProperty]; s != nil {
		at = s.valueSpan()
	} else {
		what += " (the default)"
	}
	channel := b.a.index["channels."+ch.Name]
	related := topologies.Related{Pos: channel.span().pos, Text: fmt.Sprintf("channel %q has the default transactionCapacity %d", ch.Name, limit)}
	if s := channel.props["transactionCapacity"]; s != nil {
		related = topologies.Related{Pos: s.valueSpan().pos, Text: fmt.Sprintf("transactionCapacity of channel %q", ch.Name)}
	}
	b.fault(b.a.name, "SL0127", b.dropped(), at, fmt.Sprintf("%s: %s is above transactionCapacity %d of channel %q", c.title(), what, limit, ch.Name),
		fmt.Sprintf("set %s.channels.%s.transactionCapacity = %d", b.a.name, ch.Name, batch), "drop this "+singular[c.word], related)
}

// idleChannels takes channels away that nothing uses, as Flume does, and
// remarks on those that only fill.
func (b *builder) idleChannels() {
	sources, sinks := map[string]bool{}, map[string]bool{}
	for _, s := range b.out.Sources {
		for _, name := range s.Channels {
			sources[name] = true
		}
	}
	for _, s := range b.out.Sinks {
		for _, name := range s.Channels {
			sinks[name] = true
		}
	}
	b.out.Channels = slices.DeleteFunc(b.out.Channels, func(ch topologies.Component) bool {
		at := b.a.index["channels."+ch.Name].span()
		switch {
		case !sources[ch.Name] && !sinks[ch.Name]:
			b.fault(b.a.name, "SL0142", topologies.Warning, at, fmt.Sprintf("channel %q has neither source nor sink", ch.Name), "", "leave it out, as sluice does")
			return true
		case !sinks[ch.Name] && len(b.out.Sinks) > 0:
			b.fault(b.a.name, "SL0143", topologies.Warning, at, fmt.Sprintf("no sink drains channel %q, so it fills up and stops its sources", ch.Name), "", "fill it and then refuse events")
		}
		return false
	})
}
