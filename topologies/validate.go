package topologies

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// Validate says what is wrong with t, whatever form of file it was read from:
// values that their properties cannot have, parts that do not fit together, and
// what works and is likely not meant. The faults come by place.
func Validate(t *Topology) []Fault {
	v := &validator{}
	for i := range t.Agents {
		v.agent(&t.Agents[i])
	}
	v.sharedFolders(t)
	for i := range t.Topics {
		v.topic(&t.Topics[i])
	}
	SortFaults(v.faults)
	return v.faults
}

// ValidateComponent says what is wrong with the properties of one component, as
// far as that can be told without the others.
func ValidateComponent(category kinds.Category, c *Component) []Fault {
	v := &validator{}
	v.component(category, c)
	return v.faults
}

// validator gathers the faults of a topology.
type validator struct {
	a      *Agent // the one looked at
	faults []Fault
}

// add notes a fault of the agent that is looked at and returns it for what
// else there is to say.
func (v *validator) add(code string, s Severity, at Pos, length int, format string, args ...any) *Fault {
	f := Fault{Code: code, Severity: s, Pos: at, Message: fmt.Sprintf(format, args...)}
	if v.a != nil {
		f.Agent = v.a.Name
	}
	if at.Column > 0 && length > 0 {
		f.End = at.Column + length
	}
	v.faults = append(v.faults, f)
	return &v.faults[len(v.faults)-1]
}

// atValue is add at the text of a value.
func (v *validator) atValue(code string, s Severity, value Value, format string, args ...any) *Fault {
	return v.add(code, s, value.Pos, len(value.Text), format, args...)
}

// title names a component in messages: `sink "k1"`.
func title(category kinds.Category, name string) string {
	return fmt.Sprintf("%s %q", category, name)
}

func (v *validator) agent(a *Agent) {
	v.a = a
	for _, part := range []struct {
		category   kinds.Category
		components []Component
	}{{kinds.Channel, a.Channels}, {kinds.Source, a.Sources}, {kinds.Sink, a.Sinks}} {
		seen := map[string]Pos{}
		for i := range part.components {
			c := &part.components[i]
			if first, ok := seen[c.Name]; ok {
				v.add("SL0119", Error, c.Pos, len(c.Name), "%s is defined twice", title(part.category, c.Name)).
					Related = []Related{{Pos: first, Text: "first here"}}
			}
			seen[c.Name] = c.Pos
			v.component(part.category, c)
		}
	}
	v.wiring(a)
	v.advice(a)
	v.a = nil
}

// component looks at the properties of c.
func (v *validator) component(category kinds.Category, c *Component) {
	if c.Kind == nil {
		return // the reader has said why
	}
	who, values := title(category, c.Name), c.Settings.Values()
	if c.Kind.Support == kinds.Missing {
		v.atValue("SL0126", Error, values["type"], "%s: sluice has no %s %q", who, category, c.Kind.Name).Hint = c.Kind.Note
		return
	}
	for _, u := range UnknownProperties(c.Kind, values) {
		v.unknown(who, c.Kind, u, values)
	}
	v.values(who, c, c.Kind, values)
}

func (v *validator) unknown(who string, kind *kinds.Kind, u Unknown, values map[string]Value) {
	f := v.add("SL0104", Warning, values[u.Name].Key, len(u.Name), "unknown property %q for %s (type %s)", u.Name, who, kind.Name)
	f.Flume = "ignore this line"
	if u.List != "" {
		f.Hint = "name it in " + u.List
	}
	if u.Near != "" {
		f.Hint = fmt.Sprintf("did you mean %q?", u.Near)
		if _, there := values[u.Near]; u.Default != "" && !there {
			f.Flume += " and use " + u.Default
		}
	}
}

// number is a property of c as a number; false where it has none.
func number(c *Component, name string) (int64, bool) {
	if c.Kind == nil || name == "" {
		return 0, false
	}
	p, ok := c.Kind.Property(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(c.Settings.String(name)), 10, 64)
	if err != nil && p.Lenient {
		n, err = strconv.ParseInt(p.Default, 10, 64)
	}
	return n, err == nil
}

// wiring looks at how the components of a connect.
func (v *validator) wiring(a *Agent) {
	if len(a.Channels) == 0 {
		v.add("SL0116", Error, a.Pos, len(a.Name), "agent %q has no channel", a.Name).Hint = "declare one: type memory, or file to survive a crash"
	}
	if len(a.Sources)+len(a.Sinks) == 0 {
		v.add("SL0116", Error, a.Pos, len(a.Name), "agent %q has neither source nor sink", a.Name)
		return
	}
	if (len(a.Sources) == 0) != (len(a.Sinks) == 0) {
		what := "sources and no sinks"
		if len(a.Sources) == 0 {
			what = "sinks and no sources"
		}
		v.add("SL0118", Warning, a.Pos, len(a.Name), "agent %q has %s", a.Name, what)
	}
	for i := range a.Channels {
		v.channelNumbers(&a.Channels[i])
	}
	for i := range a.Sources {
		v.channels(kinds.Source, &a.Sources[i])
		v.selector(&a.Sources[i])
	}
	for i := range a.Sinks {
		c := &a.Sinks[i]
		v.channels(kinds.Sink, c)
		if len(c.Channels) > 1 {
			v.add("SL0113", Error, c.place("channel"), 0, "%s has %d channels, and a sink drains one", title(kinds.Sink, c.Name), len(c.Channels)).
				Hint = "add a sink for each channel"
		}
	}
	v.idleChannels(a)
	v.groups(a)
}

