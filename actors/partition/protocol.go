// Package partition is the actor that keeps one partition of a topic: it gives
// batches their offsets, checks the sequences of their producers in the same
// step, and says when they are committed.
//
// Batches do not go through its mailbox but lie in an inbox, where they are
// still when the actor starts anew; all that waits there goes to the disk
// together. Nobody who reads asks the actor: offsets are numbers that it
// publishes, and bytes come from the log.
package partition

import (
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// ID names a partition.
type ID struct {
	Topic string
	Index int32
}

func (id ID) String() string { return fmt.Sprintf("%s-%d", id.Topic, id.Index) }

// Origin says who appends; see partitionlog.
type Origin = partitionlog.Origin

// The origins.
const (
	Client        = partitionlog.Client
	Coordinator   = partitionlog.Coordinator
	CoordinatorV1 = partitionlog.CoordinatorV1
	Sink          = partitionlog.Sink
)

var (
	// ErrNotLeader says that this node does not lead the partition, or not yet,
	// or not any more.
	ErrNotLeader = errors.New("this node does not lead the partition")
	// ErrFencedLeaderEpoch answers those who know an older leader than this.
	ErrFencedLeaderEpoch = errors.New("the leader's epoch is over")
	// ErrUnknownLeaderEpoch answers those who know a newer leader than this.
	ErrUnknownLeaderEpoch = errors.New("the leader's epoch is not known here yet")
	// ErrOffsetOutOfRange answers reads outside of what the log holds.
	ErrOffsetOutOfRange = errors.New("the offset lies outside of the log")
	// ErrTooLarge answers a batch above max.message.bytes.
	ErrTooLarge = errors.New("the batch is larger than max.message.bytes")
	// ErrInvalidTimestamp answers a batch outside of message.timestamp.before.max.ms
	// and message.timestamp.after.max.ms.
	ErrInvalidTimestamp = errors.New("a timestamp lies too far from now")
	// ErrInvalidRecord answers a batch with records that the topic does not take.
	ErrInvalidRecord = errors.New("a record that the topic does not take")
	// ErrNoSpace answers appends while the volume is nearly full.
	ErrNoSpace = errors.New("no space is left for appends")
	// ErrInterrupted answers appends of which it is not known whether they will
	// be committed: the partition started anew, or stopped.
	ErrInterrupted = errors.New("the partition was interrupted")
)

// What the sequences and transactions of a producer do not allow.
var (
	ErrOutOfOrder        = partitionlog.ErrOutOfOrder
	ErrFenced            = partitionlog.ErrFenced
	ErrUnknownProducer   = partitionlog.ErrUnknownProducer
	ErrTxnState          = partitionlog.ErrTxnState
	ErrCoordinatorFenced = partitionlog.ErrCoordinatorFenced
	ErrInvalid           = partitionlog.ErrInvalid
)

// Append asks for a batch to be appended.
type Append struct {
	// Batch is one RecordBatch v2 that Validate has found good. Base offset,
	// leader epoch and, where the topic wants it, the time of the append are
	// stamped in place. The caller leaves it alone until Done.
	Batch  []byte
	Origin Origin
	// LeaderEpoch is what the client believes; -1: it does not say.
	LeaderEpoch int32
	// MarkerCoordinatorEpoch must be that in the marker; -1: it is not compared.
	MarkerCoordinatorEpoch int32
	// Guard is what TxnGuard said before the coordinator was asked about the
	// transaction of the batch; 0: nobody was, or the epoch tells enough.
	Guard partitionlog.Guard
	// Done is called once: when the batch is committed, or with the reason why
	// it was not appended. It must not block.
	Done func(Appended)
}

// Appended answers an Append.
type Appended struct {
	Base          record.Offset // of a repeat: where the first one is; -1: not known any more
	LogAppendTime int64         // ms since the epoch; -1: the records have their own times
	LogStart      record.Offset
	Err           error
}

// Watcher is told of changes. Wake is called when the high watermark, the last
// stable offset, the log start or the leadership has moved, once for many such
// moves. It must not block.
type Watcher struct{ Wake func() }

// Arrived says that there is something in the partition's inbox. It carries
// nothing itself: what stands in a mailbox is gone when its actor stops.
// From producer, group, txn. Not answered.
type Arrived struct{}

// tend says that it is time to look after the log.
type tend struct{}
