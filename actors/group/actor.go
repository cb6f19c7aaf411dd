package group

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// Actor is one coordinator. It knows nothing that is not in its partition.
type Actor struct {
	*coordinator
	life  int
	state *State // nil while the log is read
	world World

	// applied is the first offset of the log that state does not know.
	applied record.Offset
	// batches that were handed to the log, and that came back.
	handed, back uint64
	lost         bool // a batch was refused that state takes for written
	waiting      []waiting
	watcher      *partition.Watcher
	timer        *time.Timer
	timerAt      int64
}

// waiting are answers that go out when everything handed to the log before
// them is committed.
type waiting struct {
	after   uint64
	answers []Answer
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.self.Store(ctx.Self())
		a.start()
		a.work()
	case Arrived:
		a.work()
	case *actor.Restarting:
		a.rest()
	case *actor.Stopping:
		a.rest()
		a.stop()
	}
}

// What the inbox holds besides requests.
type (
	// loaded is a state as the log tells it, read up to offset.
	loaded struct {
		life   int
		state  *State
		world  World
		offset record.Offset
	}
	// appended is what became of a batch.
	appended struct {
		life  int
		batch *batch
		partition.Appended
	}
	// moved says that the log has moved, due that a timer is.
	moved struct{ life int }
	due   struct{ life int }
)

// batch is one that was handed to the log.
type batch struct {
	records []Record
	txn     *Txn
	answers []Answer // of a transaction: they depend on this batch alone
}

func (a *Actor) start() {
	a.lives++
	a.life = a.lives
	a.refuseOpen(kerr.CoordinatorNotAvailable.Code) // of the life before
	life, c := a.life, a.coordinator
	a.watcher = &partition.Watcher{Wake: func() { c.put(moved{life}) }}
	a.Log.Watch(a.watcher)
	a.load()
}

// load reads the log in a goroutine of its own.
func (a *Actor) load() {
	a.state = nil
	life, c := a.life, a.coordinator
	go func() { c.put(c.read(life)) }()
}

// rest lets go of what belongs to this life.
func (a *Actor) rest() {
	a.Log.Unwatch(a.watcher)
	if a.timer != nil {
		a.timer.Stop()
	}
}

// stop refuses everybody: this node coordinates these groups no longer.
func (a *Actor) stop() {
	for _, item := range a.inbox.Close() {
		if r, ok := item.(*Request); ok {
			a.open[r] = true
		}
	}
	a.refuseOpen(kerr.NotCoordinator.Code)
}

func (a *Actor) refuseOpen(code int16) {
	for r := range a.open {
		a.reply(Answer{r, refuse(r.Body, code)})
	}
}

func (a *Actor) reply(answer Answer) {
	if a.open[answer.Request] {
		delete(a.open, answer.Request)
		answer.Request.Done(answer.Response)
	}
}

// work deals with everything in the inbox.
func (a *Actor) work() {
	items := a.inbox.Take(nil)
	for _, item := range items { // so that a panic forgets none of them
		if r, ok := item.(*Request); ok {
			a.open[r] = true
		}
	}
	for _, item := range items {
		switch item := item.(type) {
		case *Request:
			a.request(item)
		case appended:
			a.appended(item)
		case loaded:
			a.loaded(item)
		case moved:
			if item.life == a.life {
				a.catchUp()
			}
		case due:
			if item.life == a.life {
				a.timerAt = 0
			}
		}
	}
	a.passTime()
}

func (a *Actor) request(r *Request) {
	if a.state == nil || a.lost {
		a.reply(Answer{r, refuse(r.Body, kerr.CoordinatorLoadInProgress.Code)})
		return
	}
	if w := a.World(); w != a.world {
		a.world = w
		a.step(w)
	}
	if _, fetch := r.Body.(*kmsg.OffsetFetchRequest); fetch {
		a.catchUp() // a marker that is committed counts
	}
	a.step(r)
}

// step gives the state an input and carries out what follows.
func (a *Actor) step(in any) {
	now := time.Now().UnixMilli()
	out := a.state.Step(now, in)
	if out.Txn != nil {
		a.append(now, &batch{out.Records, out.Txn, out.Answers})
		return
	}
	for _, part := range parts(out.Records) {
		a.append(now, &batch{records: part})
	}
	if a.handed == a.back {
		for _, answer := range out.Answers {
			a.reply(answer)
		}
	} else if len(out.Answers) > 0 {
		a.waiting = append(a.waiting, waiting{a.handed, out.Answers})
	}
}

// partMax is how many bytes of records go into one batch.
const partMax = 256 << 10

// parts cuts records into runs of about partMax bytes.
func parts(records []Record) [][]Record {
	var list [][]Record
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && (n == 0 || size+len(records[n].Key)+len(records[n].Value) <= partMax) {
			size += len(records[n].Key) + len(records[n].Value)
			n++
		}
		list, records = append(list, records[:n]), records[n:]
	}
	return list
}

