// Package sink is the actor that takes records out, and every kind of sink.
package sink

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
)

// Sink writes records outside. It knows nothing of actors and may block. Its
// methods are called by one goroutine at a time, except Pending.Sync.
type Sink interface {
	// Deliver writes batch. After nil the sink answers for it (a Durable sink:
	// with the next Pending); after an error nothing of it counts, and the same
	// records come again later, perhaps cut into other batches. batch is valid
	// until Deliver returns.
	Deliver(ctx context.Context, batch *Batch) error
	// Close ends the sink, with everything delivered written as far as can be.
	Close() error
}

// Abandoner is a sink that does things of its own between its calls. Abandon
// ends that, and lets go of what is open, as the end of the process would:
// nothing more is written, renamed or committed. It comes in the place of Close
// when a run fails; the next run's sink finds what is committed.
type Abandoner interface {
	Sink
	Abandon()
}

// Durable is a sink that keeps something which must move together with the
// channel's commit, such as the lengths of its files.
type Durable interface {
	Sink
	// Pending returns what was delivered since the last call, to be made
	// durable; nil when there is nothing.
	Pending() Pending
}

// Pending is a part of what a sink has delivered.
type Pending interface {
	// Sync makes it durable (fdatasync of files and of new directories) and
	// returns the state to be committed with it. It may run beside the sink's
	// other methods. An error of it ends the node: never a second try.
	Sync() (State, error)
	// Committed is called when state and channel are committed together. It may
	// rename files: whoever calls it must be free to wait for that.
	Committed()
}

// Revocable is a Pending that can be given up instead: GivenUp comes in the place
// of Committed, at the end of a run, for records that are offered again. The
// sink's Close takes back what it can of it.
type Revocable interface {
	Pending
	GivenUp()
}

// State is what a sink keeps between runs: small values by name. A nil value
// removes the name. It is written in the same transaction as the channel's
// commit, or by Env.Keep.
type State map[string][]byte

// Env is what a sink gets from the node it runs on.
type Env struct {
	Log    *slog.Logger // names the agent and the sink
	Agent  string
	Name   string
	Compat bool  // Flume's defects are wanted too
	State  State // as last committed
	// Keep commits state on its own and returns when it is durable: an intent
	// before a file's first byte, "renaming" before a rename.
	Keep func(ctx context.Context, state State) error
	// Replays is true when what was delivered and not committed comes again
	// after a crash: a file may then be cut to its committed length. Otherwise
	// it is never cut.
	Replays  bool
	Counters *Counters
	// DeadLetter takes a record that can never be delivered, with the reason;
	// the sink then counts it as done.
	DeadLetter func(batch *record.Slab, i int, code, reason string)
	// Topics are those of the node; nil: it serves none.
	Topics Topics
	// Sole says that the channel is durable and that no other sink takes from it:
	// records come in the channel's order, also after a failure or a crash.
	Sole bool

	crashed func(*crash) // see contain
}

// Batch is what a sink delivers at once: runs of records, at most the sink's
// batch size in all, in the channel's order.
type Batch struct {
	Views []record.View
	// Channel and First name the batch's place in its channel, for receivers
	// that take a key against duplicates. First is -1 for a memory channel.
	Channel string
	First   record.Offset
	// Places are the positions of the first records of the views; nil: the views
	// follow each other from First on.
	Places []record.Offset
}

// Place is the position of the first record of a view, -1 for a memory channel.
func (b *Batch) Place(view int) record.Offset {
	switch {
	case b.First < 0:
		return -1
	case b.Places != nil:
		return b.Places[view]
	}
	at := b.First
	for _, v := range b.Views[:view] {
		at += record.Offset(v.Count)
	}
	return at
}

// Len is the number of records.
func (b *Batch) Len() int {
	n := 0
	for _, v := range b.Views {
		n += v.Count
	}
	return n
}

// Each calls fn for every record in order until it returns an error.
func (b *Batch) Each(fn func(s *record.Slab, i int) error) error {
	for _, v := range b.Views {
		for i := v.First; i < v.First+v.Count; i++ {
			if err := fn(v.Slab, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// Counters are what a sink counts, in Flume's terms. The actor counts batches
// and drained events; the kinds count connections (files) and failures.
type Counters struct {
	ConnectionCreated, ConnectionClosed, ConnectionFailed    atomic.Int64
	BatchEmpty, BatchUnderflow, BatchComplete                atomic.Int64
	EventDrainAttempt, EventDrainSuccess                     atomic.Int64
	EventWriteFail, ChannelReadFail, DeadLetters, BytesWrote atomic.Int64
	// TimestampMissing counts records whose path needs a time that they do not
	// carry; the time at which they were read was taken.
	TimestampMissing atomic.Int64
}
