package txn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// Actor is the coordinator of one partition of __transaction_state: the shell
// around a Coordinator. What must survive is in its log.
type Actor struct {
	*coordinator
	logic *Coordinator
	timer *time.Timer
	at    int64 // when the timer goes off, ms since the epoch; 0: it does not

	wanted bool // the log is to be read as soon as nothing is in flight
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.pid.Store(ctx.Self())
		a.start()
		a.turn()
	case Arrived:
		a.turn()
	case tick:
		a.at = 0
		a.logic.Tick(now())
		a.act()
	case *actor.Restarting:
		a.interrupted()
	case *actor.Stopping:
		a.stop()
	}
}

func now() int64 { return time.Now().UnixMilli() }

func (a *Actor) start() {
	a.logic = NewCoordinator(a.Config)
	a.life++
	a.loaded.Store(-1)
	if a.life == 1 {
		a.Log.Watch(a.watcher)
	}
	a.follow()
}

// turn does all that waits in the inbox.
func (a *Actor) turn() {
	a.taken, a.done = a.inbox.Take(a.taken), 0
	for a.done < len(a.taken) {
		x := a.taken[a.done]
		a.done++ // what panics is not tried again
		a.handle(x)
	}
	a.act()
}

func (a *Actor) handle(x any) {
	switch x := x.(type) {
	case *Request:
		a.logic.Handle(now(), x)
	case *Add:
		a.logic.Add(now(), x)
	case written:
		a.written(x)
	case marked:
		if x.life == a.life {
			a.marked(x)
		}
	case moved:
		a.follow()
	case read:
		if x.life == a.life {
			a.load(x)
		}
	case reserved:
		if x.life == a.life {
			a.reserved(x)
		}
	}
}

// follow makes the coordinator follow the leadership of its log: where the log
// has a new leader, everything is read again.
func (a *Actor) follow() {
	leading, epoch := a.Log.Leading(), a.Log.LeaderEpoch()
	switch {
	case !leading && a.loaded.Load() >= 0:
		a.drop(kerr.NotCoordinator.Code)
	case leading && epoch != a.loaded.Load():
		a.reload(kerr.CoordinatorLoadInProgress.Code)
	}
}

// drop forgets everything; whoever waits is told code.
func (a *Actor) drop(code int16) {
	a.logic.Drop(code)
	a.life++
	a.loaded.Store(-1)
	a.wanted = false
}

// reload forgets everything and reads it from the log, when the log has told of
// every write what became of it.
func (a *Actor) reload(code int16) {
	a.drop(code)
	a.wanted = true
	a.maybeRead()
}

func (a *Actor) maybeRead() {
	if !a.wanted || a.flight > 0 {
		return
	}
	a.wanted = false
	a.loaded.Store(a.Log.LeaderEpoch())
	life := a.life
	go func() {
		values, err := readLog(a.ctx, a.Log)
		a.put(read{life, values, err})
	}()
}

// load takes up what the log holds.
func (a *Actor) load(r read) {
	switch {
	case errors.Is(r.err, partition.ErrNotLeader), errors.Is(r.err, context.Canceled):
		a.drop(kerr.NotCoordinator.Code)
		a.follow()
		return
	case r.err != nil:
		panic(fmt.Errorf("read %s: %w", a.Log.ID(), r.err))
	}
	for key, value := range r.values {
		if err := a.logic.Load([]byte(key), value); err != nil {
			panic(fmt.Errorf("read %s: %w", a.Log.ID(), err))
		}
	}
	a.logic.Loaded(now())
	a.Logger.Debug("transactions loaded", "partition", a.Log.ID().String(), "epoch", a.loaded.Load(), "ids", len(r.values))
}

// written tells the logic what became of a write. When that is not known, or
// somebody else leads, the log is read again.
func (a *Actor) written(w written) {
	a.flight--
	switch {
	case w.life != a.life:
	case w.err == nil:
		a.logic.Written(now(), w.id, 0)
	case errors.Is(w.err, partition.ErrNoSpace), errors.Is(w.err, partition.ErrTooLarge):
		a.Logger.Warn("a transaction was not noted", "id", w.id, "err", w.err)
		a.logic.Written(now(), w.id, kerr.CoordinatorNotAvailable.Code)
	default:
		a.Logger.Warn("the log of a coordinator is read again", "partition", a.Log.ID().String(), "err", w.err)
		a.reload(kerr.CoordinatorNotAvailable.Code)
	}
	a.maybeRead()
}

