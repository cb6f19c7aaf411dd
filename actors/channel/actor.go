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
	out           map[uint64]held // the leases that are out
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

// taker is a sink that waits for something to take.
type taker struct {
	holder string
	who    *actor.PID
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
		a.onDisk(ctx, m)
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
	a.out = map[uint64]held{}
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
	if _, over := ctx.Message().(*actor.Stopping); over && a.Remote != nil {
		a.Remote.stop()
	}
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

// arrived takes note of everything in the inbox.
func (a *Actor) arrived(ctx actor.Context) {
	for m, ok := a.inbox.next(); ok; m, ok = a.inbox.next() {
		a.store(m)
	}
	a.wake(ctx)
}

func (a *Actor) store(m arrival) {
	if m.passed > 0 { // out of this node's hands
		a.count.PutAttempt += int64(m.passed)
		a.count.Put += int64(m.passed)
		a.count.Delivered += int64(m.passed)
		return
	}
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
	if m.foreign {
		a.count.Carried += int64(n)
	} else {
		a.count.Put += int64(n)
	}
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
