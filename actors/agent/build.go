package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// channelMakers lists every channel by the name of its kind.
var channelMakers = map[string]func(*Agent, *topologies.Component, *channel.Spec) error{
	"memory":          (*Agent).memoryChannel,
	"file":            (*Agent).fileChannel,
	"kafka":           (*Agent).kafkaChannel,
	"spillablememory": (*Agent).spillableChannel,
}

// heap stands for the JVM heap of which Flume's byteCapacity is 80 %.
const heap = 512 << 20

// channelSpecs makes what the channels of next need that start or change. It
// touches nothing that runs.
func (g *Agent) channelSpecs(next *topologies.Agent, fate map[string]topologies.Action) (map[string]*channel.Spec, error) {
	specs := map[string]*channel.Spec{}
	for i := range next.Channels {
		c := &next.Channels[i]
		if !begins(fate[c.Name]) && fate[c.Name] != topologies.Adjust {
			continue
		}
		spec := &channel.Spec{Agent: g.name, Name: c.Name, Store: g.env.Store}
		if err := channelMakers[c.Kind.Name](g, c, spec); err != nil {
			return nil, fmt.Errorf("%s: channel %s: %w", c.Pos, c.Name, err)
		}
		if err := c.Settings.Err(); err != nil {
			return nil, err
		}
		specs[c.Name] = spec
	}
	return specs, nil
}

func (g *Agent) memoryChannel(c *topologies.Component, spec *channel.Spec) error {
	s := c.Settings
	spec.Capacity = s.Int("capacity")
	spec.KeepAlive = s.Duration("keep-alive")
	bytes := int64(heap) * 8 / 10
	if s.Has("byteCapacity") {
		bytes = s.Int64("byteCapacity")
	}
	spec.ByteCapacity = int(bytes * int64(100-s.Int("byteCapacityBufferPercentage")) / 100)
	return nil
}

func (g *Agent) fileChannel(c *topologies.Component, spec *channel.Spec) error {
	s := c.Settings
	spec.Capacity = s.Int("capacity")
	spec.KeepAlive = s.Duration("keep-alive")
	flush := persistence.Always
	if s.Has("fsyncPerTransaction") && !s.Bool("fsyncPerTransaction") {
		flush = persistence.Interval(time.Duration(s.Int64("fsyncInterval")) * time.Second)
	}
	return g.openLog(spec, flush)
}

// spillableChannel holds everything in the log, under the lazy policy: as fast
// as memory for its sources, and nothing of it is lost when the process dies.
func (g *Agent) spillableChannel(c *topologies.Component, spec *channel.Spec) error {
	s := c.Settings
	memory, overflow := s.Int("memoryCapacity"), s.Int("overflowCapacity")
	spec.Capacity = memory + overflow
	spec.KeepAlive = s.Duration("overflowTimeout")
	if overflow == 0 {
		spec.ByteCapacity = heap * 8 / 10
		return nil // memory alone
	}
	return g.openLog(spec, persistence.Interval(time.Second))
}

// kafkaChannel holds its events in a topic. Flume bounds it by nothing; here a
// part of what is read waits in memory for the sinks.
func (g *Agent) kafkaChannel(c *topologies.Component, spec *channel.Spec) (err error) {
	spec.Capacity, spec.ByteCapacity = channel.RemoteCapacity, heap/8
	spec.Remote, err = channel.NewRemote(c.Settings, g.env.Log.With("agent", g.name, "channel", c.Name))
	return err
}

func (g *Agent) openLog(spec *channel.Spec, flush persistence.Policy) error {
	log, err := g.env.Store.OpenLog("channel/"+g.name+"/"+spec.Name, persistence.LogOptions{
		Flush: flush, State: channel.StateKeys(g.name, spec.Name),
	})
	spec.Log = log
	return err
}

// startParts starts what begins: channels, then sinks, then sources,
// which it returns.
func (g *Agent) startParts(next *topologies.Agent, fate map[kinds.Category]map[string]topologies.Action, specs map[string]*channel.Spec) (sources []source.Ref, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	under := spawner{g.env.Tree.System(), g.pid}
	for _, c := range next.Channels {
		switch action := fate[kinds.Channel][c.Name]; {
		case begins(action):
			ref, err := channel.Spawn(under, g.env.Tree, specs[c.Name])
			if err != nil {
				return nil, err
			}
			g.channels[c.Name] = channelPart{ref, specs[c.Name], c.Kind.Name}
		case action == topologies.Adjust:
			g.channels[c.Name].ref.Adjust(specs[c.Name])
		}
	}
	for _, spec := range g.sinkSpecs(next, fate[kinds.Sink]) {
		ref, err := sink.Spawn(under, spec.spec)
		if err != nil {
			return nil, err
		}
		spec.ref = ref
		g.sinks[spec.spec.Name] = spec
	}
	for i := range next.Sources {
		c := &next.Sources[i]
		if !begins(fate[kinds.Source][c.Name]) {
			continue
		}
		spec := g.sourceSpec(next, c)
		ref, err := source.Spawn(under, spec)
		if err != nil {
			return nil, err
		}
		g.sources[c.Name] = sourcePart{ref, spec, c.Kind.Name, c.Channels}
		sources = append(sources, ref)
	}
	return sources, nil
}

