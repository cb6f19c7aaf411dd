package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/sluicehq/sluice/actors/replica"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Actor is one partition. What must survive a restart is in its log or in part.
type Actor struct {
	*part
	member *replica.Member
	view   view
	term   uint64

	next  record.Offset // of the next batch
	datas [][]byte      // of one turn's proposals
	timer *time.Timer   // of tend

	// full is why the volume did not take a write of raft's own: nothing goes on
	// until it does.
	full    error
	kept    kept
	tending bool // a goroutine looks what is to be given back
	// compacting: a pass is under way.
	compacting bool
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
	case tend:
		a.tend()
	case *actor.Restarting:
		a.timer.Stop()
	case *actor.Stopping:
		a.stop()
	}
}

// start takes the partition up from its log. What an earlier life has handed to
// the store is waited for, and answered by what the log says.
func (a *Actor) start() {
	a.timer = time.AfterFunc(a.TendEvery, func() { a.system.Root.Send(a.pid.Load(), tend{}) })
	a.inbox.settle()
	a.abandonPass()
	log, err := a.Store.OpenLog(LogName(a.TopicID, a.ID.Index), persistence.LogOptions{Flush: a.config.Load().Flush, Raft: true})
	if err != nil {
		panic(fmt.Errorf("open %s: %w", a.ID, err))
	}
	a.log.Store(log)
	if err := a.restore(log); err != nil {
		panic(fmt.Errorf("open %s: %w", a.ID, err))
	}
	a.member, err = replica.Open(replica.Config{
		ID: a.Node, Voters: a.Voters, Store: a.Store, Log: log, Applied: replica.All, Records: replica.RecordsOfBatch, Logger: a.Log,
	})
	if err != nil {
		panic(fmt.Errorf("open %s: %w", a.ID, err))
	}
	a.next = log.Next()
	a.view = view{start: log.Start(), stable: a.state.LastStable(a.next), hw: a.next, end: a.next, epoch: -1}
	a.drive()
	a.started.Store(true)
	a.watch.wake()
	a.answerEarlier(log.Next())
}

// answerEarlier answers what an earlier life has left: what is below next is in
// the log, the rest is not and never will be.
func (a *Actor) answerEarlier(next record.Offset) {
	for i, p := range a.pending {
		if p == nil {
			continue // it was being answered when the earlier life ended
		}
		a.pending[i] = nil
		if p.end <= next {
			a.answer(p, p.base)
		} else {
			a.refuse(p, ErrInterrupted)
		}
	}
	for i, p := range a.repeats {
		if p == nil {
			continue
		}
		a.repeats[i] = nil
		if p.base < next {
			a.answer(p, p.base)
		} else {
			a.refuse(p, ErrInterrupted)
		}
	}
	a.pending, a.repeats = a.pending[:0], a.repeats[:0]
	a.abandon(&a.taken, ErrInterrupted)
}

// abandon ends what was not done.
func (a *Actor) abandon(w *work, why error) {
	for i, p := range w.appends {
		if w.appends[i] = nil; p != nil {
			a.refuse(p, why)
		}
	}
	for i, c := range w.calls {
		if w.calls[i] = (call{}); c.fail != nil {
			c.fail(why)
		}
	}
	*w = work{}
}

// turn does all that waits in the inbox.
func (a *Actor) turn() {
	a.taken = a.inbox.take(a.taken)
	w := &a.taken
	for i, x := range w.stored {
		w.stored[i] = nil
		switch {
		case a.full != nil:
		case errors.Is(x.Err, persistence.ErrNoSpace):
			a.full = x.Err
		case x.Err != nil:
			panic(fmt.Errorf("write to %s: %w", a.ID, x.Err))
		default:
			a.member.Stored(x)
		}
	}
	a.accept(w.appends)
	a.drive()
	for i, c := range w.calls {
		c.do(a)
		w.calls[i] = call{}
	}
}

// accept proposes the batches that may be appended, all together.
func (a *Actor) accept(list []*pending) {
	if len(list) == 0 {
		return
	}
	bytes := 0
	for _, p := range list {
		bytes += len(p.Batch)
	}
	err := a.admit(bytes)
	if errors.Is(err, persistence.ErrNoSpace) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	before, now := len(a.pending), time.Now().UnixMilli()
	for i, p := range list {
		if err == nil {
			a.propose(p, now)
		} else {
			a.refuse(p, err)
		}
		list[i] = nil
	}
	if len(a.datas) == 0 {
		return
	}
	err = a.member.Propose(a.datas...)
	clear(a.datas)
	a.datas = a.datas[:0]
	if err != nil {
		a.takeBack(before, err)
	}
}

