package channel

import (
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// commit is what a sink has done and wants to be settled.
type commit struct {
	who    *actor.PID
	holder string
	leases []uint64
	state  []persistence.KV
	dead   int
	first  record.Offset // lowest position of the leases
	end    record.Offset
}

// round is commits on their way to the disk, together.
type round struct {
	commits []*commit
	cursor  record.Offset // up to where everything is settled
	settled []Mark
	write   persistence.Write
	err     error

	few [1]*commit // the memory of most
}

// commit settles leases and writes down what must move with that: the cursor
// of a durable channel, the sink's state, and the checkpoints of the sources
// whose batches a memory channel has now settled.
func (a *Actor) commit(ctx actor.Context, m *Commit) {
	c := &commit{who: ctx.Sender(), leases: m.Leases, state: m.State, dead: m.Dead, first: a.queue.Next()}
	for _, id := range m.Leases { // all or none
		l, out := a.queue.Lease(id)
		if !out || m.Life != a.life {
			ctx.Respond(Committed{ErrStale})
			return
		}
		c.holder = l.Holder
		c.first, c.end = min(c.first, l.Chunks[0].Base), max(c.end, l.End())
	}
	switch {
	case a.Log != nil:
		a.settle(c)
		a.grant(ctx)
		a.advance(ctx, c)
	case len(c.state) == 0:
		a.settle(c)
		a.grant(ctx)
		a.release(ctx, c)
	default:
		for _, id := range c.leases {
			a.queue.Park(id)
		}
		a.parked = append(a.parked, c)
		a.release(ctx, nil)
	}
}

// settle marks the leases of c as done.
func (a *Actor) settle(c *commit) {
	n := 0
	for _, id := range c.leases {
		h := a.letGo(id)
		a.memory -= h.bytes
		if !h.gone {
			a.bytes -= h.room
		}
		n += a.queue.Settle(id)
	}
	if a.count.BySink == nil {
		a.count.BySink = map[string]int64{}
	}
	a.count.Delivered += int64(n - c.dead)
	a.count.Dead += int64(c.dead)
	a.count.BySink[c.holder] += int64(n - c.dead)
}

// advance writes the cursor of a durable channel with what its sink keeps.
func (a *Actor) advance(ctx actor.Context, c *commit) {
	r := &round{cursor: a.queue.First()}
	r.commits = append(r.few[:0], c)
	r.write.Sets = append(r.write.Sets, persistence.KV{Key: a.cursorKey, Value: a.queue.AppendCursor(nil)})
	if a.written > a.Log.Start() {
		r.write.Trims = append(r.write.Trims, persistence.Trim{Log: a.Log, To: a.written})
	}
	addState(&r.write, c.state)
	r.write.Done = a.reports(ctx, r)
	a.Store.Submit(&r.write)
}

// reports is how the store says that r is on the disk. Whoever waits for that is
// told at once: the actor may be gone by then.
func (a *Actor) reports(ctx actor.Context, r *round) func(error) {
	system, self := ctx.ActorSystem(), ctx.Self()
	return func(err error) {
		r.err = err
		r.tell(system)
		system.Root.Send(self, r)
	}
}

// tell answers the sinks and tells the sources what has become of r.
func (r *round) tell(system *actor.ActorSystem) {
	answer := settledForGood
	if r.err != nil {
		answer = Committed{r.err}
	} else {
		for _, m := range r.settled {
			m.Settled(m.Seq)
		}
	}
	for _, c := range r.commits {
		system.Root.Send(c.who, answer)
	}
}

// release settles, in a memory channel, what is parked and belongs together,
// and writes it in one piece with the checkpoints of the batches that end there.
// What a file holds of later batches must not count before: after a crash they
// come again, and the file is cut. plain is a commit with nothing to remember,
// which is settled and only waits for its answer.
func (a *Actor) release(ctx actor.Context, plain *commit) {
	for more := true; more; {
		r := &round{cursor: a.cut()}
		r.commits = r.few[:0]
		if plain != nil {
			r.commits, plain = append(r.commits, plain), nil
		}
		more = a.releaseOne(ctx, r)
	}
	a.settledEpochs()
	a.wake(ctx)
}

// releaseOne writes what lies below the cursor of r, and says whether there was
// anything parked.
func (a *Actor) releaseOne(ctx actor.Context, r *round) bool {
	released, rest := a.below(r.cursor)
	addStates(&r.write, released)
	a.settleMarks(r)
	if len(r.write.Sets)+len(r.write.Deletes) == 0 {
		a.dropMarks(r)
		r.tell(ctx.ActorSystem())
		return false
	}
	r.write.Done = a.reports(ctx, r)
	plain := len(r.commits)
	r.commits = append(r.commits, released...)
	if err := a.Store.Try(&r.write); err != nil {
		r.commits = r.commits[:plain]
		a.refused(ctx, r, err)
		return false
	}
	a.dropMarks(r)
	a.parked = rest
	for _, c := range released {
		a.settle(c)
	}
	a.grant(ctx)
	return len(released) > 0
}

// below parts what is parked into what counts at a position, and the rest.
// Without marks nothing comes again after a crash, and there is nothing to wait
// for.
func (a *Actor) below(at record.Offset) (released, rest []*commit) {
	for _, c := range a.parked {
		if c.end <= at || len(a.marks) == 0 {
			released = append(released, c)
		} else {
			rest = append(rest, c)
		}
	}
	return released, rest
}

// roundKeys is how many changes one write may have, well within what the store
// takes at once.
const roundKeys = 1000

// cut is the position up to which the sinks' work can be written next: all that
// belongs together, or as much of it as fits one write.
func (a *Actor) cut() record.Offset {
	parked := make([]channelstate.Parked, len(a.parked))
	for i, c := range a.parked {
		parked[i] = channelstate.Parked{Holder: c.holder, First: c.first, End: c.end}
	}
	at := channelstate.Cut(a.queue.Done(), parked, a.floor)
	for a.keysBelow(at) > roundKeys {
		half := make([]record.Offset, 0, len(parked))
		for _, p := range parked {
			if p.End <= at {
				half = append(half, p.End)
			}
		}
		slices.Sort(half)
		less := channelstate.Cut(half[(len(half)-1)/2], parked, a.floor)
		if less == at || a.keysBelow(less) == 0 {
			break
		}
		at = less
	}
	return at
}

// floor is the highest position up to at that is inside of no batch whose
// checkpoint is still to come.
func (a *Actor) floor(at record.Offset) record.Offset {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].batch.To > at })
	if i < len(a.marks) {
		at = min(at, a.marks[i].batch.From)
	}
	return at
}

