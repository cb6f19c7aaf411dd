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
	bytes int           // of the batches in out
	room  chan struct{} // closed when bytes shrinks; nil while nobody waits
	// settled are those that have come to their end, in order, and that the
	// actor has not taken note of.
	settled []flight
}

// flightBytesMax is how many bytes of a source may be on their way before it
// reads on: what can be read again need not wait in memory.
const flightBytesMax = 16 << 20

type flight struct {
	at       Checkpoint
	channels []bool // by the source's list: who got something of it
	open     int    // shares that are not settled
	bytes    int
}

// awaitRoom returns when less than flightBytesMax is on its way, or ctx ends.
func (f *flights) awaitRoom(ctx context.Context) error {
	for {
		f.mu.Lock()
		if f.bytes < flightBytesMax {
			f.mu.Unlock()
			return nil
		}
		if f.room == nil {
			f.room = make(chan struct{})
		}
		room := f.room
		f.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shrink takes n bytes off and wakes who waits for that. f.mu is held.
func (f *flights) shrink(n int) {
	f.bytes -= n
	if f.room != nil {
		close(f.room)
		f.room = nil
	}
}

// add notes a batch of so many bytes with open shares and returns its number.
func (f *flights) add(at Checkpoint, channels []bool, open, bytes int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty == nil {
		f.empty = make(chan struct{})
	}
	f.out = append(f.out, flight{at, channels, open, bytes})
	f.bytes += bytes
	return f.first + uint64(len(f.out)) - 1
}

// done notes that one share of batch seq is settled, and says whether batches
// are settled now, with all before them, for the actor to take.
func (f *flights) done(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq < f.first || seq >= f.first+uint64(len(f.out)) {
		return false
	}
	f.out[seq-f.first].open--
	n := 0
	for n < len(f.out) && f.out[n].open <= 0 {
		f.settled = append(f.settled, f.out[n])
		f.shrink(f.out[n].bytes)
		n++
	}
	if n == 0 {
		return false
	}
	f.out = append(f.out[:0], f.out[n:]...)
	f.first += uint64(n)
	if len(f.out) == 0 {
		close(f.empty)
		f.empty = nil
	}
	return true
}

// take returns what is settled since the last take, in the order of Emit.
func (f *flights) take() []flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	settled := f.settled
	f.settled = nil
	return settled
}

// abort forgets everything from seq on: it was not stored and comes again.
func (f *flights) abort(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq < f.first || seq >= f.first+uint64(len(f.out)) {
		return
	}
	for _, late := range f.out[seq-f.first:] {
		f.shrink(late.bytes)
	}
	f.out = f.out[:seq-f.first]
	if len(f.out) == 0 {
		close(f.empty)
		f.empty = nil
	}
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
