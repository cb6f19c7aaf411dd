package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// Env is what an agent gets from its node.
type Env struct {
	Topology  string // the definition it belongs to
	Store     *persistence.Store
	Tree      *supervise.Tree
	Log       *slog.Logger
	Dir       string // of the node; the agent keeps its small files below
	AllowExec bool
	Fatal     func(error) // ends the node
	// Topics are those of the node; nil: it serves none.
	Topics sink.Topics
}

// Agent builds the parts of one agent, changes them and stops them. Its
// methods block; they are for goroutines that are not actors.
type Agent struct {
	env     Env
	name    string
	pid     *actor.PID
	started time.Time

	changing sync.Mutex // one change at a time
	mu       sync.Mutex // what is below
	now      *topologies.Agent
	halted   bool
	channels map[string]channelPart
	sinks    map[string]sinkPart // by sink or group
	sources  map[string]sourcePart
}

type channelPart struct {
	ref  channel.Ref
	spec *channel.Spec
	kind string
}

// awaitRemote returns when a Kafka channel that has ended has left its group.
func (p channelPart) awaitRemote() {
	if p.spec.Remote != nil {
		p.spec.Remote.AwaitEnd()
	}
}

type sinkPart struct {
	ref   sink.Ref
	spec  *sink.Spec
	group string // "" for a sink of its own
	kinds []string
}

type sourcePart struct {
	ref  source.Ref
	spec *source.Spec
	kind string
	to   []string
}

// Start runs a, or says why it cannot.
func Start(ctx context.Context, env Env, a *topologies.Agent) (*Agent, error) {
	g := &Agent{
		env: env, name: a.Name, started: time.Now(), now: &topologies.Agent{Name: a.Name, Compat: a.Compat},
		channels: map[string]channelPart{}, sinks: map[string]sinkPart{}, sources: map[string]sourcePart{},
	}
	lives := new(int)
	props := env.Tree.Props("agent", supervise.Default, func() actor.Actor {
		return &Actor{lives: lives, rebuild: func() { go g.rebuild() }}
	})
	system := env.Tree.System()
	pid, err := system.Root.WithGuardian(env.Tree.Guardian()).SpawnNamed(props, "agent/"+a.Name)
	if err != nil {
		return nil, fmt.Errorf("start agent %s: %w", a.Name, err)
	}
	g.pid = pid
	if err := g.Apply(ctx, a); err != nil {
		g.Stop(ctx)
		return nil, err
	}
	return g, nil
}

// Name of the agent.
func (g *Agent) Name() string { return g.name }

// Definition is what the agent runs.
func (g *Agent) Definition() *topologies.Agent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// Apply changes the running agent into next: what differs is halted and started
// anew, what does not goes on. When next cannot run, nothing is changed.
func (g *Agent) Apply(ctx context.Context, next *topologies.Agent) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	if err := check(next); err != nil {
		return err
	}
	old := g.Definition()
	fate := map[kinds.Category]map[string]topologies.Action{
		kinds.Source: {}, kinds.Channel: {}, kinds.Sink: {},
	}
	plan := topologies.Diff(&topologies.Topology{Agents: []topologies.Agent{*old}}, &topologies.Topology{Agents: []topologies.Agent{*next}})
	for _, c := range plan.Changes {
		fate[c.Category][c.Name] = c.Action
	}
	for i := range next.Sinks { // one that is alone at its channel may promise more
		c := &next.Sinks[i]
		if fate[kinds.Sink][c.Name] == topologies.Keep && sole(old, c) != sole(next, c) {
			fate[kinds.Sink][c.Name] = topologies.Restart
		}
	}
	specs, err := g.channelSpecs(next, fate[kinds.Channel])
	if err != nil {
		return err
	}
	if err := g.haltParts(ctx, fate); err != nil {
		return err
	}
	g.mu.Lock()
	g.now = next
	g.mu.Unlock()
	started, err := g.startParts(next, fate, specs)
	if err != nil {
		return err
	}
	g.awaitOpen(ctx, started)
	return nil
}

// openMax is how long whoever starts an agent waits for its sources to listen.
const openMax = 10 * time.Second

// awaitOpen returns when sources can be reached. One that takes longer shows
// where its state does; that is no reason to undo the rest.
func (g *Agent) awaitOpen(ctx context.Context, sources []source.Ref) {
	bounded, cancel := context.WithTimeout(ctx, openMax)
	defer cancel()
	for _, s := range sources {
		if s.AwaitOpen(bounded) != nil {
			g.env.Log.Warn("source is not open yet", "source", s.Name())
		}
	}
}

// check says what of a cannot run at all.
func check(a *topologies.Agent) error {
	var errs []error
	refuse := func(c topologies.Component, what string) {
		name := ""
		if c.Kind != nil {
			name = c.Kind.Name
		}
		errs = append(errs, fmt.Errorf("%s: %s %s: type %q cannot run", c.Pos, what, c.Name, name))
	}
	for _, c := range a.Sources {
		if c.Kind == nil || !source.Known(c.Kind.Name) {
			refuse(c, "source")
		}
	}
	for _, c := range a.Sinks {
		if c.Kind == nil || !sink.Known(c.Kind.Name) {
			refuse(c, "sink")
		}
	}
	for _, c := range a.Channels {
		if c.Kind == nil || channelMakers[c.Kind.Name] == nil {
			refuse(c, "channel")
		}
	}
	return errors.Join(errs...)
}

func ends(a topologies.Action) bool { return a == topologies.Stop || a == topologies.Restart }

func begins(a topologies.Action) bool { return a == topologies.Start || a == topologies.Restart }

