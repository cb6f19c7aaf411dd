// Package channel is the actor that holds records between sources and sinks.
//
// Records reach it in two steps. A source reserves room (that is the
// backpressure: no room, no answer), writes the batch into the channel's log
// itself, together with its checkpoint and with the logs of other channels, and
// then tells the channel that the batch is stored. The channel keeps the order,
// hands out leases to its sinks and writes down what they have settled.
package channel

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// Actor is one channel. What must survive a restart is in its log, or in
// memory below Spec for a memory channel.
type Actor struct {
	*Spec
	queue *channelstate.Queue
	life  uint64

	reserved      int // records on their way
	reservedBytes int
	bytes         int // of stored records, as counted by room
	waiting       []waiting
	takers        []taker
	out           map[uint64]*held // the leases that are out
	outBytes      int
	goneRecords   int           // delivered, not settled
	written       record.Offset // the cursor that is on disk
	memory        int           // bytes of bodies kept in memory
	marks         []markAt      // of batches not settled, in their order
	epoch         epoch
	parked        []*commit // of a memory channel, in the order in which they came
	later         *time.Timer
	count         Snapshot
}

// waiting is a source that waits for room.
type waiting struct {
	who     *actor.PID
	want    *Reserve
	since   time.Time
	expires *time.Timer
}

// taker is a sink that waits for something to take.
type taker struct {
	holder string
	who    *actor.PID
}

// held is what a lease that is out takes.
type held struct {
	holder  string
	records int
	bytes   int  // of bodies in memory
	room    int  // as counted against the byte capacity
	gone    bool // delivered: its room is given back
}

// markAt is a mark and where its batch is.
type markAt struct {
	batch channelstate.Range
	mark  Mark
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.start()
		a.arrived(ctx)
	case *Reserve:
		a.reserve(ctx, m)
	case Withdraw:
		a.withdraw(ctx)
	case expired:
		a.expire(ctx, m)
	case Return:
		a.giveBack(m)
		a.grant(ctx)
	case Stored:
		a.arrived(ctx)
	case Await:
		a.await(ctx, m)
	case *Take:
		a.take(ctx, m)
	case Delivered:
		a.delivered(ctx, m)
	case *Commit:
		a.commit(ctx, m)
	case *round: // from the store
		a.committed(ctx, m)
	case again:
		a.release(ctx, nil)
	case Keep:
		a.keep(ctx, m)
	case Rollback:
		a.rollback(ctx, m)
	case Abandon:
		a.abandon(ctx, m)
	case Adjust:
		a.adjust(ctx, m)
	case Inspect:
		ctx.Respond(a.inspect())
	case *actor.Stopping, *actor.Restarting:
		a.stop(ctx)
	}
}

// start takes up the queue: from the log, or from the life before.
func (a *Actor) start() {
	a.lives++
	a.life = a.lives
	a.out = map[uint64]*held{}
	a.count = a.kept
	a.awaitCommits()
	if a.Log == nil {
		a.queue, a.marks = a.memoryQueue, a.memoryMarks
		a.queue.RollbackAll("")
		a.bytes, a.memory = a.keptRoom, a.keptMemory
	} else {
		q, err := restore(a.Spec)
		if err != nil {
			panic(err)
		}
		a.queue, a.written = q, q.First()
	}
	if !a.known {
		a.known = true
		a.count.Carried = int64(a.queue.Held())
	} else if a.Log != nil {
		// What arrived while nobody counted is in the log all the same.
		a.count.Put = int64(a.queue.Held()) + a.count.Delivered + a.count.Dead - a.count.Carried
	}
}

// awaitCommits returns when every commit of the life before is on disk: what it
// settled must not be offered again, and its sinks must find what they kept. It
// waits for one commit of the store, and only where a life ended in a panic.
func (a *Actor) awaitCommits() {
	if a.lives == 1 {
		return
	}
	done := make(chan error, 1)
	a.Store.Submit(&persistence.Write{
		Sets: []persistence.KV{{Key: persistence.ChannelKey(a.Agent, a.Name, "life"), Value: []byte{byte(a.lives)}}},
		Done: func(err error) { done <- err },
	})
	// A write that is refused for want of room comes in its turn all the same.
	if err := <-done; err != nil && !errors.Is(err, persistence.ErrNoSpace) {
		panic(fmt.Errorf("channel %s: %w", a.Name, err))
	}
}

