// Package node starts everything of a node in order and stops it in reverse.
// It is where the parts are joined; it decides nothing else.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/kafka"
	"github.com/sluicehq/sluice/topologies"
)

// Options are what a node needs besides its settings.
type Options struct {
	Config  config.Node
	Version string
	Log     *slog.Logger
	// Fatal is told the one error after which the node must end: a disk that
	// failed. The default prints it and exits with 74.
	Fatal func(error)
}

// Node runs agents over one store.
type Node struct {
	opt     Options
	store   *persistence.Store
	tree    *supervise.Tree
	started time.Time

	broker    *broker.Broker // nil: the node serves no topics
	kafka     *kafka.Server
	kafkaAddr string
	unwatch   func()
	topics    *topics
	// autoCreate says whether topics come into being when they are asked for.
	autoCreate atomic.Bool

	changing sync.Mutex // one deployment at a time
	mu       sync.Mutex // what is below
	agents   map[string]*agent.Agent
	deployed map[string]*topologies.Topology
	draining bool
}

var _ admin.Node = (*Node)(nil)

// Start opens the store of a node and its actor system. It answers in well
// under a second unless the store was not closed in order.
func Start(o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Fatal == nil {
		o.Fatal = exit
	}
	flush, err := persistence.ParsePolicy(o.Config.Flush)
	if err != nil {
		return nil, err
	}
	store, err := persistence.Open(o.Config.Dir, persistence.Options{
		Flush: flush, Threshold: int(o.Config.ValueThreshold), MinFree: o.Config.MinFree, Log: o.Log, Fatal: o.Fatal,
	})
	if err != nil {
		return nil, err
	}
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(quiet{o.Log.Handler()}) }),
		actor.WithDeadLetterRequestLogging(false),
	)
	n := &Node{
		opt: o, store: store, tree: supervise.NewTree(system, o.Log), started: time.Now(),
		agents: map[string]*agent.Agent{}, deployed: map[string]*topologies.Topology{},
	}
	n.topics = &topics{n: n}
	if err := n.startBroker(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), answersMax)
		defer cancel()
		return nil, errors.Join(err, n.Stop(ctx))
	}
	return n, nil
}

// exit ends the process: a store that failed to write is never asked to go on.
func exit(err error) {
	fmt.Fprintf(os.Stderr, "sluice: %v: the node stops; what was acknowledged is on disk\n", err)
	os.Exit(74)
}

// Stop ends the node: sources first, then the sinks deliver what they can until
// ctx ends, then clients have their answers, then the store is closed.
func (n *Node) Stop(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.mu.Lock()
	n.draining = true
	agents := make([]*agent.Agent, 0, len(n.agents))
	for _, a := range n.agents {
		agents = append(agents, a)
	}
	n.mu.Unlock()
	var wait sync.WaitGroup
	for _, a := range agents {
		wait.Go(func() { a.Stop(ctx) })
	}
	wait.Wait() // some of them are clients of this node
	closed := n.closeKafka(context.WithoutCancel(ctx))
	if n.broker != nil {
		n.broker.Stop()
	}
	n.tree.System().Shutdown()
	return errors.Join(closed, n.store.Close())
}

// Deploy makes t the running topology of its name. When an agent of it cannot
// start, those already changed go back to what they were.
func (n *Node) Deploy(ctx context.Context, t *topologies.Topology) (topologies.Plan, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.mu.Lock()
	draining, old := n.draining, n.deployed[t.Name]
	n.mu.Unlock()
	if draining {
		return topologies.Plan{}, admin.ErrDraining
	}
	plan, err := n.plan(old, t)
	if err != nil {
		return topologies.Plan{}, err
	}
	if err := n.makeTopics(ctx, old, t); err != nil {
		return topologies.Plan{}, err
	}
	if err := n.change(ctx, t.Name, old, t); err != nil {
		if back := n.change(context.WithoutCancel(ctx), t.Name, t, old); back != nil {
			n.opt.Log.Error("the topology before could not be restored", "topology", t.Name, "err", back)
		}
		return topologies.Plan{}, fmt.Errorf("%w: %w", admin.ErrBadConfig, err)
	}
	n.mu.Lock()
	n.deployed[t.Name] = t
	n.mu.Unlock()
	n.opt.Log.Info("topology deployed", "topology", t.Name, "plan", plan.String())
	return plan, nil
}

// change brings the agents of old to what next says. Either may be nil.
func (n *Node) change(ctx context.Context, name string, old, next *topologies.Topology) error {
	if old == nil {
		old = &topologies.Topology{}
	}
	if next == nil {
		next = &topologies.Topology{}
	}
	for i := range next.Agents {
		a := &next.Agents[i]
		if running, ok := n.agent(a.Name); ok {
			if err := running.Apply(ctx, a); err != nil {
				return err
			}
			continue
		}
		started, err := agent.Start(ctx, n.agentEnv(name), a)
		if err != nil {
			return err
		}
		n.mu.Lock()
		n.agents[a.Name] = started
		n.mu.Unlock()
	}
	for i := range old.Agents {
		a := old.Agents[i].Name
		if _, stays := next.Agent(a); stays {
			continue
		}
		if running, ok := n.agent(a); ok {
			running.Stop(ctx)
			n.mu.Lock()
			delete(n.agents, a)
			n.mu.Unlock()
		}
	}
	return nil
}

