package topologies

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// Action is what becomes of a component.
type Action string

// The actions. Adjust changes a running channel in place.
const (
	Start   Action = "start"
	Stop    Action = "stop"
	Restart Action = "restart"
	Adjust  Action = "adjust"
	Keep    Action = "keep"
)

// Change is what becomes of one component, and why. Why names properties and
// never their values.
type Change struct {
	Agent    string         `json:"agent"`
	Category kinds.Category `json:"category"`
	Name     string         `json:"name"`
	Action   Action         `json:"action"`
	Why      string         `json:"why,omitempty"`
}

// Part is the component's place among the actors: "agent/a1/source/r1".
func (c Change) Part() string {
	if c.Category == TopicCategory {
		return "topic/" + c.Name
	}
	return fmt.Sprintf("agent/%s/%s/%s", c.Agent, c.Category, c.Name)
}

// Plan is what it takes to get from one topology to another: a change for every
// component of either, topics first, then agents in the new one's order, then
// those that go.
type Plan struct {
	Changes []Change
}

// Count is how many components have one of these actions.
func (p Plan) Count(actions ...Action) int {
	n := 0
	for _, c := range p.Changes {
		if slices.Contains(actions, c.Action) {
			n++
		}
	}
	return n
}

// String is the plan in a few signs: "+2 ~1 -0 =14". What is adjusted counts
// as changed.
func (p Plan) String() string {
	return fmt.Sprintf("+%d ~%d -%d =%d", p.Count(Start), p.Count(Restart, Adjust), p.Count(Stop), p.Count(Keep))
}

// Empty says that nothing would happen.
func (p Plan) Empty() bool { return p.Count(Keep) == len(p.Changes) }

// MarshalJSON writes the counts beside the changes.
func (p Plan) MarshalJSON() ([]byte, error) {
	changes := p.Changes
	if changes == nil {
		changes = []Change{}
	}
	return json.Marshal(struct {
		Start   int      `json:"start"`
		Restart int      `json:"restart"`
		Adjust  int      `json:"adjust"`
		Stop    int      `json:"stop"`
		Keep    int      `json:"keep"`
		Changes []Change `json:"changes"`
	}{p.Count(Start), p.Count(Restart), p.Count(Adjust), p.Count(Stop), p.Count(Keep), changes})
}

// Diff says which components start, stop, run anew or stay on the way from old
// to new. Either may be nil.
func Diff(old, new *Topology) Plan {
	if old == nil {
		old = &Topology{}
	}
	if new == nil {
		new = &Topology{}
	}
	var p Plan
	p.topics(old, new)
	for i := range new.Agents {
		was, ok := old.Agent(new.Agents[i].Name)
		if !ok {
			was = &Agent{Name: new.Agents[i].Name, Compat: new.Agents[i].Compat}
		}
		p.agent(was, &new.Agents[i])
	}
	for i := range old.Agents {
		if _, ok := new.Agent(old.Agents[i].Name); !ok {
			p.agent(&old.Agents[i], &Agent{Name: old.Agents[i].Name, Compat: old.Agents[i].Compat})
		}
	}
	return p
}

// agent compares two forms of an agent.
func (p *Plan) agent(old, new *Agent) {
	all := ""
	if old.Compat != new.Compat {
		all = "compat changed"
	}
	moved := p.components(new.Name, kinds.Channel, old.Channels, new.Channels, func(a, b *Component) (Action, string) {
		return channelChange(a, b, all)
	})
	p.components(new.Name, kinds.Source, old.Sources, new.Sources, func(a, b *Component) (Action, string) {
		return endChange(a, b, all, moved)
	})
	p.components(new.Name, kinds.Sink, old.Sinks, new.Sinks, func(a, b *Component) (Action, string) {
		if action, why := endChange(a, b, all, moved); action != Keep {
			return action, why
		}
		if why := groupChange(old.groupOf(a.Name), new.groupOf(b.Name)); why != "" {
			return Restart, why
		}
		return Keep, ""
	})
}