// admit asks for room for so many bytes. A partition that was full starts anew
// when there is room again: what raft wanted to write then was not written.
func (a *Actor) admit(bytes int) error {
	err := a.Store.Admit(bytes)
	if err == nil && a.full != nil {
		err = a.full
		a.system.Root.Send(a.pid.Load(), supervise.Restart{})
	}
	return err
}

// propose checks p, stamps its batch and takes it into the proposal.
func (a *Actor) propose(p *pending, now int64) {
	b := record.Batch(p.Batch)
	if !a.view.leading {
		a.refuse(p, ErrNotLeader)
		return
	}
	if err := (Ref{a.part}).CheckEpoch(p.LeaderEpoch); err != nil {
		a.refuse(p, err)
		return
	}
	dup, err := a.checkAndPropose(b, p.Origin, p.Guard, a.next, now)
	switch {
	case err != nil:
		a.refuse(p, err)
	case dup >= a.view.hw:
		p.base = dup
		a.repeats = append(a.repeats, p)
	case dup != none:
		a.answer(p, dup)
	default:
		record.SetBaseOffset(b, a.next)
		record.SetLeaderEpoch(b, a.view.epoch)
		p.base = a.next
		a.next += record.Offset(b.LastOffsetDelta()) + 1
		p.end = a.next
		a.pending = append(a.pending, p)
		a.datas = append(a.datas, b)
	}
}

// takeBack refuses the proposals from number from on: raft did not take them.
func (a *Actor) takeBack(from int, why error) {
	if errors.Is(why, replica.ErrNotLeader) {
		why = ErrNotLeader
	}
	a.next = a.pending[from].base
	for i, p := range a.pending[from:] {
		a.pending[from+i] = nil
		a.refuse(p, why)
	}
	a.pending = a.pending[:from]
	a.proposeAgain(time.Now().UnixMilli())
}

// drive carries out what raft wants, until it wants nothing more.
func (a *Actor) drive() {
	out, err := a.member.Turn()
	if err != nil {
		panic(fmt.Errorf("%s: %w", a.ID, err))
	}
	a.lead()
	a.inbox.handed(len(out.Writes))
	for _, w := range out.Writes {
		if w.Done == nil {
			w.Done = a.done(w)
		}
		w.Admitted = true
		a.Store.Submit(&w.Write)
	}
	a.apply(out.Committed)
	a.view.end = a.next
	a.publish(a.view)
	a.answerCommitted()
	a.keep()
}

// lead takes note of who leads.
func (a *Actor) lead() {
	if a.member.Leading() == a.view.leading && a.member.Term() == a.term {
		return
	}
	a.term = a.member.Term()
	a.view.leading = a.member.Leading()
	// Raft counts terms from 1, Kafka epochs from 0.
	a.view.epoch = int32(a.term) - 1
	if a.view.leading {
		a.beginEpoch(a.view.epoch, a.next)
	}
}

// apply takes note of committed batches.
func (a *Actor) apply(entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	a.commit(entries, time.Now().UnixMilli())
	a.member.Applied(entries[len(entries)-1].GetIndex())
}

// answerCommitted answers those whose batches are below the high watermark.
func (a *Actor) answerCommitted() {
	n := 0
	for n < len(a.pending) && a.pending[n].end <= a.view.hw {
		p := a.pending[n]
		a.pending[n] = nil
		n++
		a.answer(p, p.base)
	}
	if n > 0 {
		rest := copy(a.pending, a.pending[n:])
		clear(a.pending[rest:])
		a.pending = a.pending[:rest]
	}
	for i := 0; i < len(a.repeats); {
		p := a.repeats[i]
		if p.base >= a.view.hw {
			i++
			continue
		}
		last := len(a.repeats) - 1
		a.repeats[i], a.repeats[last] = a.repeats[last], nil
		a.repeats = a.repeats[:last]
		a.answer(p, p.base)
	}
}

// stop ends the partition: whoever waits is answered, and what is known beside
// the log is stored, so that the next start reads little.
func (a *Actor) stop() {
	a.timer.Stop()
	a.endLife()
	left := a.inbox.close(fmt.Errorf("%w: it has stopped", ErrNotLeader))
	a.abandonPass()
	a.background.Wait() // what works on the log ends before the store may
	a.inbox.settle()
	a.view.leading = false
	if log := a.log.Load(); log != nil {
		a.answerEarlier(log.Next())
	}
	a.abandon(&left, ErrNotLeader)
	if a.member != nil {
		a.keepLast()
	}
	for _, c := range a.inbox.close(ErrNotLeader).calls { // writes that came back meanwhile
		c.do(a)
	}
	a.publish(a.view)
}
