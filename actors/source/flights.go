package source

import (
	"context"
	"sync"
)

// flights are the batches of a source that are on their way: emitted and not
// settled in every channel. They outlive a run of the source.
type flights struct {
	mu    sync.Mutex
	first uint64 // number of out[0]
	out   []flight
	empty chan struct{} // closed when out becomes empty; nil while it is
}

type flight struct {
	at       Checkpoint
	channels []bool // by the source's list: who got something of it
	open     int    // shares that are not settled
}

// add notes a batch with open shares and returns its number.
func (f *flights) add(at Checkpoint, channels []bool, open int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty == nil {
		f.empty = make(chan struct{})
	}
	f.out = append(f.out, flight{at, channels, open})
	return f.first + uint64(len(f.out)) - 1
}

// done notes that one share of batch seq is settled and returns the batches
// that are settled now, with all before them, in order.
func (f *flights) done(seq uint64) []flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq < f.first || seq >= f.first+uint64(len(f.out)) {
		return nil
	}
	f.out[seq-f.first].open--
	n := 0
	for n < len(f.out) && f.out[n].open <= 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	settled := append([]flight(nil), f.out[:n]...)
	f.out = append(f.out[:0], f.out[n:]...)
	f.first += uint64(n)
	if len(f.out) == 0 {
		close(f.empty)
		f.empty = nil
	}
	return settled
}

// abort forgets everything from seq on: it was not stored and comes again.
func (f *flights) abort(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq < f.first || seq >= f.first+uint64(len(f.out)) {
		return
	}
	f.first += uint64(len(f.out))
	f.out = f.out[:0]
	close(f.empty)
	f.empty = nil
}

// wait returns when nothing is on its way, or ctx ends.
func (f *flights) wait(ctx context.Context) error {
	for {
		f.mu.Lock()
		empty := f.empty
		f.mu.Unlock()
		if empty == nil {
			return nil
		}
		select {
		case <-empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
