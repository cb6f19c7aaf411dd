package channel

import (
	"errors"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/channelstate"
)

var (
	// ErrFull says that the channel had no room within the time it was given.
	ErrFull = errors.New("channel full")
	// ErrTooLarge says that a batch would not even fit the empty channel.
	ErrTooLarge = errors.New("batch larger than the channel's capacity")
	// ErrStale says that a lease belongs to an earlier life of the channel: its
	// records are offered again.
	ErrStale = errors.New("lease of an earlier life of the channel")
	// ErrAbandoned says that a sink gave up its leases before they were settled:
	// their records are offered again.
	ErrAbandoned = errors.New("leases given up")
)

// Reserve asks for room for a batch. The answer comes when there is room, at
// once when there is, or says ErrFull after Wait (0: it waits for ever).
// From source. Answered by Reserved.
type Reserve struct {
	Records, Bytes int
	Wait           time.Duration
}

// Withdraw takes back a Reserve that still waits; it is answered only then.
// From source. Answered by Reserved.
type Withdraw struct{}

// errWithdrawn is in the answer to a Withdraw.
var errWithdrawn = errors.New("withdrawn")

// Reserved says that the room asked for is kept, or why not.
type Reserved struct{ Err error }

// Return gives room back that was reserved and is not used.
// From source. Not answered.
type Return struct{ Records, Bytes int }

// Stored says that there is something in the channel's inbox. It carries nothing
// itself: what stands in a mailbox is gone when its actor stops.
// From source. Not answered.
type Stored struct{}

// Mark is a source's place that goes with a batch through a memory channel:
// it may be stored once the batch is settled.
type Mark struct {
	// Settled is called once, when the sinks have committed the batch and every
	// one before it. It must not block.
	Settled func(seq uint64)
	Seq     uint64
	Key     persistence.KV // the source's checkpoint; no Key: nothing to store
}

// Await asks to be told when there is something to take. A sink that asks
// again takes the place of its earlier question.
// From sink. Answered by Ready.
type Await struct{ Holder string }

// Ready says that there may be something to take: others may be faster.
type Ready struct{}

// Take asks for at most Max records for the sink Holder, at once.
// From sink. Answered by Taken.
type Take struct {
	Max    int
	Holder string
}

// Taken carries records from the head, or none. They stay in the channel until
// they are committed. The chunks with a slab hold a reference for the taker.
type Taken struct {
	Lease  uint64 // 0: nothing is ready
	Life   uint64 // of the channel
	Epoch  uint64 // see Lease
	Chunks []channelstate.Chunk
}

// Delivered gives the room of leases back before they are committed: their
// records have left, only the proof is not on disk yet.
// From sink. Not answered.
type Delivered struct {
	Life  uint64
	Lease uint64
}

// Commit settles leases, together with what the sink must remember. A memory
// channel answers once it can write that together with what other sinks have
// done and the checkpoints of the sources; a sink commits in the order in which
// it has delivered, and goes on meanwhile.
// From sink. Answered by Committed.
type Commit struct {
	Life   uint64
	Leases []uint64
	State  []persistence.KV // a nil Value deletes the key
	Dead   int              // records of the leases that went to the dead letters
}

// Committed says that the leases are settled for good, or why not.
type Committed struct{ Err error }

// Rollback offers the records of a lease again.
// From sink. Not answered.
type Rollback struct {
	Life  uint64
	Lease uint64
}

// Abandon rolls back every lease of a sink: it starts anew. Its commits that are
// not written yet are answered with ErrAbandoned.
// From sink. Not answered.
type Abandon struct{ Holder string }

// Keep stores what a sink must remember now, without settling anything.
// From sink. Answered by Committed.
type Keep struct{ State []persistence.KV }

// Adjust changes the capacities and the keep-alive while the channel runs.
// From agent. Not answered.
type Adjust struct {
	Capacity, ByteCapacity int
	KeepAlive              time.Duration
}

// Inspect asks how the channel is.
// From agent. Answered by Snapshot.
type Inspect struct{}

// Snapshot is the channel at one moment, its numbers consistent with each other:
// Carried + Put = Delivered + Dead + Held.
type Snapshot struct {
	Carried   int64 // held when this node started
	Put       int64
	Delivered int64
	Dead      int64
	Held      int64 // leased ones included
	Size      int64 // of Held, what counts against the capacity: not what a sink has delivered and not yet committed

	Capacity, ByteCapacity int
	Bytes                  int64
	Oldest                 int64 // ms since the epoch when the oldest record was read; 0: empty
	PutAttempt, PutError   int64
	TakeAttempt, TakeErr   int64
	BySink                 map[string]int64 // delivered records
	Waiting                int              // sources that wait for room
	Full                   time.Time        // since when the first of them waits
	MemoryBytes            int64            // of slabs kept
}
