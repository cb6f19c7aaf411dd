// Package inbox holds what waits for an actor beside its mailbox. What stands in
// a mailbox is gone when its actor starts anew or stops; what lies here is not,
// so that everyone who asked is answered.
package inbox

import "sync"

// Inbox holds requests, and what became of the actor's own doings. It outlives
// the actor. One message is on its way for all that is in it; it carries
// nothing. The zero value is empty and open, and safe for all goroutines.
type Inbox struct {
	mu     sync.Mutex
	items  []any
	woken  bool // the message is on its way
	closed bool
}

// Put takes an item in. wake: the actor has to be told; ok is false when it has
// stopped.
func (b *Inbox) Put(item any) (wake, ok bool) {
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

// Take takes all that waits. The memory of before, which may be nil, is used
// again.
func (b *Inbox) Take(before []any) []any {
	clear(before)
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items, b.woken = before[:0], false
	return items
}

// Close takes nothing more, and returns what was not dealt with.
func (b *Inbox) Close() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	items := b.items
	b.items = nil
	return items
}

// Closed says that nothing is taken any more.
func (b *Inbox) Closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}
