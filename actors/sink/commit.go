package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
)

// commitAll commits what it is handed, in order, until there is no more.
func (o *outlet) commitAll() {
	asker := ask.NewAsker(o.d.Tree.System())
	defer asker.Close()
	for p := range o.commits {
		if o.failure() != nil {
			continue // the run ends; it is offered again
		}
		o.guarded(func() error { return o.commit(asker, p) })
	}
}

// guarded does a part of a commit. When that fails, or panics, the run ends.
func (o *outlet) guarded(do func() error) {
	defer func() {
		if r := recover(); r != nil {
			o.fail(newCrash(r))
		}
	}()
	if err := do(); err != nil {
		o.fail(fmt.Errorf("commit of sink %s: %w", o.Name, err))
	}
}

// fail ends the run. The first failure counts.
func (o *outlet) fail(err error) {
	if o.err.CompareAndSwap(nil, &err) {
		o.d.end(err)
	}
}

// failure is why commits failed, or nil.
func (o *outlet) failure() error {
	if err := o.err.Load(); err != nil {
		return *err
	}
	return nil
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
	if o.exact {
		o.fly(c, p)
		return nil
	}
	ctx, cancel := context.WithTimeout(o.taker.Alive(), commitMax)
	defer cancel()
	if err := o.Channel.Commit(ctx, asker, c); err != nil {
		return err
	}
	o.committed(p)
	return nil
}

// fly begins a commit that may have to wait for other sinks. This one goes on:
// it may have to deliver what another one could not, before which nothing of
// what it has done can be written.
func (o *outlet) fly(c *channel.Commit, p uncommitted) {
	asker := ask.NewAsker(o.d.Tree.System())
	before, last := o.last, make(chan struct{})
	o.last = last
	o.out.Add(1)
	o.Channel.BeginCommit(asker, c)
	go func() {
		defer close(last)
		defer o.out.Add(-1)
		defer asker.Close()
		o.guarded(func() error {
			err := o.Channel.AwaitCommit(o.flying, asker)
			<-before
			switch {
			case errors.Is(err, channel.ErrAbandoned): // by this run, at its end
				if part, ok := p.part.(Revocable); ok {
					part.GivenUp()
				}
				return nil
			case err != nil:
				return err
			}
			o.committed(p)
			return nil
		})
	}()
}

// committed tells the sink that a part of what it has done counts.
func (o *outlet) committed(p uncommitted) {
	if p.part != nil {
		p.part.Committed()
	}
	o.Counters.EventDrainSuccess.Add(int64(p.records - p.dead))
	o.Counters.DeadLetters.Add(int64(p.dead))
}
