package source

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
)

// The states that a source tells of itself.
const (
	stateRunning = supervise.Running
	stateBackoff = supervise.Backoff
	stateDone    = supervise.Done
)

// Actor runs one source and puts what it reads into its channels.
type Actor struct {
	*Spec
	source  Source // of the run; nil until it is made
	run     *run   // nil between runs
	retry   *time.Timer
	tick    *time.Timer
	failed  int // runs in a row that failed
	halting []*actor.PID
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.start(ctx)
		a.arm(ctx)
	case again:
		a.start(ctx)
	case made:
		a.source = m.source
	case settled:
		a.settle()
	case flush:
		a.flushLag()
		a.arm(ctx)
	case poisoned:
		panic(&supervise.Failure{Reason: m.reason, Stack: m.stack})
	case ended:
		a.ended(ctx, m)
	case Halt:
		a.halt(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.stop()
	}
}

// start begins a run in a goroutine of its own: it may block for as long as it
// likes, and the actor stays able to stop it.
func (a *Actor) start(ctx actor.Context) {
	if a.halted || a.run != nil { // a timer of the life before may still ask for a run
		return
	}
	a.source, a.retry = nil, nil
	a.Tree.Note(ctx.Self(), supervise.Running, "", 0)
	a.run = a.begin(ctx.Self())
}

// Times between two runs of a source that failed, as Flume's supervisor has it
// for the first, later and later for the next.
const (
	rerunMin = time.Second
	rerunMax = time.Minute
)

func (a *Actor) ended(ctx actor.Context, m ended) {
	if a.run == nil || !a.run.is(m.run) {
		return // of a run before this one
	}
	a.run = nil
	switch {
	case a.halted:
		a.answerHalts(ctx)
	case m.poison != nil:
		panic(&supervise.Failure{Reason: m.poison.reason, Stack: m.poison.stack})
	case m.err == nil:
		a.Log.Info("source has no more to read")
		a.Tree.Note(ctx.Self(), stateDone, "", 0)
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
	a.Log.Warn("source failed", "err", m.err, "retry", wait)
	a.Tree.Note(ctx.Self(), stateBackoff, m.err.Error(), wait)
	system, self := ctx.ActorSystem(), ctx.Self()
	a.retry = time.AfterFunc(wait, func() { system.Root.Send(self, again{}) })
}

// settle tells the source what has come to its end.
func (a *Actor) settle() {
	for _, f := range a.flights.take() {
		a.lag(f)
		if a.source != nil {
			a.source.Settled(f.at)
		}
	}
}

// flushEvery is how often checkpoints are written for channels that got
// nothing of the batches they belong to.
const flushEvery = time.Second

func (a *Actor) arm(ctx actor.Context) {
	system, self := ctx.ActorSystem(), ctx.Self()
	a.tick = time.AfterFunc(flushEvery, func() { system.Root.Send(self, flush{}) })
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
	a.flushLag()
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
	if a.tick != nil {
		a.tick.Stop()
	}
	a.flushLag()
}