// stop keeps what the next life needs. Whoever waits asks again; what is parked
// is offered again.
func (a *Actor) stop(ctx actor.Context) {
	for _, w := range a.waiting {
		if w.expires != nil {
			w.expires.Stop()
		}
	}
	if a.later != nil {
		a.later.Stop()
	}
	a.refuse(ctx, a.parked, ErrStale)
	for id := range a.out {
		a.takeBack(id)
	}
	a.kept = a.count
	a.keptRoom, a.keptMemory, a.memoryMarks = a.bytes, a.memory, a.marks
	if a.Log != nil && a.queue != nil {
		a.queue.Release()
	}
}

// used is what counts against the capacity.
func (a *Actor) used() int { return a.queue.Held() - a.goneRecords + a.reserved }

func (a *Actor) fits(r *Reserve) bool {
	if a.used()+r.Records > a.Capacity {
		return false
	}
	return a.ByteCapacity == 0 || a.bytes+a.reservedBytes+r.Bytes <= a.ByteCapacity || a.used() == 0
}

// granted is the answer that most get; made once.
var granted any = Reserved{}

// expired says that a source has waited long enough.
type expired struct{ want *Reserve }

func (a *Actor) reserve(ctx actor.Context, m *Reserve) {
	a.count.PutAttempt += int64(m.Records)
	switch {
	case m.Records > a.Capacity:
		a.count.PutError++
		ctx.Respond(Reserved{fmt.Errorf("%w: %d records, capacity %d", ErrTooLarge, m.Records, a.Capacity)})
	case len(a.waiting) == 0 && a.fits(m):
		a.keepRoom(m)
		ctx.Respond(granted)
	default:
		w := waiting{who: ctx.Sender(), want: m, since: time.Now()}
		if m.Wait > 0 {
			system, self := ctx.ActorSystem(), ctx.Self()
			w.expires = time.AfterFunc(m.Wait, func() { system.Root.Send(self, expired{m}) })
		}
		a.waiting = append(a.waiting, w)
	}
}

func (a *Actor) keepRoom(m *Reserve) {
	a.reserved += m.Records
	a.reservedBytes += m.Bytes
}

func (a *Actor) giveBack(m Return) {
	// Room reserved in an earlier life is not counted in this one.
	a.reserved = max(0, a.reserved-m.Records)
	a.reservedBytes = max(0, a.reservedBytes-m.Bytes)
}

// grant answers those who wait, in the order they came.
func (a *Actor) grant(ctx actor.Context) {
	for len(a.waiting) > 0 && a.fits(a.waiting[0].want) {
		w := a.waiting[0]
		a.waiting = a.waiting[1:]
		if w.expires != nil {
			w.expires.Stop()
		}
		a.keepRoom(w.want)
		ctx.Send(w.who, granted)
	}
}

func (a *Actor) withdraw(ctx actor.Context) {
	for i, w := range a.waiting {
		if w.who.Equal(ctx.Sender()) {
			a.dropWaiting(i)
			ctx.Respond(Reserved{errWithdrawn})
			a.grant(ctx)
			return
		}
	}
}

func (a *Actor) expire(ctx actor.Context, m expired) {
	for i, w := range a.waiting {
		if w.want == m.want {
			a.dropWaiting(i)
			a.count.PutError++
			ctx.Send(w.who, Reserved{ErrFull})
			a.grant(ctx)
			return
		}
	}
}

