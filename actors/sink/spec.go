package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/topologies"
)

// Spec is what a sink is made of, and what stays when its actor starts anew.
type Spec struct {
	Agent, Name string // of the sink, or of its group
	Members     []*Member
	Processor   string              // kind of the group's processor; "default" for one sink
	Settings    topologies.Settings // of the group, below "processor."
	Compat      bool
	Store       *persistence.Store
	Tree        *supervise.Tree
	Log         *slog.Logger
	// Fatal ends the node: a file could not be synced.
	Fatal func(error)
	// DeadLetters is the file for records that can never be delivered.
	DeadLetters string
	// Topics are those of the node; nil: it serves none.
	Topics Topics

	// ---
	halted bool
	broken sync.Once     // see unsynced
	last   chan struct{} // closed when the latest run has ended
}

// Member is one sink.
type Member struct {
	Name     string
	Settings topologies.Settings
	Channel  channel.Ref
	Batch    int  // records per delivery
	Replays  bool // see Env
	Sole     bool // likewise
	Counters Counters

	trouble atomic.Pointer[Trouble]
}

// Trouble is why a sink does not deliver.
type Trouble struct {
	Reason string
	Since  time.Time // of the first failure in a row
}

// Trouble is nil while the sink works: also of one member of a group whose
// others go on.
func (m *Member) Trouble() *Trouble { return m.trouble.Load() }

func (m *Member) troubled(err error, now time.Time) {
	t := &Trouble{err.Error(), now}
	if before := m.trouble.Load(); before != nil {
		t.Since = before.Since
	}
	m.trouble.Store(t)
}

// Known says whether there is a sink of the kind.
func Known(kind string) bool { return makers[kind] != nil }

// Spawn starts the sink or group under the caller.
func Spawn(ctx channel.Spawner, spec *Spec) (Ref, error) {
	props := spec.Tree.Props("sink", supervise.Default, func() actor.Actor { return &Actor{Spec: spec} })
	pid, err := ctx.SpawnNamed(props, "sink/"+spec.Name)
	if err != nil {
		return Ref{}, fmt.Errorf("spawn sink %s: %w", spec.Name, err)
	}
	return Ref{ctx.ActorSystem(), pid, spec}, nil
}

// AwaitRun returns when the latest run is over, for whoever changes the Spec of
// a sink whose actor has stopped.
func (s *Spec) AwaitRun() {
	if s.last != nil {
		<-s.last
	}
}

// run is one run of a sink.
type run struct{ end context.CancelCauseFunc }

// begin starts a run, once the one before is over.
func (s *Spec) begin(self *actor.PID) *run {
	ctx, end := context.WithCancelCause(context.Background())
	r := &run{end: end}
	before, done := s.last, make(chan struct{})
	s.last = done
	go func() {
		if before != nil {
			<-before
		}
		m := ended{run: r}
		start := time.Now()
		m.err, m.reason, m.stack = s.guarded(ctx, end, self)
		m.ranFor = time.Since(start)
		close(done)
		s.Tree.System().Root.Send(self, m)
	}()
	return r
}

func (s *Spec) guarded(ctx context.Context, end context.CancelCauseFunc, self *actor.PID) (err error, reason any, stack []byte) {
	d := &drain{Spec: s, self: self, end: end}
	defer func() {
		if r := recover(); r != nil {
			c := newCrash(r)
			reason, stack = c.reason, c.stack
			end(fmt.Errorf("panic: %v", r))
			d.drop()
		}
	}()
	err = d.run(ctx)
	if c := (*crash)(nil); errors.As(err, &c) {
		return err, c.reason, c.stack
	}
	return err, nil, nil
}

// state reads what the sink called name has kept.
func (s *Spec) state(name string) (State, error) {
	prefix := persistence.SinkKey(s.Agent, name, "")
	state := State{}
	err := s.Store.Scan(prefix, func(key, value []byte) error {
		state[string(key[len(prefix):])] = append([]byte(nil), value...)
		return nil
	})
	return state, err
}

// keys are the entries of the store for state.
func (s *Spec) keys(name string, state State) []persistence.KV {
	list := make([]persistence.KV, 0, len(state))
	for what, value := range state {
		list = append(list, persistence.KV{Key: persistence.SinkKey(s.Agent, name, what), Value: value})
	}
	return list
}
