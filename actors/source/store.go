package source

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/persistence/record"
)

// Store is for sources that cannot read again: it returns when every required
// channel has the batch, or with the reason why none has.
func (e *emitter) Store(ctx context.Context, batch *record.Slab) error {
	records := batch.Len()
	e.ledger.begin(records)
	e.Counters.EventReceived.Add(int64(records))
	e.Counters.AppendBatchReceived.Add(1)
	p, err := e.shape(batch)
	if err != nil {
		e.Counters.GenericProcessingFail.Add(1)
		e.ledger.undo(records)
		return err
	}
	for _, s := range p.required {
		if e.Whole && s.batch.Len() > e.Channels[s.channel].Capacity() {
			p.release()
			e.ledger.undo(records)
			e.Counters.ChannelWriteFail.Add(1)
			return fmt.Errorf("channel %s: %w", e.Channels[s.channel].Name(), channel.ErrTooLarge)
		}
	}
	optional := p.optional
	p.optional = nil
	e.ledger.route(records, p.dropped, copiesOf(p.required))
	pieces := e.pieces(p.required)
	for i, piece := range pieces {
		if err := e.storeOne(ctx, piece); err != nil {
			for _, late := range pieces[i:] {
				e.refuse(late)
			}
			drain(optional)
			e.Counters.ChannelWriteFail.Add(1)
			return err
		}
		drain(piece)
	}
	e.bestEffort(&plan{optional: optional})
	e.Counters.EventAccepted.Add(int64(records))
	e.Counters.AppendBatchAccepted.Add(1)
	return nil
}

// storeOne puts shares and waits until they are stored. It keeps the
// references of its caller.
func (e *emitter) storeOne(ctx context.Context, shares []share) error {
	list := make([]channel.Share, 0, len(shares))
	copies, wait := 0, time.Duration(0)
	for _, s := range shares {
		s.batch.Retain()
		copies += s.batch.Len()
		list = append(list, channel.Share{To: e.Channels[s.channel], Batch: s.batch})
		wait = max(wait, e.Channels[s.channel].KeepAlive())
	}
	if len(list) == 0 {
		return nil
	}
	a := e.asker()
	defer e.free(a)
	result := make(chan error, 1)
	if err := channel.Put(ctx, a, e.Spec.Store, list, max(wait, time.Millisecond), func(err error) { result <- err }); err != nil {
		return err
	}
	if err := <-result; err != nil {
		return err
	}
	e.ledger.arrive(copies)
	return nil
}

// bestEffort offers the optional shares of a plan once, without waiting.
func (e *emitter) bestEffort(p *plan) {
	for _, s := range p.optional {
		c := e.Channels[s.channel]
		n := s.batch.Len()
		e.ledger.route(0, 0, n)
		a := e.asker()
		err := channel.Put(context.Background(), a, e.Spec.Store, []channel.Share{{To: c, Batch: s.batch}}, time.Millisecond, func(err error) {
			if err != nil {
				e.ledger.lose(n, 0)
				return
			}
			e.ledger.arrive(n)
		})
		e.free(a)
		if err != nil {
			e.ledger.lose(n, 0)
			e.drop("optional channel "+c.Name(), n)
			e.Log.Debug("optional channel took nothing", "channel", c.Name(), "err", err)
		}
	}
	p.optional = nil
}
