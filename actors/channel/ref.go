package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// Ref is the address of a channel. Holding one is what lets others talk to it.
type Ref struct {
	system *actor.ActorSystem
	pid    *actor.PID
	spec   *Spec
}

// Name of the channel.
func (r Ref) Name() string { return r.spec.Name }

// Durable says that what the channel has taken survives the process.
func (r Ref) Durable() bool { return r.spec.Log != nil || r.spec.Remote != nil }

// Placed says that records keep their positions for ever. Without, what a sink
// has to remember is written together with the checkpoints of the sources.
func (r Ref) Placed() bool { return r.spec.Log != nil }

// Capacity is how many records the channel can hold.
func (r Ref) Capacity() int { return int(r.spec.capacity.Load()) }

// KeepAlive is how long whoever cannot read again waits for room.
func (r Ref) KeepAlive() time.Duration { return time.Duration(r.spec.keepAlive.Load()) }

// answerMax is how long a channel that runs may take for an answer that does
// not wait for the disk or for room. A restart may lie in between.
const answerMax = 30 * time.Second

// Inspect asks how the channel is.
func (r Ref) Inspect(ctx context.Context) (Snapshot, error) {
	return ask.For[Snapshot](ctx, r.system, r.pid, Inspect{})
}

// Adjust changes what may change while the channel runs: its capacities and
// keep-alive become those of spec.
func (r Ref) Adjust(spec *Spec) {
	r.system.Root.Send(r.pid, Adjust{spec.Capacity, spec.ByteCapacity, spec.KeepAlive})
}

// AwaitStart returns when the channel has taken up what it holds, and with it
// what its sinks have kept, or ctx ends.
func (r Ref) AwaitStart(ctx context.Context) error {
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := r.Inspect(once)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-time.After(goneRetry):
		case <-ctx.Done():
		}
	}
}

// goneRetry is how long to leave a channel alone that does not answer at all.
const goneRetry = 50 * time.Millisecond

// Taker takes from a channel for one sink. It belongs to one goroutine.
type Taker struct {
	ref    Ref
	asker  *ask.Asker
	holder string
	alive  context.Context // until the channel's actor stops for good
	end    context.CancelFunc

	question *Take // the last one, used again
	lease    Lease // the last one

	cached *record.Slab // the batch read last from the log
	cachAt record.Offset
}

// Taker returns a taker for the sink called holder, whose earlier leases are
// offered again.
func (r Ref) Taker(holder string) *Taker {
	r.system.Root.Send(r.pid, Abandon{holder})
	if r.spec.Remote != nil {
		r.spec.Remote.take()
	}
	t := &Taker{ref: r, asker: ask.NewAsker(r.system), holder: holder}
	t.alive, t.end = r.spec.tree.While(context.Background(), r.pid.Id)
	return t
}

// Alive ends when the channel's actor stops for good, or the taker is closed.
func (t *Taker) Alive() context.Context { return t.alive }

// Abandon offers again what was taken and is not settled, also what is to be
// committed and not written yet.
func (t *Taker) Abandon() { t.ref.system.Root.Send(t.ref.pid, Abandon{t.holder}) }

// Close ends the taker. What it took and did not commit is offered again.
func (t *Taker) Close() {
	t.Abandon()
	t.asker.Close()
	t.end()
	t.forget()
}

// Await returns when there may be something to take, or ctx ends.
func (t *Taker) Await(ctx context.Context) error {
	for {
		_, err := ask.Within[Ready](ctx, t.asker, answerMax, t.ref.pid, Await{t.holder})
		if err != nil {
			t.asker.GiveUp(nil)
		}
		switch {
		case err == nil, ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ask.ErrGone):
			return err
		}
		// The channel restarted and forgot us, or is still down: ask again.
	}
}

// Lease is what a take brought: the records as views that the taker may read
// until it releases them.
type Lease struct {
	ID, Life uint64
	First    record.Offset // position of the first record
	Records  int
	Bytes    int // of bodies
	// Epoch is that of the lease in a memory channel: what a sink commits with
	// something to remember must all be of one.
	Epoch uint64
	Views []record.View
	// Places are the positions of the first records of the views: there may be
	// gaps between these.
	Places []record.Offset

	views []record.View // the memory of Views
}

// Release gives the views back. The lease stays.
func (l *Lease) Release() {
	for _, v := range l.Views {
		v.Slab.Release()
	}
	clear(l.Views)
	l.Views, l.views = nil, l.Views[:0]
}

