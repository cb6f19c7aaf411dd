package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/supervise"
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
	if err := o.before(l); err != nil {
		l.Release()
		o.taker.Rollback(l)
		return err
	}
	o.Counters.EventDrainAttempt.Add(int64(l.Records))
	batch := Batch{Views: l.Views, Channel: o.Channel.Name(), First: l.First, Places: l.Places}
	if !o.Channel.Placed() {
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
	if !o.Channel.Placed() {
		o.taker.Delivered(l)
	}
	o.pending.add(l)
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

func (d *drain) handAll() {
	for _, o := range d.members {
		if len(o.pending.leases) > 0 {
			o.tryHand()
		}
	}
}

// finish commits what is delivered and closes the sinks.
func (d *drain) finish() error {
	for _, o := range d.members {
		if len(o.pending.leases) > 0 {
			o.commits <- o.cut()
		}
	}
	d.land(finishMax)
	var errs []error
	for _, o := range d.members {
		switch sink, ok := o.sink.(Abandoner); {
		case o.sink == nil:
		case o.failure() != nil && ok:
			sink.Abandon() // what is not committed is not to be finished
		default:
			errs = append(errs, o.sink.Close())
		}
		o.sink = nil
		errs = append(errs, o.failure())
		o.taker.Close()
	}
	d.members = nil
	return errors.Join(errs...)
}

// drop ends the run as a crash would: what is not committed is offered again,
// and the sinks are left as they are for the next run to mend.
func (d *drain) drop() {
	d.land(0)
	for _, o := range d.members {
		if sink, ok := o.sink.(Abandoner); ok {
			sink.Abandon()
		}
		o.taker.Close()
	}
	d.members = nil
}

// finishMax is how long a sink that ends waits for others to do what lies
// before its commits. Then its records are offered again, and its files are cut.
const finishMax = 2 * time.Second

// land ends the committing goroutines, and returns when it is known of every
// commit whether it is written: at the latest after patience all that are not
// are given up.
func (d *drain) land(patience time.Duration) {
	for _, o := range d.members {
		if o.commits != nil {
			close(o.commits)
			o.done.Wait()
			o.commits = nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, o := range d.members {
		select {
		case <-o.last:
		case <-ctx.Done():
		}
	}
	for _, o := range d.members {
		o.taker.Abandon()
	}
	for _, o := range d.members {
		select {
		case <-o.last:
		case <-time.After(commitMax): // the channel has failed over it
			o.ground()
			<-o.last
		}
	}
}