func (a *Actor) append(now int64, b *batch) {
	build := record.Builder{At: now}
	if b.txn != nil {
		build.Transactional, build.Producer, build.Epoch = true, b.txn.Producer, b.txn.Epoch
	}
	for _, r := range b.records {
		build.Add(r.Key, r.Value)
	}
	a.handed++
	life, c := a.life, a.coordinator
	a.Log.Append(partition.Append{
		Batch: build.Batch(), Origin: partition.Coordinator, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1,
		Done: func(result partition.Appended) { c.put(appended{life, b, result}) },
	})
}

// appended goes on with what waited for a batch. Batches come back in the order
// of the log, so what lies between the last one and this is of others.
func (a *Actor) appended(m appended) {
	if m.life != a.life {
		return
	}
	a.back++
	switch {
	case m.Err == nil && !a.lost:
		a.readTo(m.Base)
		a.applied = m.Base + record.Offset(len(m.batch.records))
		if m.batch.txn != nil {
			a.takeOver(m.batch)
		}
	case m.batch.txn != nil:
		for _, answer := range m.batch.answers {
			a.reply(Answer{answer.Request, refuse(answer.Request.Body, refusedCode(m.Err))})
		}
	case !a.lost:
		a.Logger.Warn("group coordinator starts anew from its log", "partition", a.Log.ID(), "err", m.Err)
		a.lost = true
		a.refuseWaiting(refusedCode(m.Err))
	}
	if !a.lost {
		a.release()
	} else if a.handed == a.back {
		a.again()
	}
}

// takeOver takes over the offsets of a transaction, now that they are written.
func (a *Actor) takeOver(b *batch) {
	for _, r := range b.records {
		if err := a.state.Replay(r.Key, r.Value, b.txn.Producer); err != nil {
			panic(fmt.Errorf("take over what was written to %s: %w", a.Log.ID(), err))
		}
	}
	for _, answer := range b.answers {
		a.reply(answer)
	}
}

// refusedCode is what a client is told of a batch that the log refused.
func refusedCode(err error) int16 {
	switch {
	case errors.Is(err, partition.ErrFenced):
		return kerr.InvalidProducerEpoch.Code
	case errors.Is(err, partition.ErrTxnState):
		return kerr.InvalidTxnState.Code
	case errors.Is(err, partition.ErrTooLarge):
		return kerr.InvalidCommitOffsetSize.Code
	case errors.Is(err, partition.ErrNotLeader):
		return kerr.NotCoordinator.Code
	}
	return kerr.CoordinatorNotAvailable.Code
}

func (a *Actor) refuseWaiting(code int16) {
	for _, w := range a.waiting {
		for _, answer := range w.answers {
			a.reply(Answer{answer.Request, refuse(answer.Request.Body, code)})
		}
	}
	a.waiting = nil
}

// release sends the answers that wait for nothing any more.
func (a *Actor) release() {
	n := 0
	for n < len(a.waiting) && a.waiting[n].after <= a.back {
		for _, answer := range a.waiting[n].answers {
			a.reply(answer)
		}
		n++
	}
	a.waiting = a.waiting[n:]
}

// again reads the log anew: it does not hold what the state takes for written.
func (a *Actor) again() {
	a.refuseOpen(kerr.CoordinatorNotAvailable.Code)
	a.lost = false
	a.waiting = nil
	a.load()
}

func (a *Actor) loaded(m loaded) {
	if m.life != a.life {
		return
	}
	a.state, a.world, a.applied = m.state, m.world, m.offset
	a.state.Loaded(time.Now().UnixMilli())
	a.step(a.world)
	a.catchUp()
}

// catchUp takes over what others have written to the log. While batches of our
// own are on their way it cannot be told whose a gap is; they will.
func (a *Actor) catchUp() {
	if a.state != nil && !a.lost && a.handed == a.back {
		a.readTo(a.Log.HighWatermark())
	}
}

// readTo takes over the batches of others up to an offset: the markers of
// transactions, and what a life before had on its way. They are few and were
// written just now, so the actor reads them itself.
func (a *Actor) readTo(to record.Offset) {
	for a.applied < to {
		next, err := replay(a.state, a.Log, a.applied, to, a.Logger)
		if err != nil || next == a.applied {
			panic(fmt.Errorf("read %s at %d: %w", a.Log.ID(), a.applied, err))
		}
		a.applied = next
	}
}

// passTime has everything happen that is due, and sets the timer for the rest.
func (a *Actor) passTime() {
	if a.state == nil || a.lost {
		return
	}
	at, wanted := a.state.Next()
	for wanted && at <= time.Now().UnixMilli() {
		a.step(Tick{})
		at, wanted = a.state.Next()
	}
	if !wanted || a.timerAt != 0 && a.timerAt <= at {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timerAt = at
	life, c := a.life, a.coordinator
	a.timer = time.AfterFunc(time.Until(time.UnixMilli(at)), func() { c.put(due{life}) })
}

// freshID is 128 random bits.
func freshID() string { return rand.Text() }