// components adds the changes of one category and returns the names of those
// that do not simply run on.
func (p *Plan) components(agent string, category kinds.Category, old, new []Component, compare func(a, b *Component) (Action, string)) map[string]bool {
	moved := map[string]bool{}
	add := func(name string, action Action, why string) {
		p.Changes = append(p.Changes, Change{agent, category, name, action, why})
		if action != Keep && action != Adjust {
			moved[name] = true
		}
	}
	was := map[string]*Component{}
	for i := range old {
		was[old[i].Name] = &old[i]
	}
	for i := range new {
		c := &new[i]
		if before := was[c.Name]; before != nil {
			action, why := compare(before, c)
			add(c.Name, action, why)
			delete(was, c.Name)
		} else {
			add(c.Name, Start, "")
		}
	}
	for i := range old {
		if was[old[i].Name] != nil {
			add(old[i].Name, Stop, "")
		}
	}
	return moved
}

// live are the properties of channels that a running channel can take.
var live = []string{"capacity", "transactionCapacity", "keep-alive", "byteCapacity", "byteCapacityBufferPercentage"}

func channelChange(a, b *Component, all string) (Action, string) {
	if why := kindChange(a, b, all); why != "" {
		return Restart, why
	}
	changed := changedProperties(a.Kind, a.Settings, b.Settings)
	if len(changed) == 0 {
		return Keep, ""
	}
	why := strings.Join(changed, ", ") + " changed"
	for _, name := range changed {
		if !slices.Contains(live, name) || a.Kind == nil || a.Kind.Name != "memory" && a.Kind.Name != "file" {
			return Restart, why
		}
	}
	return Adjust, why
}

// endChange compares two forms of a source or a sink. moved are the channels
// that start or run anew.
func endChange(a, b *Component, all string, moved map[string]bool) (Action, string) {
	if why := kindChange(a, b, all); why != "" {
		return Restart, why
	}
	if changed := changedProperties(a.Kind, a.Settings, b.Settings); len(changed) > 0 {
		return Restart, strings.Join(changed, ", ") + " changed"
	}
	if !slices.Equal(a.Channels, b.Channels) {
		return Restart, "its channels changed"
	}
	for _, name := range b.Channels {
		if moved[name] {
			return Restart, fmt.Sprintf("its channel %s runs anew", name)
		}
	}
	return Keep, ""
}

func kindChange(a, b *Component, all string) string {
	if a.Kind != b.Kind {
		return "type changed"
	}
	return all
}

// groupOf is the group of a sink, nil where it has none.
func (a *Agent) groupOf(sink string) *Group {
	for i := range a.Groups {
		if slices.Contains(a.Groups[i].Sinks, sink) {
			return &a.Groups[i]
		}
	}
	return nil
}

func groupChange(a, b *Group) string {
	switch {
	case a == nil && b == nil:
		return ""
	case a == nil:
		return fmt.Sprintf("it joins group %s", b.Name)
	case b == nil:
		return fmt.Sprintf("it leaves group %s", a.Name)
	case a.Name != b.Name || a.Processor != b.Processor || !slices.Equal(a.Sinks, b.Sinks):
		return fmt.Sprintf("its group %s changed", b.Name)
	}
	if changed := changedProperties(nil, a.Settings, b.Settings); len(changed) > 0 && !slices.Equal(changed, []string{"sinks"}) {
		return fmt.Sprintf("%s of group %s changed", strings.Join(changed, ", "), b.Name)
	}
	return ""
}

// changedProperties are the properties whose text or default differs, sorted,
// without those that nothing reads and those that say what Channels says.
func changedProperties(kind *kinds.Kind, a, b Settings) []string {
	before, after := a.Values(), b.Values()
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, name := range []string{"type", "channel", "channels"} {
		delete(names, name)
	}
	if kind != nil {
		read := map[string]bool{}
		for _, values := range []map[string]Value{before, after} {
			unread := map[string]bool{}
			for _, u := range UnknownProperties(kind, values) {
				unread[u.Name] = true
			}
			for name := range values {
				read[name] = read[name] || !unread[name]
			}
		}
		for name := range names {
			if !read[name] {
				delete(names, name)
			}
		}
	}
	var out []string
	for name := range names {
		if p := a.property(name); p != nil && p.Support == kinds.Ignored {
			continue
		}
		if a.String(name) != b.String(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
