package partition

import (
	"sync"

	"github.com/sluicehq/sluice/actors/replica"
)

// inbox holds what waits for the actor: batches, writes that the store is done
// with, and other work. It outlives the actor: what stands in a mailbox does
// not. One Arrived is on its way for all that is in it.
type inbox struct {
	mu     sync.Mutex
	work   work
	woken  bool  // an Arrived is on its way
	closed error // why nothing is taken any more
	flight int   // writes that the store has
	landed sync.Cond
}

// work is what the actor does in one go.
type work struct {
	appends []*pending
	stored  []*replica.Write
	calls   []call
}

// call is other work. fail is told when it cannot be done.
type call struct {
	do   func(*Actor)
	fail func(error)
}

func (b *inbox) init() { b.landed.L = &b.mu }

// append puts a into the inbox. wake: the actor has to be told.
func (b *inbox) append(a *pending) (wake bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return false, b.closed
	}
	b.work.appends = append(b.work.appends, a)
	return b.wake(), nil
}

// call has the actor do something.
func (b *inbox) call(c call) (wake bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return false, b.closed
	}
	b.work.calls = append(b.work.calls, c)
	return b.wake(), nil
}

// handed notes that the store has n writes more.
func (b *inbox) handed(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flight += n
}

// stored takes back a write from the store.
func (b *inbox) stored(w *replica.Write) (wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flight--
	if b.flight == 0 {
		b.landed.Broadcast()
	}
	b.work.stored = append(b.work.stored, w)
	return b.wake()
}

func (b *inbox) wake() bool {
	first := !b.woken
	b.woken = true
	return first
}

// take takes all that waits. What was taken before is given back with it.
func (b *inbox) take(before work) work {
	clear(before.appends)
	clear(before.stored)
	clear(before.calls)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken = false
	w := b.work
	b.work = work{before.appends[:0], before.stored[:0], before.calls[:0]}
	return w
}

// returned notes that the store has given back a write that is not raft's, and
// has the actor go on with it.
func (b *inbox) returned(c call) (wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flight--
	if b.flight == 0 {
		b.landed.Broadcast()
	}
	b.work.calls = append(b.work.calls, c)
	return b.wake()
}

// settle waits until the store has given back every write, and forgets what it
// said of them: whoever asks reads it from the log.
func (b *inbox) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.flight > 0 {
		b.landed.Wait()
	}
	clear(b.work.stored)
	b.work.stored = b.work.stored[:0]
}

// close takes nothing more, and returns what was not done.
func (b *inbox) close(why error) work {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = why
	w := b.work
	b.work = work{}
	return w
}
