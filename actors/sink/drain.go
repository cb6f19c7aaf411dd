package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence/record"
)

// drain is one run of a sink or group: it takes leases, delivers them, and
// commits what was delivered in the background, several leases at a time, so
// that the next batch is written while the one before is synced.
type drain struct {
	*Spec
	self    *actor.PID
	end     context.CancelCauseFunc
	members []*outlet
	proc    processor
	dead    *deadLetters
	waiting bool // noted as BACKOFF
}

// outlet is one sink of the run with what it has delivered.
type outlet struct {
	*Member
	d       *drain
	sink    Sink
	taker   *channel.Taker
	every   time.Duration // between two commits
	pending uncommitted
	letters [][]byte // of the batch being delivered: lines for the dead letters
	commits chan uncommitted
	done    sync.WaitGroup
	failed  error // of a commit; read after done
}

// uncommitted are leases that are delivered and not settled.
type uncommitted struct {
	life    uint64
	leases  []uint64
	records int
	bytes   int
	since   time.Time
	partly  bool    // the last lease ends inside of a batch that comes again as a whole
	part    Pending // of a Durable sink
	dead    int
}

// How much may be delivered before it is committed, and how long it may wait.
const (
	commitBytes      = 4 << 20
	commitBytesMax   = 32 << 20 // here delivering waits for the commit
	commitLeasesMax  = 1024
	commitPartly     = time.Second // a batch whose end does not come is committed without it
	commitEvery      = 10 * time.Millisecond
	commitEveryDisk  = 50 * time.Millisecond  // a sink whose files are synced, behind a durable channel
	commitEveryCache = 100 * time.Millisecond // the same behind a memory channel: the room is free already
)

