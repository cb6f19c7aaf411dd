package source

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
)

// Ref is the address of a source.
type Ref struct {
	system *actor.ActorSystem
	pid    *actor.PID
	spec   *Spec
}

// Name of the source.
func (r Ref) Name() string { return r.spec.Name }

// PID of the source's actor, for its parent.
func (r Ref) PID() *actor.PID { return r.pid }

// Tally is where the source's records are now.
func (r Ref) Tally() Tally { return r.spec.ledger.now() }

// Counters of the source. They go on counting.
func (r Ref) Counters() *Counters { return &r.spec.Counters }

// Dropped is how many records each rule left out.
func (r Ref) Dropped() map[string]int64 { return r.spec.droppedByRule() }

// AwaitOpen returns when whoever connects to the source is heard: it listens, or
// does not have to, or its first run has already failed.
func (r Ref) AwaitOpen(ctx context.Context) error {
	select {
	case <-r.spec.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Halt stops reading and returns when everything read is in its channels.
func (r Ref) Halt(ctx context.Context) error {
	_, err := ask.For[Halted](ctx, r.system, r.pid, Halt{})
	return err
}

// Halt ends the run of the source for good.
// From agent. Answered by Halted.
type Halt struct{}

// Halted says that the run has ended and that nothing is on its way any more.
type Halted struct{}

// errHalted ends a run on purpose.
var errHalted = errors.New("halted")

// Messages of the source to itself, from its goroutines.
type (
	// made brings the source that a run has made.
	made struct{ source Source }
	// settled says that batches have come to their end.
	settled struct{}
	// poisoned says that an interceptor panicked.
	poisoned struct {
		reason any
		stack  []byte
	}
	// ended says that a run is over; the source has no more to read when err is nil.
	ended struct {
		run    *run
		err    error
		poison *poisoned
		ranFor time.Duration
	}
	// again starts the next run.
	again struct{}
	// flush writes checkpoints of batches of which a channel got nothing.
	flush struct{}
)
