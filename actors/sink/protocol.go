package sink

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
)

// Ref is the address of a sink, or of a group of sinks that take turns.
type Ref struct {
	system *actor.ActorSystem
	pid    *actor.PID
	spec   *Spec
}

// Name of the sink, or of the group.
func (r Ref) Name() string { return r.spec.Name }

// PID of the sink's actor, for its parent.
func (r Ref) PID() *actor.PID { return r.pid }

// Members are the sinks of the group; a sink without a group is its only one.
func (r Ref) Members() []*Member { return r.spec.Members }

// Halt stops taking and returns when everything delivered is committed and the
// sinks are closed.
func (r Ref) Halt(ctx context.Context) error {
	_, err := ask.For[Halted](ctx, r.system, r.pid, Halt{})
	return err
}

// Halt ends the run of the sink for good.
// From agent. Answered by Halted.
type Halt struct{}

// Halted says that the run has ended.
type Halted struct{}

// errHalted ends a run on purpose.
var errHalted = errors.New("halted")

// Messages of the sink to itself, from its goroutines.
type (
	// ended says that a run is over, and why.
	ended struct {
		run    *run
		err    error
		reason any // of a panic
		stack  []byte
		ranFor time.Duration
	}
	// again starts the next run.
	again struct{}
)