// marked tells the logic what became of a marker. One that its partition refuses
// as not newer is there already: an earlier life wrote it.
func (a *Actor) marked(m marked) {
	done := m.err == nil || errors.Is(m.err, errGone) ||
		errors.Is(m.err, partitionlog.ErrFenced) || errors.Is(m.err, partitionlog.ErrCoordinatorFenced)
	if m.err != nil {
		a.Logger.Debug("a marker was refused", "id", m.marker.ID, "partition", m.marker.Partition.String(), "final", done, "err", m.err)
	}
	a.logic.Marked(now(), m.marker, done)
}

func (a *Actor) reserved(r reserved) {
	if r.err != nil {
		a.Logger.Warn("no producer ids", "err", r.err)
		r.n = 0
	}
	a.logic.IDs(now(), r.first, r.n)
}

// act does what the logic wants, and sets the timer.
func (a *Actor) act() {
	a.answer()
	a.wind()
}

func (a *Actor) answer() {
	for _, o := range a.logic.Take() {
		switch o := o.(type) {
		case Write:
			a.write(o)
		case Marker:
			a.mark(o)
		case Answer:
			o.Request.Done(o.Response)
		case Added:
			o.Add.Done(o.Codes)
		case FetchIDs:
			a.reserve()
		}
	}
}

// wind sets the timer to the next thing that is due.
func (a *Actor) wind() {
	at, ok := a.logic.Next()
	switch {
	case !ok && a.at != 0:
		a.timer.Stop()
		a.at = 0
		return
	case !ok || at == a.at:
		return
	}
	wait := max(0, time.Duration(at-now())*time.Millisecond)
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, func() { a.system.Root.Send(a.pid.Load(), tick{}) })
	} else {
		a.timer.Reset(wait)
	}
	a.at = at
}

// still stops the timer for good.
func (a *Actor) still() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// write appends w to the log.
func (a *Actor) write(w Write) {
	b := record.Builder{At: now()}
	b.Add(w.Key, w.Value)
	life := a.life
	a.flight++
	a.Log.Append(partition.Append{
		Batch: b.Batch(), Origin: partition.Coordinator, LeaderEpoch: a.loaded.Load(), MarkerCoordinatorEpoch: -1,
		Done: func(r partition.Appended) { a.put(written{life, w.ID, r.Err}) },
	})
}

// errGone says that a partition does not exist any more.
var errGone = errors.New("the partition is gone")

// mark appends a marker to its partition.
func (a *Actor) mark(m Marker) {
	life, epoch := a.life, a.loaded.Load()
	done := func(err error) { a.put(marked{life, m, err}) }
	p, err := a.Partition(m.Partition)
	if err != nil {
		if !a.Exists(m.Partition) {
			err = fmt.Errorf("%w: %w", errGone, err)
		}
		done(err)
		return
	}
	origin := partition.Coordinator
	if m.Version < versionBumps {
		origin = partition.CoordinatorV1
	}
	p.Append(partition.Append{
		Batch:  partitionlog.AppendMarker(nil, m.Producer, m.Epoch, partitionlog.Marker{Commit: m.Commit, CoordinatorEpoch: epoch}, now()),
		Origin: origin, LeaderEpoch: -1, MarkerCoordinatorEpoch: epoch,
		Done: func(r partition.Appended) { done(r.Err) },
	})
}

// reserveMax is how long producer ids may take.
const reserveMax = 10 * time.Second

func (a *Actor) reserve() {
	life := a.life
	go func() {
		ctx, cancel := context.WithTimeout(a.ctx, reserveMax)
		defer cancel()
		first, n, err := a.ProducerIDs(ctx)
		a.put(reserved{life, first, n, err})
	}()
}

// interrupted answers those who wait: what this life knew is lost, but for the log.
func (a *Actor) interrupted() {
	a.still()
	a.abandon(a.taken[min(a.done, len(a.taken)):], kerr.CoordinatorNotAvailable.Code)
	a.taken, a.done = nil, 0
	a.logic.Drop(kerr.CoordinatorNotAvailable.Code)
	a.answer()
}

func (a *Actor) stop() {
	a.still()
	a.end()
	a.Log.Unwatch(a.watcher)
	a.abandon(a.taken[min(a.done, len(a.taken)):], kerr.NotCoordinator.Code)
	a.abandon(a.inbox.Close(), kerr.NotCoordinator.Code)
	a.logic.Drop(kerr.NotCoordinator.Code)
	a.answer()
}

// abandon answers what nobody has dealt with.
func (a *Actor) abandon(list []any, code int16) {
	for _, x := range list {
		switch x := x.(type) {
		case *Request:
			x.Done(Refusal(x.Body, code))
		case *Add:
			x.refuse(code)
		case written:
			a.flight--
		}
	}
}
