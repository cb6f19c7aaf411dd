package supervise

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox keeps what is sent to an actor before it has started. An actor can be
// found by its path before its mailbox works: whoever talks to a part that dies
// and is spawned anew at the same path would crash the process.
type mailbox struct {
	actor.Mailbox
	started atomic.Bool
	mu      sync.Mutex
	early   []func() // posts, in their order
}

// newMailbox returns the producer of unbounded mailboxes: all our actors have
// credits above them.
func newMailbox(m *meter) actor.MailboxProducer {
	produce := actor.Unbounded(m)
	return func() actor.Mailbox { return &mailbox{Mailbox: produce()} }
}

// PostUserMessage brings a message of an actor or goroutine.
func (b *mailbox) PostUserMessage(msg any) {
	if !b.keep(func() { b.Mailbox.PostUserMessage(msg) }) {
		b.Mailbox.PostUserMessage(msg)
	}
}

// PostSystemMessage brings a message of the actor system. Started is the first
// that an actor gets.
func (b *mailbox) PostSystemMessage(msg any) {
	if _, first := msg.(*actor.Started); first || !b.keep(func() { b.Mailbox.PostSystemMessage(msg) }) {
		b.Mailbox.PostSystemMessage(msg)
	}
}

// keep says whether post was kept for later.
func (b *mailbox) keep(post func()) bool {
	if b.started.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started.Load() {
		return false
	}
	b.early = append(b.early, post)
	return true
}

// Start is called once the mailbox works and Started is in it.
func (b *mailbox) Start() {
	b.Mailbox.Start()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, post := range b.early {
		post()
	}
	b.early = nil
	b.started.Store(true)
}
