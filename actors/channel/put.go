package channel

import (
	"context"
	"errors"
	"fmt"
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
	bytes := make([]int, len(shares))
	for i, s := range shares {
		bytes[i] = room(s.Batch)
		if err := s.To.reserve(ctx, a, s.Batch.Len(), bytes[i], wait); err != nil {
			giveBack(shares[:i], bytes)
			releaseShares(shares)
			return fmt.Errorf("channel %s: %w", s.To.Name(), err)
		}
	}
	w := new(persistence.Write)
	var buffers [][]byte
	for _, s := range shares {
		if !s.To.Durable() {
			continue
		}
		payload, err := s.Batch.Encode(record.GetBuffer(s.Batch.EncodedSize()), s.To.spec.Codec)
		if err != nil {
			giveBack(shares, bytes)
			releaseShares(shares)
			return fmt.Errorf("channel %s: %w", s.To.Name(), err)
		}
		buffers = append(buffers, payload)
		w.Appends = append(w.Appends, persistence.Append{
			Log: s.To.spec.Log, Count: s.Batch.Len(), Payload: payload, MaxTime: s.Batch.Time(),
		})
		if s.Checkpoint.Key != nil {
			w.Sets = append(w.Sets, s.Checkpoint)
		}
	}
	if len(w.Appends) == 0 {
		arrive(shares, bytes, nil)
		done(nil)
		return nil
	}
	w.Done = func(err error) {
		for _, b := range buffers {
			record.PutBuffer(b)
		}
		if err != nil {
			giveBack(shares, bytes)
			releaseShares(shares)
		} else {
			arrive(shares, bytes, w.Appends)
		}
		done(err)
	}
	if err := store.Try(w); err != nil {
		for _, b := range buffers {
			record.PutBuffer(b)
		}
		giveBack(shares, bytes)
		releaseShares(shares)
		return err
	}
	return nil
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
		once, cancel := context.WithTimeout(ctx, patience)
		got, late, err := ask.Withdraw[Reserved](once, a, r.pid, &Reserve{records, bytes, left}, Withdraw{})
		cancel()
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

func giveBack(shares []Share, bytes []int) {
	for i, s := range shares {
		s.To.system.Root.Send(s.To.pid, Return{s.Batch.Len(), bytes[i]})
	}
}

func releaseShares(shares []Share) {
	for _, s := range shares {
		s.Batch.Release()
	}
}

// arrive tells the channels that their shares are theirs.
func arrive(shares []Share, bytes []int, appends []persistence.Append) {
	n := 0
	for i, s := range shares {
		m := &Stored{Batch: s.Batch, Bytes: bytes[i], Mark: s.Mark}
		if s.To.Durable() {
			m.Base = appends[n].Base
			n++
		}
		s.To.system.Root.Send(s.To.pid, m)
	}
}
