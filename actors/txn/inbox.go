package txn

import "sync"

// inbox holds what waits for the actor: requests, and what became of its own
// doings. What stands in a mailbox is gone when its actor starts anew or stops;
// what lies here is not, so that everyone is answered.
type inbox struct {
	mu     sync.Mutex
	list   []any
	woken  bool // an Arrived is on its way
	closed bool
}

// put adds x. wake: the actor has to be told. ok is false when it has stopped.
func (b *inbox) put(x any) (wake, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, false
	}
	b.list = append(b.list, x)
	wake = !b.woken
	b.woken = true
	return wake, true
}

// take takes all that waits; before is used again.
func (b *inbox) take(before []any) []any {
	clear(before)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.woken = false
	list := b.list
	b.list = before[:0]
	return list
}

// close takes nothing more, and returns what was not done.
func (b *inbox) close() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	list := b.list
	b.list = nil
	return list
}
