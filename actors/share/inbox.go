package share

import "sync"

// inbox holds what waits for the actor: requests, what was read and kept, and
// other news. It outlives the actor, so that nobody who asked is forgotten. One
// Arrived is on its way for all that is in it.
type inbox struct {
	mu     sync.Mutex
	items  []any
	woken  bool
	closed bool
}

// put takes an item in. wake: the actor has to be told; ok: it was taken.
func (b *inbox) put(item any) (wake, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, false
	}
	b.items = append(b.items, item)
	wake = !b.woken
	b.woken = true
	return wake, true
}

// take takes all that waits.
func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items, b.woken = nil, false
	return items
}

// close takes nothing more, and returns what was not dealt with.
func (b *inbox) close() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	items := b.items
	b.items = nil
	return items
}
