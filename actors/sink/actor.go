package sink

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
)

// Actor runs one sink, or a group of sinks of which one delivers at a time.
type Actor struct {
	*Spec
	run     *run // nil between runs
	retry   *time.Timer
	failed  int // runs in a row that failed
	halting []*actor.PID
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, again:
		a.start(ctx)
	case ended:
		a.ended(ctx, m)
	case Halt:
		a.halt(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.stop()
	}
}

// start begins a run in a goroutine of its own, which may block.
func (a *Actor) start(ctx actor.Context) {
	if a.halted || a.run != nil { // a timer of the life before may still ask for a run
		return
	}
	a.retry = nil
	a.Tree.Note(ctx.Self(), supervise.Running, "", 0)
	a.run = a.begin(ctx.Self())
}

// Times between two runs of a sink that could not go on.
const (
	rerunMin = 250 * time.Millisecond
	rerunMax = 30 * time.Second
)

func (a *Actor) ended(ctx actor.Context, m ended) {
	if a.run == nil || a.run != m.run {
		return // of a run before this one
	}
	a.run = nil
	switch {
	case a.halted:
		if m.err != nil {
			a.Log.Warn("sink ended with an error", "sink", a.Name, "err", m.err)
		}
		a.answerHalts(ctx)
	case m.reason != nil:
		panic(&supervise.Failure{Reason: m.reason, Stack: m.stack})
	case errors.Is(m.err, errUnsynced):
		a.halted = true
		a.Log.Error("sink failed for good", "sink", a.Name, "err", m.err)
		a.Tree.Note(ctx.Self(), supervise.Failed, m.err.Error(), 0)
	default:
		a.rerun(ctx, m)
	}
}

func (a *Actor) rerun(ctx actor.Context, m ended) {
	if m.ranFor > rerunMax {
		a.failed = 0
	}
	wait := min(rerunMin<<min(a.failed, 10), rerunMax)
	a.failed++
	a.Log.Warn("sink failed", "sink", a.Name, "err", m.err, "retry", wait)
	a.Tree.Note(ctx.Self(), supervise.Backoff, m.err.Error(), wait)
	system, self := ctx.ActorSystem(), ctx.Self()
	a.retry = time.AfterFunc(wait, func() { system.Root.Send(self, again{}) })
}

func (a *Actor) halt(ctx actor.Context) {
	a.halted = true
	a.halting = append(a.halting, ctx.Sender())
	if a.run == nil {
		a.answerHalts(ctx)
		return
	}
	a.run.end(errHalted)
}

func (a *Actor) answerHalts(ctx actor.Context) {
	for _, who := range a.halting {
		ctx.Send(who, Halted{})
	}
	a.halting = nil
}

func (a *Actor) stop() {
	if a.run != nil {
		a.run.end(errHalted)
	}
	if a.retry != nil {
		a.retry.Stop()
	}
}
