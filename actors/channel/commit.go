package channel

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// parkedMax is how long a commit of a memory channel waits for an earlier lease
// of another sink before it goes to the disk without it.
const parkedMax = 5 * time.Second

// unpark says that a commit has waited long enough.
type unpark struct{ c *commit }

// commit settles leases and writes down what must move with that: the cursor
// of a durable channel, the sink's state, and the checkpoints of the sources
// whose batches a memory channel has now settled.
func (a *Actor) commit(ctx actor.Context, m *Commit) {
	if m.Life != a.life {
		ctx.Respond(Committed{ErrStale})
		return
	}
	for _, id := range m.Leases { // all or none
		if _, out := a.queue.Lease(id); !out {
			ctx.Respond(Committed{ErrStale})
			return
		}
	}
	c := &commit{who: ctx.Sender(), state: m.State, first: a.queue.Next()}
	n, holder := 0, ""
	for _, id := range m.Leases {
		l, _ := a.queue.Lease(id)
		holder = l.Holder
		c.first, c.end = min(c.first, l.Chunks[0].Base), max(c.end, l.End())
		for _, chunk := range l.Chunks {
			a.forget(chunk.Slab, chunk.First, chunk.Count)
		}
		a.forgetGone(id)
		n += a.queue.Settle(id)
	}
	if a.count.BySink == nil {
		a.count.BySink = map[string]int64{}
	}
	a.count.Delivered += int64(n - m.Dead)
	a.count.Dead += int64(m.Dead)
	a.count.BySink[holder] += int64(n - m.Dead)
	a.grant(ctx)

	// What a file holds of later batches must not count before the checkpoint
	// covers them: after a crash they come again, and the file is cut.
	if a.Log == nil && len(c.state) > 0 && c.end > a.queue.First() && len(a.marks) > 0 {
		a.parked = append(a.parked, c)
		system, self := ctx.ActorSystem(), ctx.Self()
		time.AfterFunc(parkedMax, func() { system.Root.Send(self, unpark{c}) })
		return
	}
	a.write(ctx, c)
}

// write hands a commit to the store, with those parked that it sets free.
func (a *Actor) write(ctx actor.Context, c *commit) {
	kept := a.parked[:0]
	for _, p := range a.parked {
		if p.end <= a.queue.First() {
			c.also = append(c.also, p)
		} else {
			kept = append(kept, p)
		}
	}
	a.parked = kept
	// No checkpoint may cover what a parked commit has settled: its files' lengths
	// are not on the disk yet, and after a crash it would be cut off for good.
	c.cursor = a.queue.First()
	for _, p := range a.parked {
		c.cursor = min(c.cursor, p.first)
	}
	w := &c.write
	if a.Log != nil {
		w.Sets = append(w.Sets, persistence.KV{Key: a.cursorKey, Value: a.queue.AppendCursor(nil)})
		if a.written > a.Log.Start() {
			w.Trims = append(w.Trims, persistence.Trim{Log: a.Log, To: a.written})
		}
	}
	a.settleMarks(c, w)
	for _, p := range c.also {
		addState(w, p.state)
	}
	addState(w, c.state)
	if len(w.Sets)+len(w.Deletes) == 0 {
		a.committed(ctx, c)
		return
	}
	system, self := ctx.ActorSystem(), ctx.Self()
	w.Done = func(err error) {
		c.err = err
		system.Root.Send(self, c)
	}
	a.Store.Submit(w)
}

func (a *Actor) unpark(ctx actor.Context, m unpark) {
	if i := slices.Index(a.parked, m.c); i >= 0 {
		a.parked = slices.Delete(a.parked, i, i+1)
		a.write(ctx, m.c)
	}
}

// forget gives back the room and memory of records that are settled.
func (a *Actor) forget(s *record.Slab, first, count int) {
	if s == nil {
		return
	}
	for i := first; i < first+count; i++ {
		n := len(s.Body(i))
		a.memory -= n
		if a.Log == nil {
			a.bytes -= slots(n)
		}
	}
}

// settleMarks takes the marks that the cursor has passed; the last checkpoint
// of each key goes to the disk.
func (a *Actor) settleMarks(c *commit, w *persistence.Write) {
	n := 0
	for n < len(a.marks) && a.marks[n].end <= c.cursor {
		n++
	}
	last := map[string]int{}
	for i, m := range a.marks[:n] {
		c.settled = append(c.settled, m.mark)
		if m.mark.Key.Key != nil {
			last[string(m.mark.Key.Key)] = i
		}
	}
	for i, m := range a.marks[:n] {
		if m.mark.Key.Key != nil && last[string(m.mark.Key.Key)] == i {
			addState(w, []persistence.KV{m.mark.Key})
		}
	}
	a.marks = append(a.marks[:0], a.marks[n:]...)
}

// addState adds keys to a write; a nil value deletes.
func addState(w *persistence.Write, state []persistence.KV) {
	for _, kv := range state {
		if kv.Value == nil {
			w.Deletes = append(w.Deletes, kv.Key)
		} else {
			w.Sets = append(w.Sets, kv)
		}
	}
}

// settledForGood is the answer that most get; made once.
var settledForGood any = Committed{}

// committed answers the sinks and tells the sources, now that it is on disk.
func (a *Actor) committed(ctx actor.Context, c *commit) {
	if c.err == nil {
		a.written = max(a.written, c.cursor)
		for _, m := range c.settled {
			m.Settled(m.Seq)
		}
	}
	answer := settledForGood
	if c.err != nil {
		answer = Committed{c.err}
	}
	for _, p := range c.also {
		ctx.Send(p.who, answer)
	}
	if c.who != nil {
		ctx.Send(c.who, answer)
	}
}

// keep stores a sink's state on its own.
func (a *Actor) keep(ctx actor.Context, m Keep) {
	w := new(persistence.Write)
	addState(w, m.State)
	system, who := ctx.ActorSystem(), ctx.Sender()
	w.Done = func(err error) { system.Root.Send(who, Committed{err}) }
	a.Store.Submit(w)
}
