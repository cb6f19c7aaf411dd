package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/topologies"
)

// Spec is what a source is made of, and what stays when its actor starts anew.
type Spec struct {
	Agent, Name string
	Settings    topologies.Settings
	Channels    []channel.Ref // in the order of the names
	Optional    func(i int) bool
	Dir         string
	Compat      bool
	AllowExec   bool
	// Whole is true where one batch is one request: it is never cut.
	Whole    bool
	Store    *persistence.Store
	Tree     *supervise.Tree
	Log      *slog.Logger
	Counters Counters

	// ---
	ledger  ledger
	flights flights
	dropped sync.Map // rule → *atomic.Int64
	halted  bool
	last    chan struct{} // closed when the latest run has ended
	opened  chan struct{} // closed when the first run listens, or needs not, or has ended
	opening sync.Once
	behind  map[string]map[string]Checkpoint
}

// Spawner is what Spawn needs of its caller.
type Spawner = channel.Spawner

// Spawn starts the source under the caller.
func Spawn(ctx Spawner, spec *Spec) (Ref, error) {
	spec.behind = map[string]map[string]Checkpoint{}
	if spec.opened == nil {
		spec.opened = make(chan struct{})
	}
	props := spec.Tree.Props("source", supervise.Default, func() actor.Actor { return &Actor{Spec: spec} })
	pid, err := ctx.SpawnNamed(props, "source/"+spec.Name)
	if err != nil {
		return Ref{}, fmt.Errorf("spawn source %s: %w", spec.Name, err)
	}
	return Ref{ctx.ActorSystem(), pid, spec}, nil
}

// Known says whether there is a source of the kind.
func Known(kind string) bool { return makers[kind] != nil }

// AwaitRun returns when the latest run is over, for whoever changes the Spec of
// a source whose actor has stopped.
func (s *Spec) AwaitRun() {
	if s.last != nil {
		<-s.last
	}
}

// run is one run of a source.
type run struct {
	end  context.CancelCauseFunc
	done chan struct{}
}

func (r *run) is(other *run) bool { return r == other }

// begin starts a run, once the one before is over and all it read is settled.
func (s *Spec) begin(self *actor.PID) *run {
	ctx, end := context.WithCancelCause(context.Background())
	ctx = withCrashes(ctx, end)
	r := &run{end: end, done: make(chan struct{})}
	before := s.last
	s.last = r.done
	go func() {
		start := time.Now()
		if before != nil {
			<-before
		}
		err, poison := s.once(ctx, end, self)
		if cause := context.Cause(ctx); cause != nil && err == nil && !errors.Is(cause, errHalted) {
			err = cause
		}
		if poison == nil {
			poison = crashOf(ctx)
		}
		close(r.done)
		s.Tree.System().Root.Send(self, ended{run: r, err: err, poison: poison, ranFor: time.Since(start)})
	}()
	return r
}

// once makes the source and lets it read to its end. When it returns nothing
// of it is on its way to a disk any more.
func (s *Spec) once(ctx context.Context, end context.CancelCauseFunc, self *actor.PID) (err error, poison *poisoned) {
	defer func() {
		if r := recover(); r != nil {
			poison = &poisoned{r, debug.Stack()}
			end(errPoisoned)
		}
	}()
	defer s.open()
	// What an earlier run has read may still be on its way through a memory
	// channel. Reading goes on where the stored checkpoints are, so they must
	// have come that far.
	if err := s.awaitFlights(ctx, self); err != nil {
		return nil, nil
	}
	names, required := s.channelNames()
	have, err := loadCheckpoints(s.Store, s.Agent, s.Name, required)
	if err != nil {
		return err, nil
	}
	chain, err := interceptor.Chain(s.Settings, interceptor.Env{Compat: s.Compat, Log: s.Log})
	if err != nil {
		return err, nil
	}
	selector, err := newSelector(s.Settings, names, s.Compat)
	if err != nil {
		return err, nil
	}
	src, err := New(s.Settings, Env{
		Log: s.Log, Agent: s.Agent, Name: s.Name, Dir: s.Dir, Compat: s.Compat, AllowExec: s.AllowExec,
		Checkpoints: have.perStream(), Counters: &s.Counters,
	})
	if err != nil {
		return err, nil
	}
	s.Tree.System().Root.Send(self, made{src})
	defer s.openWhenBound(ctx, src)()
	e := &emitter{
		Spec: s, self: self, stored: have, names: s.Settings.List("interceptors"),
		window: make(chan struct{}, windowMax), stopped: end, chain: chain, selector: selector,
		askers: make(chan *ask.Asker, askersMax),
	}
	defer e.close()
	err = src.Run(ctx, e)
	for range windowMax { // every put has been answered
		e.window <- struct{}{}
	}
	return err, nil
}

func (s *Spec) open() { s.opening.Do(func() { close(s.opened) }) }

// openWhenBound notes that src can be reached, at once if it does not listen.
// The answer ends the wait.
func (s *Spec) openWhenBound(ctx context.Context, src Source) (end func()) {
	listens, ok := src.(interface {
		Addr(context.Context) (net.Addr, error)
	})
	if !ok {
		s.open()
		return func() {}
	}
	ctx, end = context.WithCancel(ctx)
	go func() {
		if _, err := listens.Addr(ctx); err == nil {
			s.open()
		}
	}()
	return end
}

func (s *Spec) awaitFlights(ctx context.Context, self *actor.PID) error {
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if s.flights.wait(short) == nil {
		return nil
	}
	s.Tree.Note(self, stateBackoff, "waits until what was read before is settled", 0)
	err := s.flights.wait(ctx)
	s.Tree.Note(self, stateRunning, "", 0)
	return err
}

func (s *Spec) channelNames() (names, required []string) {
	for i, c := range s.Channels {
		names = append(names, c.Name())
		if s.Optional == nil || !s.Optional(i) {
			required = append(required, c.Name())
		}
	}
	return names, required
}

// lag notes, of a batch that is settled, the channels that got nothing of it.
func (s *Spec) lag(f flight) {
	if f.at.Stream == "" {
		return
	}
	for i, c := range s.Channels {
		if s.Optional != nil && s.Optional(i) {
			continue
		}
		streams := s.behind[c.Name()]
		if f.channels[i] && !f.at.Gone {
			delete(streams, f.at.Stream)
			continue
		}
		if streams == nil {
			streams = map[string]Checkpoint{}
			s.behind[c.Name()] = streams
		}
		streams[f.at.Stream] = f.at
	}
}

// flushLag writes what lag noted. It does not wait: until it is on disk the
// batches are merely read again and skipped.
func (s *Spec) flushLag() {
	w := new(persistence.Write)
	for c, streams := range s.behind {
		for stream, at := range streams {
			lagKey := persistence.CheckpointKey(s.Agent, s.Name, c, keyLag+stream)
			if at.Gone {
				w.Deletes = append(w.Deletes, lagKey, persistence.CheckpointKey(s.Agent, s.Name, c, keyPut+stream))
			} else {
				w.Sets = append(w.Sets, persistence.KV{Key: lagKey, Value: at.encode()})
			}
			delete(streams, stream)
		}
	}
	if len(w.Sets)+len(w.Deletes) == 0 {
		return
	}
	w.Done = func(err error) {
		if err != nil {
			s.Log.Warn("checkpoints not written", "err", err)
		}
	}
	s.Store.Submit(w)
}

func (s *Spec) droppedByRule() map[string]int64 {
	m := map[string]int64{}
	s.dropped.Range(func(rule, n any) bool {
		m[rule.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return m
}
