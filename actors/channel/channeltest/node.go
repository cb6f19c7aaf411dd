// Package channeltest judges a kind of channel: it keeps the order, loses and
// repeats nothing, is all or none, and pushes back when it is full. It also
// brings what the tests of sources and sinks need of a node.
package channeltest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Node is a store and an actor system, as a node has them.
type Node struct {
	T      testing.TB
	Dir    string
	Store  *persistence.Store
	System *actor.ActorSystem
	Tree   *supervise.Tree
	Log    *slog.Logger

	pids []*actor.PID
}

// patience is how long a test waits for what should come within milliseconds.
const patience = 20 * time.Second

// Open starts a node over dir. Close it: a bubble ends only when all of it has.
func Open(t testing.TB, dir string) *Node {
	t.Helper()
	n := &Node{T: t, Dir: dir, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
	store, err := persistence.Open(dir, persistence.Options{
		Log: slog.New(slog.DiscardHandler), MinFree: 1 << 20, SkipChild: true,
		Fatal: func(err error) { t.Errorf("the store stopped: %v", err) },
	})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	n.Store = store
	n.System = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterRequestLogging(false),
	)
	n.Tree = supervise.NewTree(n.System, n.Log)
	return n
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// Root spawns actors below the node itself.
func (n *Node) Root() channel.Spawner { return root{n} }

type root struct{ n *Node }

func (r root) ActorSystem() *actor.ActorSystem { return r.n.System }

func (r root) SpawnNamed(props *actor.Props, name string) (*actor.PID, error) {
	pid, err := r.n.System.Root.WithGuardian(r.n.Tree.Guardian()).SpawnNamed(props, name)
	if err == nil {
		r.n.pids = append(r.n.pids, pid)
	}
	return pid, err
}

// Spawn starts a channel.
func (n *Node) Spawn(spec *channel.Spec) channel.Ref {
	n.T.Helper()
	spec.Store = n.Store
	ref, err := channel.Spawn(n.Root(), n.Tree, spec)
	if err != nil {
		n.T.Fatal(err)
	}
	return ref
}

// OpenLog opens the log of the channel called name.
func (n *Node) OpenLog(name string, flush persistence.Policy) *persistence.Log {
	n.T.Helper()
	l, err := n.Store.OpenLog("channel/a1/"+name, persistence.LogOptions{Flush: flush, State: channel.StateKeys("a1", name)})
	if err != nil {
		n.T.Fatal(err)
	}
	return l
}

// Stop ends the actor at pid and returns when it is gone.
func (n *Node) Stop(pid *actor.PID) {
	n.T.Helper()
	n.System.Root.Stop(pid)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Tree.AwaitGone(ctx, pid.Id); err != nil {
		n.T.Error(err)
	}
}

// Close ends all actors, the last first, and the store.
func (n *Node) Close() {
	n.T.Helper()
	for _, pid := range slices.Backward(n.pids) {
		n.Stop(pid)
	}
	n.pids = nil
	n.System.Shutdown()
	if err := n.Store.Close(); err != nil {
		n.T.Errorf("close the store: %v", err)
	}
	<-time.After(2 * time.Second) // protoactor's dead-letter throttle ends its goroutine
}

// Kill makes the actor at path fail, and returns when it runs again.
func (n *Node) Kill(path string) {
	n.T.Helper()
	var before supervise.Part
	n.Until(path+" runs", func() (ok bool) {
		var err error
		before, err = n.Tree.Get(path)
		return err == nil && before.State == supervise.Running
	})
	if err := n.Tree.Kill(path, "killed on purpose"); err != nil {
		n.T.Fatal(err)
	}
	n.Until(path+" is back", func() bool {
		p, err := n.Tree.Get(path)
		return err == nil && p.Restarts > before.Restarts && p.State == supervise.Running
	})
}

// Until asks again and again whether something is so, and ends the test when it
// is not in time.
func (n *Node) Until(what string, so func() bool) {
	n.T.Helper()
	deadline := time.Now().Add(patience)
	for !so() {
		if time.Now().After(deadline) {
			n.T.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// Inspect is how a channel is.
func (n *Node) Inspect(c channel.Ref) channel.Snapshot {
	n.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.Inspect(ctx)
	if err != nil {
		n.T.Fatal(err)
	}
	if s.Carried+s.Put != s.Delivered+s.Dead+s.Held {
		n.T.Fatalf("the channel's ledger does not balance: %+v", s)
	}
	return s
}

// Batch makes a slab of the bodies.
func Batch(bodies ...string) *record.Slab {
	s := record.NewSlab(1024)
	s.SetTime(time.Now().UnixMilli())
	for _, b := range bodies {
		s.Append([]byte(b))
	}
	return s
}

// Numbered are the bodies "first" to "first+n-1", with leading zeros.
func Numbered(first, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%06d", first+i)
	}
	return list
}

// Put puts bodies into channels, waits at most wait for room (0: for ever) and
// then until they are stored.
func (n *Node) Put(ctx context.Context, bodies []string, wait time.Duration, to ...channel.Ref) error {
	shares := make([]channel.Share, len(to))
	for i, c := range to {
		shares[i] = channel.Share{To: c, Batch: Batch(bodies...)}
	}
	return n.PutShares(ctx, shares, wait)
}

// PutShares is channel.Put, and waits until the shares are stored.
func (n *Node) PutShares(ctx context.Context, shares []channel.Share, wait time.Duration) error {
	a := ask.NewAsker(n.System)
	defer a.Close()
	result := make(chan error, 1)
	if err := channel.Put(ctx, a, n.Store, shares, wait, func(err error) { result <- err }); err != nil {
		return err
	}
	return <-result
}

// Sink takes from a channel as a sink does.
type Sink struct {
	n     *Node
	To    channel.Ref
	Taker *channel.Taker
	asker *ask.Asker
}

// Sink returns a sink of the channel.
func (n *Node) Sink(name string, c channel.Ref) *Sink {
	return &Sink{n, c, c.Taker(name), ask.NewAsker(n.System)}
}

// Close ends the sink; what it took and did not commit is offered again.
func (s *Sink) Close() {
	s.Taker.Close()
	s.asker.Close()
}

// Take waits for records and takes up to max of them.
func (s *Sink) Take(max int) (*channel.Lease, []string) {
	s.n.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if err := s.Taker.Await(ctx); err != nil {
			s.n.T.Fatalf("wait for records: %v", err)
		}
		l, err := s.Taker.Take(max)
		if err != nil {
			s.n.T.Fatalf("take: %v", err)
		}
		if l == nil {
			continue
		}
		bodies := Bodies(l)
		l.Release()
		kept := *l // the next take uses it again
		return &kept, bodies
	}
}

// Commit settles leases.
func (s *Sink) Commit(state []persistence.KV, leases ...*channel.Lease) error {
	c := &channel.Commit{Life: leases[0].Life, State: state}
	for _, l := range leases {
		c.Leases = append(c.Leases, l.ID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.To.Commit(ctx, s.asker, c)
}

// TakeAll takes and commits records until there are n.
func (s *Sink) TakeAll(n, max int) []string {
	s.n.T.Helper()
	var all []string
	for len(all) < n {
		l, bodies := s.Take(max)
		if err := s.Commit(nil, l); err != nil {
			s.n.T.Fatalf("commit: %v", err)
		}
		all = append(all, bodies...)
	}
	return all
}

// Bodies are the bodies of a lease that is not released.
func Bodies(l *channel.Lease) []string {
	var list []string
	for _, v := range l.Views {
		for i := v.First; i < v.First+v.Count; i++ {
			list = append(list, string(v.Slab.Body(i)))
		}
	}
	return list
}