// Take brings up to max records, or nil when there are none. It reads from the
// log what is not in memory. On an error nothing is leased. What it returns is
// valid until the next Take; the lease itself is out until it is settled.
func (t *Taker) Take(max int) (*Lease, error) {
	if t.question == nil {
		t.question = &Take{Holder: t.holder}
	}
	t.question.Max = max
	taken, err := ask.Within[*Taken](t.alive, t.asker, answerMax, t.ref.pid, t.question)
	if err != nil {
		t.asker.GiveUp(t.ref.rollsBack)
		t.question = nil // the channel may still read it
		return nil, err
	}
	if taken.Lease == 0 {
		return nil, nil
	}
	l := &t.lease
	*l = Lease{ID: taken.Lease, Life: taken.Life, Epoch: taken.Epoch, First: taken.Chunks[0].Base, Views: l.views, Places: l.Places[:0]}
	for i, c := range taken.Chunks {
		if c.Slab == nil {
			if c.Slab, err = t.read(c); err != nil {
				l.Release()
				releaseChunks(taken.Chunks[i+1:])
				t.Rollback(l)
				return nil, err
			}
		}
		v := record.View{Slab: c.Slab, First: c.First, Count: c.Count}
		l.Views = append(l.Views, v)
		l.Places = append(l.Places, c.Base)
		l.Records += c.Count
		for n := c.First; n < c.First+c.Count; n++ {
			l.Bytes += len(c.Slab.Body(n))
		}
	}
	return l, nil
}

// rollsBack gives back a lease that comes when nobody waits for it any more.
func (r Ref) rollsBack(answer any) {
	if taken, ok := answer.(*Taken); ok && taken.Lease != 0 {
		releaseChunks(taken.Chunks)
		r.system.Root.Send(r.pid, Rollback{Life: taken.Life, Lease: taken.Lease})
	}
}

func releaseChunks(chunks []channelstate.Chunk) {
	for _, c := range chunks {
		if c.Slab != nil {
			c.Slab.Release()
		}
	}
}

// read brings the stored batch of c. The last one read is kept: a sink often
// takes one batch in several leases.
func (t *Taker) read(c channelstate.Chunk) (*record.Slab, error) {
	if t.cached == nil || t.cachAt != c.Last {
		t.forget()
		base := c.Base - record.Offset(c.First)
		batch, err := t.ref.spec.Log.Read(persistence.Entry{Base: base, Last: c.Last}, nil)
		if err != nil {
			return nil, fmt.Errorf("read channel %s: %w", t.ref.spec.Name, err)
		}
		s, err := record.Decode(batch)
		if err != nil {
			return nil, fmt.Errorf("read channel %s at %d: %w", t.ref.spec.Name, base, err)
		}
		t.cached, t.cachAt = s, c.Last
	}
	t.cached.Retain()
	return t.cached, nil
}

func (t *Taker) forget() {
	if t.cached != nil {
		t.cached.Release()
		t.cached = nil
	}
}

// Rollback offers a lease again.
func (t *Taker) Rollback(l *Lease) {
	t.ref.system.Root.Send(t.ref.pid, Rollback{Life: l.Life, Lease: l.ID})
}

// Delivered says that the records of l have left, before its commit.
func (t *Taker) Delivered(l *Lease) {
	t.ref.system.Root.Send(t.ref.pid, Delivered{Life: l.Life, Lease: l.ID})
}

// Commit settles leases of one life with what the sink must remember, and
// returns when that is on disk.
// ctx should end with the channel's actor, as Taker.Alive does.
func (r Ref) Commit(ctx context.Context, a *ask.Asker, c *Commit) error {
	r.BeginCommit(a, c)
	return r.AwaitCommit(ctx, a)
}

// BeginCommit is Commit without waiting. Commits reach the channel in the order
// in which they are begun. a is for this one alone until AwaitCommit returns.
func (r Ref) BeginCommit(a *ask.Asker, c *Commit) { a.Send(r.pid, c) }

// AwaitCommit returns what has become of the commit begun through a.
func (r Ref) AwaitCommit(ctx context.Context, a *ask.Asker) error {
	done, err := ask.Answer[Committed](ctx, a, 0, r.pid)
	if err != nil {
		a.GiveUp(nil)
		return err
	}
	return done.Err
}

// Keep stores what a sink must remember and returns when it is on disk.
func (r Ref) Keep(ctx context.Context, state []persistence.KV) error {
	ctx, cancel := r.spec.tree.While(ctx, r.pid.Id)
	defer cancel()
	done, err := ask.For[Committed](ctx, r.system, r.pid, Keep{state})
	if err != nil {
		return err
	}
	return done.Err
}
