// Package topologies is what a user writes down: agents with their sources,
// channels and sinks, and how they connect; and topics.
package topologies

import "github.com/sluicehq/sluice/topologies/kinds"

// Topology is everything one definition deploys.
type Topology struct {
	Name   string // the file's base name unless the file says otherwise
	Agents []Agent
	Topics []Topic
}

// Agent is one Flume agent. Components stand in the order of its lists.
type Agent struct {
	Name     string
	Pos      Pos
	Sources  []Component
	Channels []Component
	Sinks    []Component
	Groups   []Group
	// Compat is true where Flume's defects are wanted too (compat=flume).
	Compat bool
}

// Component is a source, a channel or a sink.
type Component struct {
	Name     string
	Kind     *kinds.Kind
	Settings Settings
	// Channels are the names of a source's channels in file order; a sink has
	// one, a channel none.
	Channels []string
	Pos      Pos // where the component is first named
}

// Group is a sink group: its sinks take turns under a processor.
type Group struct {
	Name      string
	Sinks     []string
	Processor *kinds.Kind // default, failover or load_balance
	Settings  Settings    // of the group: "processor.priority.k1"
	Pos       Pos
}

// Agent finds the agent called name.
func (t *Topology) Agent(name string) (*Agent, bool) {
	for i := range t.Agents {
		if t.Agents[i].Name == name {
			return &t.Agents[i], true
		}
	}
	return nil, false
}