// keysBelow counts what sinks keep with what they have done below at.
func (a *Actor) keysBelow(at record.Offset) (n int) {
	for _, c := range a.parked {
		if c.end <= at {
			n += len(c.state)
		}
	}
	return n
}

// again asks for another try to write what is settled.
type again struct{}

// refusedRetry is how long checkpoints wait that the store has refused.
const refusedRetry = time.Second

// refused answers the commits of a round that the store does not take: what was
// parked is offered again, and the checkpoints are tried later.
func (a *Actor) refused(ctx actor.Context, r *round, err error) {
	for _, c := range r.commits { // nothing of them has to be kept
		ctx.Send(c.who, settledForGood)
	}
	a.refuse(ctx, a.parked, err)
	a.parked = nil
	if a.later != nil {
		a.later.Stop()
	}
	system, self := ctx.ActorSystem(), ctx.Self()
	a.later = time.AfterFunc(refusedRetry, func() { system.Root.Send(self, again{}) })
}

// refuse answers parked commits and offers their leases again.
func (a *Actor) refuse(ctx actor.Context, parked []*commit, err error) {
	for _, c := range parked {
		for _, id := range c.leases {
			a.takeBack(id)
		}
		ctx.Send(c.who, Committed{err})
	}
}

// settleMarks takes the marks that the cursor has passed; the last checkpoint
// of each key goes to the disk.
func (a *Actor) settleMarks(r *round) {
	n := 0
	for n < len(a.marks) && a.marks[n].batch.To <= r.cursor {
		n++
	}
	last := map[string]int{}
	for i, m := range a.marks[:n] {
		r.settled = append(r.settled, m.mark)
		if m.mark.Key.Key != nil {
			last[string(m.mark.Key.Key)] = i
		}
	}
	for i, m := range a.marks[:n] {
		if m.mark.Key.Key != nil && last[string(m.mark.Key.Key)] == i {
			addState(&r.write, []persistence.KV{m.mark.Key})
		}
	}
}

// dropMarks forgets the marks that r has taken.
func (a *Actor) dropMarks(r *round) {
	a.marks = append(a.marks[:0], a.marks[len(r.settled):]...)
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

// addStates adds what the commits keep: of each key what was said last.
func addStates(w *persistence.Write, commits []*commit) {
	last := map[string]*commit{}
	if len(commits) > 1 {
		for _, c := range commits {
			for _, kv := range c.state {
				last[string(kv.Key)] = c
			}
		}
	}
	for _, c := range commits {
		addState(w, slices.DeleteFunc(c.state, func(kv persistence.KV) bool {
			l := last[string(kv.Key)]
			return l != nil && l != c
		}))
	}
}

// settledForGood is the answer that most get; made once.
var settledForGood any = Committed{}

// onDisk takes note of what is on the disk now.
func (a *Actor) onDisk(ctx actor.Context, r *round) {
	switch {
	case r.err == nil:
		a.written = max(a.written, r.cursor)
	case a.Log != nil && errors.Is(r.err, persistence.ErrNoSpace):
		ctx.Send(ctx.Self(), supervise.Restart{}) // what it has settled here is not settled on the disk
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
