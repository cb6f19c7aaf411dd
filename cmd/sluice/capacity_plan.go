package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// capacityAsked is the load to plan for, and where each number came from.
type capacityAsked struct {
	Rate         float64 `json:"recordsPerSecond"`
	Size         int     `json:"bytes"`
	Replicas     int     `json:"replicas"`
	RateFrom     string  `json:"rateFrom"` // flag, file or default
	SizeFrom     string  `json:"sizeFrom"`
	ReplicasFrom string  `json:"replicasFrom"`
}

// The load where neither flags nor the file say one. The size is the mean of
// the lines that e2e/gen makes.
const (
	usualRate     = 100_000
	usualSize     = 208
	usualReplicas = 1
	// usualPartitions are those of a topic that does not say, as of serve.
	usualPartitions = 4
)

func askedOf(f *capacityFlags, t *topologies.Topology) capacityAsked {
	const flag, file, standard = "flag", "file", "default"
	a := capacityAsked{usualRate, usualSize, usualReplicas, standard, standard, standard}
	limit, size := 0, 0
	for i := range t.Agents {
		for _, s := range t.Agents[i].Sources {
			if s.Kind.Name == "stress" {
				limit += max(s.Settings.Int("maxEventsPerSecond"), 0)
				size = max(size, s.Settings.Int("size"))
			}
		}
	}
	if limit > 0 {
		a.Rate, a.RateFrom = float64(limit), file
	}
	if size >= 8 && size <= capacitySizeMax {
		a.Size, a.SizeFrom = size, file
	}
	for i := range t.Topics {
		if n := t.Topics[i].Count(t.Topics[i].Replicas); n > 0 && (a.ReplicasFrom != file || n > a.Replicas) {
			a.Replicas, a.ReplicasFrom = n, file
		}
	}
	if f.rate > 0 {
		a.Rate, a.RateFrom = f.rate, flag
	}
	if f.size > 0 {
		a.Size, a.SizeFrom = f.size, flag
	}
	if f.replicas > 0 {
		a.Replicas, a.ReplicasFrom = f.replicas, flag
	}
	return a
}

// way is a channel of an agent with all that writes into it and all that reads
// from it: what records pass on their way through.
type way struct {
	name    string // agent.channel
	agent   string
	compat  bool
	channel topologies.Component
	sources []topologies.Component
	sinks   []topologies.Component
	groups  []topologies.Group // of these sinks alone
}

// waysOf are the ways through the agents of t, and remarks on what they leave
// out.
func waysOf(t *topologies.Topology) (ways []way, absent []string) {
	if len(t.Agents) == 0 {
		absent = append(absent, "no agents: no source, channel or sink is measured")
	}
	for i := range t.Agents {
		a := &t.Agents[i]
		for _, c := range a.Channels {
			w := way{name: a.Name + "." + c.Name, agent: a.Name, compat: a.Compat, channel: c}
			for _, s := range a.Sources {
				if !slices.Contains(s.Channels, c.Name) {
					continue
				}
				w.sources = append(w.sources, s)
				if len(s.Channels) > 1 {
					absent = append(absent, fmt.Sprintf("%s: source %s writes into %s too; each channel is measured as if it were alone",
						w.name, s.Name, strings.Join(slices.DeleteFunc(slices.Clone(s.Channels), func(n string) bool { return n == c.Name }), ", ")))
				}
			}
			for _, k := range a.Sinks {
				if slices.Contains(k.Channels, c.Name) {
					w.sinks = append(w.sinks, k)
				}
			}
			for _, g := range a.Groups {
				switch mine := inWay(w.sinks, g.Sinks); {
				case mine == len(g.Sinks):
					w.groups = append(w.groups, g)
				case mine > 0:
					absent = append(absent, fmt.Sprintf("%s: group %s has sinks of other channels; its sinks are measured without it", w.name, g.Name))
				}
			}
			if len(w.sources) == 0 {
				absent = append(absent, w.name+": no source writes into this channel")
			}
			if len(w.sinks) == 0 {
				absent = append(absent, w.name+": no sink reads from this channel")
			}
			ways = append(ways, w)
		}
	}
	return ways, absent
}

func inWay(sinks []topologies.Component, names []string) (n int) {
	for _, k := range sinks {
		if slices.Contains(names, k.Name) {
			n++
		}
	}
	return n
}

// sinkRate is what the sinks of a way do together. Those of a group are driven
// as one: a failover group uses its first, others take turns.
func (w *way) sinkRate(of map[string]float64) float64 {
	var units []float64
	grouped := map[string]bool{}
	for _, g := range w.groups {
		var rates []float64
		first, highest := 0.0, 0
		for i, name := range g.Sinks {
			grouped[name] = true
			rates = append(rates, of[name])
			if p := g.Settings.Int("processor.priority." + name); i == 0 || p > highest {
				first, highest = of[name], p
			}
		}
		if g.Processor != nil && g.Processor.Name == "load_balance" {
			first = inTurn(rates...)
		}
		units = append(units, first)
	}
	for _, k := range w.sinks {
		if !grouped[k.Name] {
			units = append(units, of[k.Name])
		}
	}
	return addUp(units...)
}

// topicsOf is how many partitions the topics of t are measured with; 0 and why
// not when nothing of Kafka is wanted.
func topicsOf(t *topologies.Topology, wanted bool) (partitions int, why string) {
	for i := range t.Topics {
		n := t.Topics[i].Count(t.Topics[i].Partitions)
		if n == 0 {
			n = usualPartitions
		}
		partitions = max(partitions, n)
	}
	for i := range t.Agents {
		for _, parts := range [][]topologies.Component{t.Agents[i].Sources, t.Agents[i].Channels, t.Agents[i].Sinks} {
			wanted = wanted || slices.ContainsFunc(parts, func(c topologies.Component) bool { return c.Kind.Name == "kafka" })
		}
	}
	if partitions == 0 && wanted {
		partitions = usualPartitions
	}
	return min(partitions, capacityPartitionsMax), "no topics: no partition, producer or consumer is measured; --kafka measures them nevertheless"
}

// capacityPartitionsMax is how many partitions are measured at most: more are
// as fast as these.
const capacityPartitionsMax = 64