// haltParts stops what goes: sources first, so that nothing new comes, then
// sinks, then channels.
func (g *Agent) haltParts(ctx context.Context, fate map[kinds.Category]map[string]topologies.Action) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, p := range g.sources {
		if ends(fate[kinds.Source][name]) {
			if err := g.end(ctx, p.ref.Halt, p.ref.PID()); err != nil {
				return fmt.Errorf("stop source %s: %w", name, err)
			}
			delete(g.sources, name)
		}
	}
	g.drainEnding(ctx, fate[kinds.Channel])
	for name, p := range g.sinks {
		goes := false
		for _, m := range p.spec.Members {
			goes = goes || ends(fate[kinds.Sink][m.Name])
		}
		if !goes {
			continue
		}
		for _, m := range p.spec.Members { // the others of a group start anew with it
			if fate[kinds.Sink][m.Name] == topologies.Keep {
				fate[kinds.Sink][m.Name] = topologies.Restart
			}
		}
		if err := g.end(ctx, p.ref.Halt, p.ref.PID()); err != nil {
			return fmt.Errorf("stop sink %s: %w", name, err)
		}
		delete(g.sinks, name)
	}
	for name, p := range g.channels {
		if ends(fate[kinds.Channel][name]) {
			if err := g.end(ctx, nil, p.ref.PID()); err != nil {
				return fmt.Errorf("stop channel %s: %w", name, err)
			}
			p.awaitRemote()
			delete(g.channels, name)
		}
	}
	return nil
}

// drainEnding lets the sinks deliver what the memory channels that go still
// hold, within haltMax.
func (g *Agent) drainEnding(ctx context.Context, fate map[string]topologies.Action) {
	ending := map[string]channelPart{}
	for name, p := range g.channels {
		if ends(fate[name]) {
			ending[name] = p
		}
	}
	bounded, cancel := context.WithTimeout(ctx, haltMax)
	defer cancel()
	g.drainMemory(bounded, ending, g.sinks)
}

// end halts a part in an orderly way, within haltMax, and stops its actor.
func (g *Agent) end(ctx context.Context, halt func(context.Context) error, pid *actor.PID) error {
	if halt != nil {
		bounded, cancel := context.WithTimeout(ctx, haltMax)
		err := halt(bounded)
		cancel()
		if err != nil {
			g.env.Log.Warn("part did not stop in time", "part", pid.Id, "err", err)
		}
	}
	g.env.Tree.System().Root.Stop(pid)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), haltMax)
	defer cancel()
	return g.env.Tree.AwaitGone(bounded, pid.Id)
}

// haltMax is how long a part may take to stop by itself.
const haltMax = 15 * time.Second

// rebuild starts all parts anew after the agent's own actor failed: they died
// with it. Each goes on with what it is made of, once its last run is over.
func (g *Agent) rebuild() {
	g.changing.Lock()
	defer g.changing.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.halted {
		return
	}
	if err := g.respawn(); err != nil {
		g.env.Log.Error("agent not rebuilt", "agent", g.name, "err", err)
	}
}

func (g *Agent) respawn() error {
	under := spawner{g.env.Tree.System(), g.pid}
	for name, p := range g.channels {
		ref, err := channel.Spawn(under, g.env.Tree, p.spec)
		if err != nil {
			return err
		}
		p.ref = ref
		g.channels[name] = p
	}
	for name, p := range g.sinks {
		p.spec.AwaitRun()
		for _, m := range p.spec.Members {
			m.Channel = g.channels[m.Channel.Name()].ref
		}
		ref, err := sink.Spawn(under, p.spec)
		if err != nil {
			return err
		}
		p.ref = ref
		g.sinks[name] = p
	}
	for name, p := range g.sources {
		p.spec.AwaitRun()
		for i, c := range p.spec.Channels {
			p.spec.Channels[i] = g.channels[c.Name()].ref
		}
		ref, err := source.Spawn(under, p.spec)
		if err != nil {
			return err
		}
		p.ref = ref
		g.sources[name] = p
	}
	return nil
}

// Stop ends the agent: sources first, then the sinks deliver what memory
// channels hold, for as long as ctx allows, then the rest.
func (g *Agent) Stop(ctx context.Context) {
	g.changing.Lock()
	defer g.changing.Unlock()
	g.mu.Lock()
	g.halted = true
	sources, sinks, channels := g.sources, g.sinks, g.channels
	g.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range sources {
		wait.Go(func() { _ = g.end(ctx, p.ref.Halt, p.ref.PID()) })
	}
	wait.Wait()
	g.drainMemory(ctx, channels, sinks)
	for _, p := range sinks {
		wait.Go(func() { _ = g.end(ctx, p.ref.Halt, p.ref.PID()) })
	}
	wait.Wait()
	for _, p := range channels {
		_ = g.end(ctx, nil, p.ref.PID())
		p.awaitRemote()
	}
	_ = g.end(ctx, nil, g.pid)
}

// drainMemory waits until the memory channels that have sinks are empty.
func (g *Agent) drainMemory(ctx context.Context, channels map[string]channelPart, sinks map[string]sinkPart) {
	drained := map[string]bool{}
	for _, s := range sinks {
		for _, m := range s.spec.Members {
			drained[m.Channel.Name()] = true
		}
	}
	for name, c := range channels {
		for drained[name] && !c.ref.Durable() {
			s, err := c.ref.Inspect(ctx)
			if err != nil {
				g.env.Log.Warn("channel not drained", "channel", name, "err", err)
				break
			}
			if s.Held == 0 {
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				g.env.Log.Warn("memory channel stopped with records in it", "channel", name, "records", s.Held)
				drained[name] = false
			}
		}
	}
}