func (n *Node) agentEnv(topology string) agent.Env {
	return agent.Env{
		Topology: topology, Store: n.store, Tree: n.tree, Log: n.opt.Log, Dir: n.opt.Config.Dir,
		AllowExec: n.opt.Config.AllowExec, Fatal: n.opt.Fatal, Topics: n.sinkTopics(),
	}
}

func (n *Node) agent(name string) (*agent.Agent, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.agents[name]
	return a, ok
}

// Undeploy stops and forgets the topology called name. What its durable
// channels hold stays on disk.
func (n *Node) Undeploy(ctx context.Context, name string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.mu.Lock()
	old := n.deployed[name]
	n.mu.Unlock()
	if old == nil {
		return fmt.Errorf("%w: topology %s", admin.ErrNotFound, name)
	}
	if err := n.change(ctx, name, old, nil); err != nil {
		return err
	}
	n.mu.Lock()
	delete(n.deployed, name)
	n.mu.Unlock()
	return nil
}

// Status is how the node is now.
func (n *Node) Status() admin.Status {
	n.mu.Lock()
	agents := make([]*agent.Agent, 0, len(n.agents))
	for _, a := range n.agents {
		agents = append(agents, a)
	}
	s := admin.Status{
		Node: n.opt.Config.Name, Version: n.opt.Version, PID: os.Getpid(), Dir: n.opt.Config.Dir,
		Started: n.started, Draining: n.draining, Insecure: n.opt.Config.InsecurePublic,
	}
	n.mu.Unlock()
	slices.SortFunc(agents, func(a, b *agent.Agent) int { return strings.Compare(a.Name(), b.Name()) })
	for _, a := range agents {
		st := a.Status()
		s.Agents = append(s.Agents, st)
		s.Ledger.Add(st.Ledger)
	}
	s.Store.Writable = true
	if err := n.store.Writable(); err != nil {
		s.Store.Writable, s.Store.Reason = false, err.Error()
	}
	for _, d := range n.store.Doubts() {
		s.Store.InDoubt = append(s.Store.InDoubt, d.String())
	}
	figures, err := n.store.Figures()
	if err != nil {
		n.opt.Log.Warn("the store's sizes are not known", "err", err)
	}
	s.Store.FreeBytes, s.Store.Badger = figures.Free, admin.Badger(figures.Badger)
	s.Kafka = n.kafkaStatus()
	return s
}

// ActorTree is the supervision tree.
func (n *Node) ActorTree() admin.ActorNode {
	root := admin.ActorNode{Name: n.opt.Config.Name, Path: "", Kind: "node", State: agent.Running, Since: n.started}
	at := map[string]int{}
	for _, p := range n.tree.Parts("") {
		node := actorNode(p)
		if parent := parentOf(p.Path); parent != "" {
			if i, ok := at[parent]; ok {
				root.Children[i].Children = append(root.Children[i].Children, node)
				continue
			}
		}
		at[p.Path] = len(root.Children)
		root.Children = append(root.Children, node)
	}
	return root
}

// parentOf is the agent of a part ("agent/a1" of "agent/a1/sink/k1"), or the
// broker.
func parentOf(path string) string {
	if strings.HasPrefix(path, "broker/") {
		return "broker"
	}
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

func actorNode(p supervise.Part) admin.ActorNode {
	node := admin.ActorNode{
		Name: p.Path[strings.LastIndexByte(p.Path, '/')+1:], Path: p.Path, Kind: p.Kind, State: agent.State(p.State),
		Since: p.Since, Restarts: int64(p.Restarts), Failure: p.Reason, FailedAt: p.FailedAt, RetryAt: p.RetryAt,
		Mailbox: int(p.Mailbox), Messages: p.Messages, BusySeconds: p.Busy.Seconds(),
	}
	if p.State == supervise.Backoff || p.State == supervise.Failed {
		node.Reason = p.Reason
	}
	return node
}

// InspectActor is the part of the tree at path.
func (n *Node) InspectActor(path string) (admin.ActorNode, error) {
	var found *admin.ActorNode
	n.ActorTree().Walk(func(node admin.ActorNode, _ int) {
		if node.Path == path {
			found = &node
		}
	})
	if found == nil {
		return admin.ActorNode{}, fmt.Errorf("%w: actor %s", admin.ErrNotFound, path)
	}
	return *found, nil
}

// RestartActor starts the actor at path anew, also one that was given up.
func (n *Node) RestartActor(path string) error {
	return n.disturb(func() error { return n.tree.Restart(path) })
}

// KillActor makes the actor at path fail; its supervisor heals that.
func (n *Node) KillActor(path string) error {
	return n.disturb(func() error { return n.tree.Kill(path, "killed on purpose") })
}

func (n *Node) disturb(do func() error) error {
	if !n.opt.Config.AllowChaos {
		return admin.ErrNoChaos
	}
	err := do()
	if errors.Is(err, supervise.ErrNoPart) {
		return fmt.Errorf("%w: %w", admin.ErrNotFound, err)
	}
	return err
}

// quiet passes on what protoactor logs as warnings: its supervision is ours.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

func (q quiet) WithGroup(g string) slog.Handler { return quiet{q.Handler.WithGroup(g)} }
