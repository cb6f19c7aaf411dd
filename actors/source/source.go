// Package source is the actor that brings records in, and every kind of source.
package source

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
)

// Source reads records from outside. It knows nothing of actors and may block.
type Source interface {
	// Run reads until ctx ends (then it returns nil) or until it has no more to
	// read (nil too, before ctx ends). On an error the supervisor runs a new
	// source of the same settings later, with what Env.Checkpoints says then.
	Run(ctx context.Context, out Out) error
	// Settled says that every record emitted up to and with at has reached its
	// end: it is on disk in every required channel, its sinks have committed it
	// (memory channel), or a rule dropped it. Only now may the source rename,
	// delete or write positions. Calls come in the order of Emit, from one
	// goroutine that is not Run's, and must not block for long.
	Settled(at Checkpoint)
}

// Out takes the batches of a source. The batch is handed over in any case,
// also when an error comes back: the source does not touch it again. Both
// methods may be called by several goroutines of the source.
type Out interface {
	// Emit hands batch over and returns nil once it is taken: it will reach the
	// channels in order, also if they are full for an hour. It blocks while too
	// much is on its way; that is the back-pressure. The only error is ctx's.
	// For sources that can read again what was not settled. A batch without
	// records moves the checkpoint only (a file ended, reading began at an end).
	Emit(ctx context.Context, batch *record.Slab, at Checkpoint) error
	// Store returns nil once every required channel has the batch (file
	// channels: on disk). When a channel stays full beyond its keep-alive the
	// error is channel.ErrFull and no channel kept anything; whoever sent the
	// records is told so. For sources that cannot read again.
	Store(ctx context.Context, batch *record.Slab) error
}

// Checkpoint is a place in what a source reads. Pos rises within a Stream.
// The zero Checkpoint means that there is nothing to come back to.
type Checkpoint struct {
	Stream string // what is read: a file's identity; a source may have many
	Pos    uint64 // everything before is emitted: bytes, or a count
	Data   []byte // what else the source wants back: a path, a fingerprint
	Gone   bool   // the stream is finished: forget it once this is settled
}

// Env is what a source gets from the node it runs on.
type Env struct {
	Log    *slog.Logger // names the agent and the source
	Agent  string
	Name   string
	Dir    string // a folder of its own for small files, kept between runs; may not exist yet
	Compat bool   // Flume's defects are wanted too
	// AllowExec is false where commands of a configuration may not run.
	AllowExec bool
	// Checkpoints are what was stored at the last stop: per stream the
	// positions that the required channels have reached, lowest first (one
	// entry where they agree). A source continues at the lowest and never emits
	// a batch that crosses one of the others, so that a channel which is
	// further on can skip whole batches.
	Checkpoints map[string][]Checkpoint
	Counters    *Counters
}

// Counters are what a source counts, in Flume's terms. The actor counts
// received and accepted records and batches; the kinds count the rest.
type Counters struct {
	EventReceived, EventAccepted atomic.Int64
	AppendReceived, AppendAccepted,
	AppendBatchReceived, AppendBatchAccepted atomic.Int64
	OpenConnections atomic.Int64 // a gauge
	EventReadFail, ChannelWriteFail,
	GenericProcessingFail atomic.Int64
	// Malformed counts input that was refused or marked invalid, Truncated
	// input that was cut to a limit, Lost events known to be lost by a source
	// that cannot read again (udp, exec).
	Malformed, Truncated, Lost atomic.Int64
}