// place is where the property stands, or else the component.
func (c *Component) place(property string) Pos {
	if value, ok := c.Settings.Value(property); ok {
		return value.Pos
	}
	return c.Pos
}

// Channel finds the channel called name.
func (a *Agent) Channel(name string) (*Component, bool) {
	for i := range a.Channels {
		if a.Channels[i].Name == name {
			return &a.Channels[i], true
		}
	}
	return nil, false
}

func names(components []Component) []string {
	var out []string
	for _, c := range components {
		out = append(out, c.Name)
	}
	return out
}

func didYouMean(word string, candidates []string) string {
	if near, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// channelNumbers looks whether a memory channel's numbers fit together.
func (v *validator) channelNumbers(c *Component) {
	if c.Kind == nil || c.Kind.Name != "memory" {
		return
	}
	capacity, ok := number(c, "capacity")
	transaction, ok2 := number(c, "transactionCapacity")
	if !ok || !ok2 || transaction <= capacity {
		return
	}
	at := c.place("transactionCapacity")
	if !c.Settings.Has("transactionCapacity") {
		at = c.place("capacity")
	}
	f := v.add("SL0310", Error, at, 0, "memory channel %q: transactionCapacity %d is above capacity %d", c.Name, transaction, capacity)
	f.Hint = fmt.Sprintf("set capacity to %d or more", transaction)
	f.Flume = "refuse this channel too, and with it every source and sink on it"
}

// channels looks whether the channels of a source or sink are there and take
// its batches.
func (v *validator) channels(category kinds.Category, c *Component) {
	property := "channels"
	if category == kinds.Sink {
		property = "channel"
	}
	if len(c.Channels) == 0 {
		v.add("SL0113", Error, c.Pos, len(c.Name), "%s has no %s", title(category, c.Name), property).
			Hint = "add " + property + " with one of: " + strings.Join(names(v.a.Channels), " ")
	}
	batch, hasBatch := int64(0), false
	if c.Kind != nil {
		batch, hasBatch = number(c, c.Kind.BatchProperty)
	}
	for _, name := range c.Channels {
		channel, ok := v.a.Channel(name)
		if !ok {
			v.add("SL0112", Error, c.place(property), 0, "%s names channel %q, which agent %q does not have", title(category, c.Name), name, v.a.Name).
				Hint = didYouMean(name, names(v.a.Channels))
			continue
		}
		if channel.Kind != nil && channel.Kind.Name == "kafka" {
			continue // it takes any batch
		}
		if limit, ok := number(channel, "transactionCapacity"); ok && hasBatch && batch > limit {
			f := v.add("SL0127", Error, c.place(c.Kind.BatchProperty), 0, "%s: %s %d is above transactionCapacity %d of channel %q",
				title(category, c.Name), c.Kind.BatchProperty, batch, limit, name)
			f.Hint = fmt.Sprintf("set transactionCapacity of channel %q to %d", name, batch)
			f.Related = []Related{{Pos: channel.place("transactionCapacity"), Text: fmt.Sprintf("channel %q", name)}}
			f.Flume = "drop this " + string(category)
		}
	}
}

// selector looks whether a source's selector keeps to the source's channels.
func (v *validator) selector(c *Component) {
	if c.Kind == nil {
		return
	}
	who := title(kinds.Source, c.Name)
	kind, ok := kinds.Lookup(kinds.Selector, c.Settings.String("selector.type"))
	if !ok {
		return // said with the values
	}
	for name, value := range c.Settings.Values() {
		rest, ok := strings.CutPrefix(name, "selector.")
		optional := kind.Name == "replicating" && rest == "optional"
		mapped := kind.Name == "multiplexing" && (rest == "default" || strings.HasPrefix(rest, "mapping.") || strings.HasPrefix(rest, "optional."))
		if !ok || !optional && !mapped {
			continue
		}
		for _, channel := range strings.Fields(value.Text) {
			if slices.Contains(c.Channels, channel) {
				continue
			}
			code, severity, flume := "SL0129", Warning, "fail on every event; sluice leaves the name out"
			if mapped {
				code, severity, flume = "SL0128", Error, "drop this source"
			}
			f := v.atValue(code, severity, value, "%s: the selector names channel %q, which the source does not have", who, channel)
			f.Hint, f.Flume = didYouMean(channel, c.Channels), flume
		}
	}
	if kind.Name == "multiplexing" && !c.Settings.Has("selector.default") {
		f := v.add("SL0140", Note, c.place("selector.type"), 0, "%s: events whose header matches no mapping are dropped, as there is no selector.default", who)
		f.Hint, f.Flume = "add selector.default", "drop them too"
	}
}

// idleChannels looks for channels that nothing fills or drains.
func (v *validator) idleChannels(a *Agent) {
	filled, drained := map[string]bool{}, map[string]bool{}
	for _, s := range a.Sources {
		for _, name := range s.Channels {
			filled[name] = true
		}
	}
	for _, s := range a.Sinks {
		for _, name := range s.Channels {
			drained[name] = true
		}
	}
	for _, c := range a.Channels {
		switch {
		case !filled[c.Name] && !drained[c.Name]:
			v.add("SL0142", Warning, c.Pos, len(c.Name), "channel %q has neither source nor sink", c.Name).Flume = "leave it out"
		case !drained[c.Name] && len(a.Sinks) > 0:
			v.add("SL0143", Warning, c.Pos, len(c.Name), "no sink drains channel %q, so it fills up and stops its sources", c.Name)
		}
	}
}

// groups looks at the sink groups of a.
func (v *validator) groups(a *Agent) {
	groupOf := map[string]string{}
	for _, g := range a.Groups {
		who := fmt.Sprintf("sink group %q", g.Name)
		known := 0
		for _, sink := range g.Sinks {
			switch first, taken := groupOf[sink]; {
			case !slices.Contains(names(a.Sinks), sink):
				v.add("SL0120", Error, g.place("sinks"), 0, "%s names sink %q, which agent %q does not have", who, sink, a.Name).
					Hint = didYouMean(sink, names(a.Sinks))
			case taken && first != g.Name:
				v.add("SL0121", Error, g.place("sinks"), 0, "sink %q is in group %q and in group %q", sink, first, g.Name)
			default:
				groupOf[sink] = g.Name
				known++
			}
		}
		switch {
		case known == 0:
			v.add("SL0122", Error, g.Pos, len(g.Name), "%s has no sink", who)
		case g.Processor == nil && g.Settings.Has("processor.type"):
			typ, _ := g.Settings.Value("processor.type")
			v.atValue("SL0125", Error, typ, "%s: there is no processor %q", who, typ.Shown()).Hint = nearestKind(kinds.Processor, typ.Text)
		case g.Processor == nil:
			v.add("SL0124", Error, g.Pos, len(g.Name), "%s has no processor.type", who).Hint = "one of: default failover load_balance"
		case g.Processor.Name == "load_balance" && known < 2:
			v.add("SL0123", Warning, g.place("processor.type"), 0, "%s balances load over one sink", who)
		case g.Processor.Name == "default" && known > 1:
			v.add("SL0123", Error, g.place("processor.type"), 0, "%s has %d sinks, and the default processor runs one", who, known).
				Hint = "use failover or load_balance"
		}
		v.processor(&g, who)
	}
}

func (g *Group) place(property string) Pos {
	if value, ok := g.Settings.Value(property); ok {
		return value.Pos
	}
	return g.Pos
}

// processor looks at the properties of a group.
func (v *validator) processor(g *Group, who string) {
	if g.Processor == nil {
		return
	}
	own := map[string]Value{}
	for name, value := range g.Settings.Values() {
		rest, ok := strings.CutPrefix(name, "processor.")
		if ok {
			own[rest] = value
		} else if name != "sinks" {
			f := v.add("SL0104", Warning, value.Key, len(name), "unknown property %q for %s", name, who)
			f.Hint, f.Flume = didYouMean(name, []string{"sinks", "processor." + name, "processor.type"}), "ignore this line"
		}
	}
	for _, u := range UnknownProperties(g.Processor, own) {
		f := v.add("SL0104", Warning, own[u.Name].Key, len("processor."+u.Name), "unknown property %q for %s (processor %s)", "processor."+u.Name, who, g.Processor.Name)
		f.Flume = "ignore this line"
		if u.Near != "" {
			f.Hint = fmt.Sprintf("did you mean %q?", "processor."+u.Near)
		}
	}
	v.values(who, nil, g.Processor, own)
	taken := map[string]string{}
	for _, sink := range g.Sinks {
		priority := strings.TrimSpace(own["priority."+sink].Text)
		if other := taken[priority]; other != "" && priority != "" && g.Processor.Name == "failover" {
			v.atValue("SL0141", Warning, own["priority."+sink], "%s: sinks %q and %q have priority %s", who, other, sink, priority).Hint = "give each sink its own"
		}
		taken[priority] = sink
	}
}

// nearestKind is a hint with the kind that typ was likely meant to be.
func nearestKind(category kinds.Category, typ string) string {
	var words, all []string
	for _, k := range kinds.All(category) {
		if k.Support == kinds.Missing {
			continue
		}
		all = append(all, k.Name)
		words = append(append(words, k.Name, k.Class), k.Aliases...)
	}
	if hint := didYouMean(typ, words); hint != "" {
		return hint
	}
	return "one of: " + strings.Join(all, " ")
}
