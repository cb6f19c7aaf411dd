// Package supervise is what becomes of an actor that panics: it is started
// anew, later and later, and after too many times in a row it is left FAILED
// for everybody to see. It builds the Props of every actor of ours, keeps the
// stack of a panic, and knows the state of every part of a node.
package supervise

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Policy says when a failed actor runs again.
type Policy struct {
	Min, Max time.Duration // first and longest wait; each is twice the one before
	GiveUp   int           // failures in a row before it stays FAILED; 0 is never
	Calm     time.Duration // a run this long ends the row
}

// Default is the policy of the parts of an agent. With it a part that panics at
// every start is left alone after about ten minutes.
var Default = Policy{Min: 100 * time.Millisecond, Max: 30 * time.Second, GiveUp: 30, Calm: time.Minute}

// Wait is how long to wait after the nth failure in a row, counted from 1,
// with up to a fifth more so that parts which failed together do not come back
// together.
func (p Policy) Wait(n int) time.Duration {
	d := p.Max
	if shift := n - 1; shift < 30 && p.Min<<shift < p.Max {
		d = p.Min << shift
	}
	return d + rand.N(d/5+1)
}

// Failure is what an actor of ours panics with: the reason and where it was.
type Failure struct {
	Reason any
	Stack  []byte
}

func (f *Failure) Error() string { return fmt.Sprint(f.Reason) }

// Kill makes the actor that receives it fail, on purpose. For faults from outside.
type Kill struct{ Why string }

// Restart makes the actor that receives it start anew at once.
// It is no failure and does not count as one.
type Restart struct{}

// restartWanted is the panic of an actor that was asked to start anew.
type restartWanted struct{}

// Props builds the props of an actor of ours. kind is what its part of the
// tree is called ("source", "channel", …), policy what happens to its children.
func (t *Tree) Props(kind string, policy Policy, produce func() actor.Actor) *actor.Props {
	meter := new(meter)
	return actor.PropsFromProducer(
		func() actor.Actor { return &guarded{inner: produce(), tree: t, kind: kind, meter: meter} },
		actor.WithSupervisor(&strategy{tree: t, policy: policy}),
		actor.WithMailbox(newMailbox(meter)),
	)
}

// guarded is an actor whose panics keep their stack and whose life the tree knows.
type guarded struct {
	inner actor.Actor
	tree  *Tree
	kind  string
	meter *meter
}

// Receive passes every message on to the inner actor.
func (g *guarded) Receive(ctx actor.Context) {
	defer g.meter.worked(time.Now())
	defer g.keepStack()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		g.tree.started(ctx.Self(), g.kind, g.meter)
	case *actor.Stopped:
		g.inner.Receive(ctx)
		g.tree.stopped(ctx.Self())
		return
	case Kill:
		panic(m.Why)
	case Restart:
		panic(restartWanted{})
	}
	g.inner.Receive(ctx)
}

func (g *guarded) keepStack() {
	r := recover()
	if r == nil {
		return
	}
	g.meter.MessageReceived(nil) // the mailbox does not say so of a message that panics
	switch r.(type) {
	case *Failure, restartWanted:
		panic(r)
	default:
		panic(&Failure{Reason: r, Stack: debug.Stack()})
	}
}

// strategy restarts a failed child alone.
type strategy struct {
	tree   *Tree
	policy Policy
}

// HandleFailure is called by the parent of the actor that failed.
func (s *strategy) HandleFailure(_ *actor.ActorSystem, parent actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, _ any) {
	again := func() { parent.RestartChildren(child) }
	if _, wanted := reason.(restartWanted); wanted {
		again()
		return
	}
	if wait, ok := s.tree.failed(child, s.policy, reason, again); ok {
		time.AfterFunc(wait, again)
	}
}

// Guardian is what becomes of actors that have no parent.
func (t *Tree) Guardian() actor.SupervisorStrategy { return &strategy{tree: t, policy: Default} }