// run delivers until ctx ends. An error means that the run cannot go on:
// what was not committed is offered again, and the next run begins where the
// last commit was.
func (d *drain) run(ctx context.Context) (err error) {
	d.dead = &deadLetters{path: d.DeadLetters}
	defer d.dead.close()
	defer d.drop()
	names := make([]string, len(d.Members))
	for i, m := range d.Members {
		names[i] = m.Name
	}
	if d.proc, err = newProcessor(d.Processor, d.Settings, names, d.Compat); err != nil {
		return err
	}
	for _, m := range d.Members {
		if m.Channel.AwaitStart(ctx) != nil {
			break
		}
		d.members = append(d.members, d.open(m))
	}
	for _, i := range d.proc.unused() {
		d.Log.Warn("sink is never used: another one of its group has the same priority", "sink", names[i], "group", d.Name)
	}
	for i, o := range d.members {
		d.ready(i, o) // so that what is wrong shows before the first record
	}
	for ctx.Err() == nil {
		i, ok, retryAt := d.proc.next(time.Now())
		if !ok {
			d.sleep(ctx, retryAt)
			continue
		}
		if err := d.turn(ctx, i); err != nil {
			return err
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errHalted) {
		return cause
	}
	return d.finish()
}

func (d *drain) open(m *Member) *outlet {
	m.trouble.Store(nil) // of an earlier run
	o := &outlet{Member: m, d: d, taker: m.Channel.Taker(m.Name), commits: make(chan uncommitted, 1)}
	o.done.Add(1)
	go func() {
		defer o.done.Done()
		o.commitAll()
	}()
	return o
}

// make makes the sink of an outlet, with the state that it has kept.
func (o *outlet) make() error {
	state, err := o.d.state(o.Name)
	if err != nil {
		return err
	}
	o.sink, err = New(o.Settings, Env{
		Log: o.d.Log.With("sink", o.Name), Agent: o.d.Agent, Name: o.Name, Compat: o.d.Compat, State: state, Replays: o.Replays,
		Counters: &o.Counters, crashed: func(c *crash) { o.d.end(c) },
		Keep: func(ctx context.Context, s State) error {
			return o.Channel.Keep(ctx, o.d.keys(o.Name, s))
		},
		DeadLetter: func(batch *record.Slab, i int, code, reason string) {
			o.letters = append(o.letters, newDeadLetter(o.Name, batch, i, code, reason))
		},
	})
	if err != nil {
		return err
	}
	_, durable := o.sink.(Durable)
	switch {
	case !durable:
		o.every = commitEvery
	case o.Channel.Durable():
		o.every = commitEveryDisk
	default:
		o.every = commitEveryCache
	}
	return nil
}

// turn lets sink i deliver one batch, or waits until there is one.
func (d *drain) turn(ctx context.Context, i int) error {
	o := d.members[i]
	if !d.ready(i, o) {
		return nil
	}
	l, err := o.taker.Take(o.Batch)
	if err != nil {
		o.Counters.ChannelReadFail.Add(1)
		d.failed(i, err)
		return nil
	}
	if l == nil {
		o.Counters.BatchEmpty.Add(1)
		d.idle(ctx, o)
		return nil
	}
	o.Counters.EventDrainAttempt.Add(int64(l.Records))
	batch := Batch{Views: l.Views, Channel: o.Channel.Name(), First: l.First}
	if !o.Channel.Durable() {
		batch.First = -1
	}
	o.letters = o.letters[:0]
	err = o.sink.Deliver(ctx, &batch)
	l.Release()
	if err != nil {
		o.taker.Rollback(l)
		if ctx.Err() == nil {
			o.Counters.EventWriteFail.Add(1)
			d.failed(i, err)
		}
		return nil
	}
	// The sink has taken the batch, so that the run is over when this fails.
	if err := d.dead.add(o.letters); err != nil {
		return err
	}
	o.pending.dead += len(o.letters)
	d.succeeded(i, o, l)
	o.hand()
	return nil
}

// ready makes sink i where it is not made, and says whether there is one.
func (d *drain) ready(i int, o *outlet) bool {
	if o.sink != nil {
		return true
	}
	if err := o.make(); err != nil {
		o.sink = nil
		o.Counters.ConnectionFailed.Add(1)
		d.failed(i, fmt.Errorf("start sink %s: %w", o.Name, err))
		return false
	}
	d.works(o)
	return true
}

func (d *drain) failed(i int, err error) {
	now := time.Now()
	d.proc.failed(i, now)
	d.members[i].troubled(err, now)
	_, ok, retryAt := d.proc.next(now)
	retry := d.proc.pause(i, now)
	if !ok {
		retry = max(retry, retryAt.Sub(now))
	}
	d.Log.Warn("delivery failed", "sink", d.members[i].Name, "err", err, "retry", retry)
	if !ok {
		d.waiting = true
		d.Tree.Note(d.self, supervise.Backoff, err.Error(), retryAt.Sub(now))
	}
}

func (d *drain) succeeded(i int, o *outlet, l *channel.Lease) {
	d.proc.succeeded(i, time.Now())
	d.works(o)
	if l.Records == o.Batch {
		o.Counters.BatchComplete.Add(1)
	} else {
		o.Counters.BatchUnderflow.Add(1)
	}
	if !o.Channel.Durable() {
		o.taker.Delivered(l)
	}
	p := &o.pending
	if len(p.leases) == 0 {
		p.since, p.life = time.Now(), l.Life
	}
	p.leases = append(p.leases, l.ID)
	p.partly = o.exact() && !l.Whole
	p.records += l.Records
	p.bytes += l.Bytes
}

// works notes that o is well, and so the sink or group.
func (d *drain) works(o *outlet) {
	o.trouble.Store(nil)
	if d.waiting {
		d.waiting = false
		d.Tree.Note(d.self, supervise.Running, "", 0)
	}
}

// idle waits until there is something to take, or to commit.
func (d *drain) idle(ctx context.Context, o *outlet) {
	due, any := d.due()
	if any && !due.After(time.Now()) {
		d.handAll()
		if _, still := d.due(); !still {
			return
		}
		due = time.Now().Add(commitEvery)
	}
	if any {
		short, cancel := context.WithDeadline(ctx, due)
		defer cancel()
		ctx = short
	}
	_ = o.taker.Await(ctx)
}

// sleep waits until at, and commits meanwhile what is due.
func (d *drain) sleep(ctx context.Context, at time.Time) {
	for wait := time.Until(at); wait > 0 && ctx.Err() == nil; wait = time.Until(at) {
		if _, any := d.due(); any {
			d.handAll()
			wait = min(wait, commitEvery) // it may have enough to do just now
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// due is when the next commit should be.
func (d *drain) due() (at time.Time, any bool) {
	for _, o := range d.members {
		if len(o.pending.leases) > 0 {
			if t := o.dueAt(); !any || t.Before(at) {
				at, any = t, true
			}
		}
	}
	return at, any
}

// exact says that a commit must end where a checkpoint does: the lengths of
// files move with it, and what lies behind the checkpoint is read again.
func (o *outlet) exact() bool {
	_, durable := o.sink.(Durable)
	return durable && o.Replays && !o.Channel.Durable()
}

// dueAt is when what is pending should be committed.
func (o *outlet) dueAt() time.Time {
	if o.pending.partly {
		return o.pending.since.Add(max(o.every, commitPartly))
	}
	return o.pending.since.Add(o.every)
}

func (d *drain) handAll() {
	now := time.Now()
	for _, o := range d.members {
		if len(o.pending.leases) > 0 && (!o.pending.partly || !now.Before(o.dueAt())) {
			o.tryHand()
		}
	}
}

// hand gives what is delivered to the committing goroutine when it is time. It
// waits only when too much is not committed.
func (o *outlet) hand() {
	p := &o.pending
	if p.partly && time.Now().Before(o.dueAt()) {
		return
	}
	if p.bytes >= commitBytesMax || len(p.leases) >= commitLeasesMax {
		o.commits <- o.cut() // commitAll always goes on taking
		return
	}
	if p.bytes >= commitBytes || time.Since(p.since) >= o.every {
		o.tryHand()
	}
}

// tryHand hands over unless the committing goroutine has enough to do.
func (o *outlet) tryHand() {
	if len(o.commits) == 0 { // this goroutine alone fills it
		o.commits <- o.cut()
	}
}

// cut takes what is delivered, with the sink's part in it.
func (o *outlet) cut() uncommitted {
	p := o.pending
	if durable, ok := o.sink.(Durable); ok {
		p.part = durable.Pending()
	}
	o.pending = uncommitted{}
	return p
}

// commitAll commits what it is handed, in order, until there is no more.
func (o *outlet) commitAll() {
	asker := ask.NewAsker(o.d.Tree.System())
	defer asker.Close()
	for p := range o.commits {
		if o.failed != nil {
			continue // the run ends; it is offered again
		}
		if err := o.guardedCommit(asker, p); err != nil {
			o.failed = fmt.Errorf("commit of sink %s: %w", o.Name, err)
			o.d.end(o.failed)
		}
	}
}

func (o *outlet) guardedCommit(asker *ask.Asker, p uncommitted) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = newCrash(r)
		}
	}()
	return o.commit(asker, p)
}

// errUnsynced says that a sync failed. What is on disk is not known then, so
// the sink is not run again: the node ends.
var errUnsynced = errors.New("what was delivered may not be on disk")

// commitMax is how long a commit may take before the channel is asked anew.
const commitMax = time.Minute

func (o *outlet) commit(asker *ask.Asker, p uncommitted) error {
	c := &channel.Commit{Life: p.life, Leases: p.leases, Dead: p.dead}
	if p.dead > 0 {
		if err := o.d.dead.sync(); err != nil {
			return err
		}
	}
	if p.part != nil {
		state, err := p.part.Sync()
		if err != nil {
			err = fmt.Errorf("%w: %w", errUnsynced, err)
			o.d.broken.Do(func() { o.d.Fatal(fmt.Errorf("sync the files of sink %s: %w", o.Name, err)) })
			return err
		}
		c.State = o.d.keys(o.Name, state)
	}
	ctx, cancel := context.WithTimeout(o.taker.Alive(), commitMax)
	defer cancel()
	if err := o.Channel.Commit(ctx, asker, c); err != nil {
		return err
	}
	if p.part != nil {
		p.part.Committed()
	}
	o.Counters.EventDrainSuccess.Add(int64(p.records - p.dead))
	o.Counters.DeadLetters.Add(int64(p.dead))
	return nil
}

// finish commits what is delivered and closes the sinks.
func (d *drain) finish() error {
	var errs []error
	for _, o := range d.members {
		// A part of a batch is left to be cut off: the whole batch comes again.
		if len(o.pending.leases) > 0 && !o.pending.partly {
			o.commits <- o.cut()
		}
	}
	for _, o := range d.members {
		close(o.commits)
		o.done.Wait()
		o.commits = nil
		switch sink, ok := o.sink.(Abandoner); {
		case o.sink == nil:
		case o.failed != nil && ok:
			sink.Abandon() // what is not committed is not to be finished
		default:
			errs = append(errs, o.sink.Close())
		}
		o.sink = nil
		errs = append(errs, o.failed)
		o.taker.Close()
	}
	d.members = nil
	return errors.Join(errs...)
}

// drop ends the run as a crash would: what is not committed is offered again,
// and the sinks are left as they are for the next run to mend.
func (d *drain) drop() {
	for _, o := range d.members {
		if o.commits != nil {
			close(o.commits)
			o.done.Wait()
		}
		if sink, ok := o.sink.(Abandoner); ok {
			sink.Abandon()
		}
		o.taker.Close()
	}
	d.members = nil
}