// replayable are the sources that read again what was not settled.
var replayable = []string{"taildir", "spooldir"}

// replays says whether what was taken from the channel called name comes again
// after a crash: the channel keeps it, or all of its sources read it again.
func (g *Agent) replays(next *topologies.Agent, name string) bool {
	if g.channels[name].ref.Durable() {
		return true
	}
	for _, s := range next.Sources {
		if slices.Contains(s.Channels, name) && !slices.Contains(replayable, s.Kind.Name) {
			return false
		}
	}
	return true
}

// sinkSpecs are the sinks of next that begin, each alone or with its group.
func (g *Agent) sinkSpecs(next *topologies.Agent, fate map[string]topologies.Action) []sinkPart {
	var parts []sinkPart
	grouped := map[string]bool{}
	for _, group := range next.Groups {
		p := sinkPart{group: group.Name}
		for _, name := range group.Sinks {
			for i := range next.Sinks {
				if c := &next.Sinks[i]; c.Name == name {
					grouped[name] = true
					if begins(fate[name]) {
						p.add(g, next, c)
					}
				}
			}
		}
		if p.spec == nil {
			continue
		}
		p.spec.Name = group.Name
		p.spec.Processor = "default"
		if group.Processor != nil {
			p.spec.Processor = group.Processor.Name
		}
		p.spec.Settings = group.Settings.Sub("processor.", group.Processor)
		parts = append(parts, p)
	}
	for i := range next.Sinks {
		c := &next.Sinks[i]
		if grouped[c.Name] || !begins(fate[c.Name]) {
			continue
		}
		var p sinkPart
		p.add(g, next, c)
		p.spec.Processor = "default"
		parts = append(parts, p)
	}
	return parts
}

// batchDefault is how many records a sink takes at once that has no batch size.
const batchDefault = 100

func (p *sinkPart) add(g *Agent, next *topologies.Agent, c *topologies.Component) {
	if p.spec == nil {
		p.spec = &sink.Spec{
			Agent: g.name, Name: c.Name, Compat: next.Compat, Store: g.env.Store, Tree: g.env.Tree,
			Log:         g.env.Log.With("agent", g.name),
			Fatal:       g.env.Fatal,
			Topics:      g.env.Topics,
			DeadLetters: filepath.Join(g.env.Dir, "dead-letters", g.name, c.Name+".jsonl"),
		}
	}
	batch := batchDefault
	if c.Kind.BatchProperty != "" {
		batch = max(1, c.Settings.Int(c.Kind.BatchProperty))
	}
	p.kinds = append(p.kinds, c.Kind.Name)
	p.spec.Members = append(p.spec.Members, &sink.Member{
		Name: c.Name, Settings: c.Settings, Channel: g.channels[c.Channels[0]].ref, Batch: batch,
		Replays: g.replays(next, c.Channels[0]),
		Sole:    sole(next, c) && g.channels[c.Channels[0]].ref.Placed(),
	})
}

// sole says that no other sink of a takes from the channel of c.
func sole(a *topologies.Agent, c *topologies.Component) bool {
	for i := range a.Sinks {
		if s := &a.Sinks[i]; s.Name != c.Name && slices.Equal(s.Channels, c.Channels) {
			return false
		}
	}
	return true
}

func (g *Agent) sourceSpec(next *topologies.Agent, c *topologies.Component) *source.Spec {
	spec := &source.Spec{
		Agent: g.name, Name: c.Name, Settings: c.Settings, Compat: next.Compat, AllowExec: g.env.AllowExec,
		Dir: filepath.Join(g.env.Dir, "agents", g.name, c.Name),
		// A request has one answer, and netcat tries a refused batch again line by
		// line: neither may be stored in part.
		Whole: c.Kind.Name == "http" || c.Kind.Name == "netcat",
		Store: g.env.Store, Tree: g.env.Tree,
		Log: g.env.Log.With("agent", g.name, "source", c.Name),
	}
	for _, name := range c.Channels {
		if p, ok := g.channels[name]; ok {
			spec.Channels = append(spec.Channels, p.ref)
		}
	}
	optional := c.Settings.List("selector.optional")
	spec.Optional = func(i int) bool { return slices.Contains(optional, spec.Channels[i].Name()) }
	return spec
}
