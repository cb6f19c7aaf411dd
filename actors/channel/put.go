package channel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Share is what one channel gets of a batch.
type Share struct {
	To    Ref
	Batch *record.Slab // its reference is handed over with the share
	// Checkpoint is written with the batch into a durable channel. For a memory
	// channel it stands in Mark.
	Checkpoint persistence.KV
	Mark       *Mark
}

// slot is the size of the unit in which Flume counts bytes of a channel.
const slot = 100

// room is what a batch takes of a channel's byte capacity: each body rounded
// up to slots, at least one.
func room(s *record.Slab) int {
	n := 0
	for i := range s.Len() {
		n += slots(len(s.Body(i)))
	}
	return n
}

// slots is the size of a body of n bytes in whole slots.
func slots(n int) int { return max(1, (n+slot-1)/slot) * slot }

// Put puts a batch into all the channels of shares or into none. done is
// called once, when every durable channel has its share on disk and every
// memory channel has it, or with the reason why none has; it must not block.
// Put itself blocks while a channel has no room: for at most wait (ErrFull), or
// for ever when wait is 0, until ctx ends. It returns an error when nothing
// was handed over: then done is not called and the shares are released.
//
// Shares are given in one order by all who put into the same channels, so that
// two of them never wait for each other.
func Put(ctx context.Context, a *ask.Asker, store *persistence.Store, shares []Share, wait time.Duration, done func(error)) error {
	p := newPut()
	p.shares, p.done = append(p.shares, shares...), done
	for i, s := range p.shares {
		if s.To.spec.Remote != nil {
			p.bytes = append(p.bytes, 0) // the topic has no bound
			continue
		}
		p.bytes = append(p.bytes, room(s.Batch))
		if err := s.To.reserve(ctx, a, s.Batch.Len(), p.bytes[i], wait); err != nil {
			p.giveBack(i)
			p.free()
			return fmt.Errorf("channel %s: %w", s.To.Name(), err)
		}
	}
	for _, s := range p.shares {
		if err := p.add(s); err != nil {
			p.giveBack(len(p.shares))
			p.free()
			return fmt.Errorf("channel %s: %w", s.To.Name(), err)
		}
	}
	if err := p.produce(ctx); err != nil {
		p.giveBack(len(p.shares))
		p.free()
		return err
	}
	if len(p.write.Appends)+len(p.write.Sets) == 0 {
		p.arrive()
		p.free()
		done(nil)
		return nil
	}
	if err := store.Try(&p.write); err != nil {
		p.giveBack(len(p.shares))
		p.free()
		return err
	}
	return nil
}

// put is a put on its way. It is used again for another one.
type put struct {
	shares  []Share
	bytes   []int // of each share, as reserved
	buffers [][]byte
	write   persistence.Write
	done    func(error)
}

var puts sync.Pool // of *put

func newPut() *put {
	if p, ok := puts.Get().(*put); ok {
		return p
	}
	p := new(put)
	p.write.Done = p.written
	return p
}

// add makes s a part of the write if its channel is durable.
func (p *put) add(s Share) error {
	if s.To.spec.Log == nil {
		if s.To.spec.Remote != nil && s.Checkpoint.Key != nil {
			p.write.Sets = append(p.write.Sets, s.Checkpoint)
		}
		return nil
	}
	payload, err := s.Batch.Encode(record.GetBuffer(s.Batch.EncodedSize()), s.To.spec.Codec)
	if err != nil {
		return err
	}
	p.buffers = append(p.buffers, payload)
	p.write.Appends = append(p.write.Appends, persistence.Append{
		Log: s.To.spec.Log, Count: s.Batch.Len(), Payload: payload, MaxTime: s.Batch.Time(), Summed: true,
	})
	if s.Checkpoint.Key != nil {
		p.write.Sets = append(p.write.Sets, s.Checkpoint)
	}
	return nil
}

// produce hands the shares of Kafka channels to their topics. It waits for them:
// the checkpoint of this batch must not be on disk before those of earlier ones
// are in a topic. They come first, since a topic takes no part in a write.
func (p *put) produce(ctx context.Context) error {
	for _, s := range p.shares {
		if k := s.To.spec.Remote; k != nil {
			if err := k.put(ctx, s.Batch); err != nil {
				return fmt.Errorf("channel %s: %w", s.To.Name(), err)
			}
		}
	}
	return nil
}

// written is the answer of the store.
func (p *put) written(err error) {
	if err != nil {
		p.giveBack(len(p.shares))
	} else {
		p.arrive()
	}
	done := p.done
	p.free()
	done(err)
}

// arrive tells the channels that their shares are theirs.
func (p *put) arrive() {
	n := 0
	for i, s := range p.shares {
		m := arrival{batch: s.Batch, bytes: p.bytes[i], mark: s.Mark}
		if s.To.spec.Remote != nil {
			m = arrival{passed: s.Batch.Len()}
			s.Batch.Release()
		}
		if s.To.spec.Log != nil {
			m.base = p.write.Appends[n].Base
			n++
		}
		s.To.spec.inbox.put(m)
		s.To.system.Root.Send(s.To.pid, Stored{})
	}
}

// giveBack returns the room of the first reserved shares, and releases all.
func (p *put) giveBack(reserved int) {
	for i, s := range p.shares {
		if i < reserved && s.To.spec.Remote == nil {
			s.To.system.Root.Send(s.To.pid, Return{s.Batch.Len(), p.bytes[i]})
		}
		s.Batch.Release()
	}
}

func (p *put) free() {
	for _, b := range p.buffers {
		record.PutBuffer(b)
	}
	clear(p.shares)
	clear(p.buffers)
	clear(p.write.Appends)
	clear(p.write.Sets)
	p.shares, p.bytes, p.buffers, p.done = p.shares[:0], p.bytes[:0], p.buffers[:0], nil
	p.write.Appends, p.write.Sets = p.write.Appends[:0], p.write.Sets[:0]
	puts.Put(p)
}

// reserve keeps room, asking again when the channel restarts meanwhile.
func (r Ref) reserve(ctx context.Context, a *ask.Asker, records, bytes int, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		left, patience := time.Duration(0), answerMax
		if wait > 0 {
			left = max(time.Until(deadline), time.Millisecond)
			patience = left + time.Second
		}
		got, late, err := ask.Withdraw[Reserved](ctx, a, patience, r.pid, &Reserve{records, bytes, left}, Withdraw{})
		if err != nil {
			a.GiveUp(r.returns(records, bytes))
		}
		switch {
		case err == nil && !late, err == nil && got.Err == nil && ctx.Err() == nil:
			return got.Err
		case err == nil && got.Err == nil:
			r.system.Root.Send(r.pid, Return{records, bytes})
			return context.Cause(ctx)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ask.ErrGone):
			return err
		case wait > 0 && time.Now().After(deadline):
			return ErrFull
		}
	}
}

// returns gives back room that is granted when nobody waits for it any more.
func (r Ref) returns(records, bytes int) func(any) {
	return func(answer any) {
		if got, ok := answer.(Reserved); ok && got.Err == nil {
			r.system.Root.Send(r.pid, Return{records, bytes})
		}
	}
}