func (a *Actor) dropWaiting(i int) {
	if t := a.waiting[i].expires; t != nil {
		t.Stop()
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
}

// arrived takes note of everything in the inbox.
func (a *Actor) arrived(ctx actor.Context) {
	for m, ok := a.inbox.next(); ok; m, ok = a.inbox.next() {
		a.store(m)
	}
	a.wake(ctx)
}

func (a *Actor) store(m arrival) {
	n := m.batch.Len()
	a.giveBack(Return{n, m.bytes})
	if a.Log == nil {
		m.base = a.queue.Next()
	} else if m.base < a.queue.Next() {
		m.batch.Release() // the log had it when this life began
		return
	}
	c := channelstate.Chunk{
		Base: m.base, Count: n, Slab: m.batch, Last: m.base + record.Offset(n) - 1, Time: m.batch.Time(),
	}
	if size := m.batch.BodyBytes(); a.Log != nil && a.memory+size > a.Window {
		c.Slab = nil // read again when its turn comes
		m.batch.Release()
	} else {
		a.memory += size
	}
	a.queue.Store(c)
	if a.Log == nil {
		a.bytes += m.bytes
	}
	a.count.Put += int64(n)
	if m.mark != nil {
		a.marks = append(a.marks, markAt{channelstate.Range{From: c.Base, To: c.Last + 1}, *m.mark})
	}
}

// wake tells every sink that waits; the first to come takes.
func (a *Actor) wake(ctx actor.Context) {
	if !a.offers() {
		return
	}
	for _, t := range a.takers {
		ctx.Send(t.who, Ready{})
	}
	a.takers = a.takers[:0]
}

func (a *Actor) await(ctx actor.Context, m Await) {
	if a.offers() {
		ctx.Respond(Ready{})
		return
	}
	a.takers = slices.DeleteFunc(a.takers, func(t taker) bool { return t.holder == m.Holder })
	a.takers = append(a.takers, taker{m.Holder, ctx.Sender()})
}

func (a *Actor) take(ctx actor.Context, m *Take) {
	a.count.TakeAttempt += int64(m.Max)
	if !a.offers() {
		ctx.Respond(&Taken{})
		return
	}
	a.turnEpoch()
	l := a.queue.Take(m.Max, m.Holder)
	if l == nil {
		ctx.Respond(&Taken{})
		return
	}
	a.hold(l)
	t := &Taken{Lease: l.ID, Life: a.life, Epoch: l.Epoch, Chunks: l.Chunks}
	for _, c := range t.Chunks {
		if c.Slab != nil {
			c.Slab.Retain()
		}
	}
	ctx.Respond(t)
}

// hold notes what a lease takes.
func (a *Actor) hold(l *channelstate.Lease) {
	h := &held{holder: l.Holder}
	for _, c := range l.Chunks {
		h.records += c.Count
		if c.Slab == nil {
			continue
		}
		for i := c.First; i < c.First+c.Count; i++ {
			n := len(c.Slab.Body(i))
			h.bytes += n
			h.room += slots(n)
		}
	}
	if a.Log != nil {
		h.room = 0
	}
	a.out[l.ID] = h
	a.outBytes += h.bytes
	a.epoch.add(h)
}

// letGo forgets that a lease is out. Its room stays as it is.
func (a *Actor) letGo(id uint64) *held {
	h := a.out[id]
	delete(a.out, id)
	a.outBytes -= h.bytes
	if h.gone {
		a.goneRecords -= h.records
	}
	return h
}

// takeBack offers a lease again.
func (a *Actor) takeBack(id uint64) {
	if h := a.letGo(id); h.gone {
		a.bytes += h.room
	}
	a.queue.Rollback(id)
}

func (a *Actor) delivered(ctx actor.Context, m Delivered) {
	h := a.out[m.Lease]
	if m.Life != a.life || h == nil || a.Log != nil || h.gone {
		return
	}
	h.gone = true
	a.goneRecords += h.records
	a.bytes -= h.room
	a.grant(ctx)
}

func (a *Actor) rollback(ctx actor.Context, m Rollback) {
	if m.Life != a.life {
		return
	}
	a.count.TakeErr++
	if a.out[m.Lease] != nil {
		a.takeBack(m.Lease)
	}
	a.wake(ctx)
}

func (a *Actor) abandon(ctx actor.Context, m Abandon) {
	mine := func(c *commit) bool { return c.holder == m.Holder }
	for _, c := range a.parked {
		if mine(c) {
			ctx.Send(c.who, Committed{ErrAbandoned})
		}
	}
	a.parked = slices.DeleteFunc(a.parked, mine)
	for id, h := range a.out {
		if h.holder == m.Holder {
			a.takeBack(id)
		}
	}
	a.wake(ctx)
}

func (a *Actor) adjust(ctx actor.Context, m Adjust) {
	a.Capacity, a.ByteCapacity, a.KeepAlive = m.Capacity, m.ByteCapacity, m.KeepAlive
	a.capacity.Store(int64(m.Capacity))
	a.keepAlive.Store(int64(m.KeepAlive))
	a.grant(ctx)
}

func (a *Actor) inspect() Snapshot {
	s := a.count
	s.Held = int64(a.queue.Held())
	s.Size = s.Held - int64(a.goneRecords)
	s.Capacity, s.ByteCapacity = a.Capacity, a.ByteCapacity
	s.Bytes, s.MemoryBytes = int64(a.bytes), int64(a.memory)
	s.Oldest = a.queue.OldestTime()
	s.BySink = make(map[string]int64, len(a.count.BySink))
	for k, v := range a.count.BySink {
		s.BySink[k] = v
	}
	if s.Waiting = len(a.waiting); s.Waiting > 0 {
		s.Full = a.waiting[0].since
	}
	return s
}
