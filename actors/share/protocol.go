package share

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
)

// Request is a ShareFetch or a ShareAcknowledge. Done is called exactly once,
// from any goroutine; a fetch waits for records. It must not block.
type Request struct {
	Body kmsg.Request
	Done func(kmsg.Response)
}

// Arrived says that there is something in the inbox. It carries nothing itself:
// what stands in a mailbox is gone when its actor stops.
// From broker. Not answered.
type Arrived struct{}

// What the inbox holds besides requests.
type (
	// loaded is what the coordinator keeps of a partition.
	loaded struct {
		part  *part
		epoch int32
		start int64 // -1: it has not begun
		runs  []Run
		code  int16
	}
	// begun is where a partition begins that has not been looked at before.
	begun struct {
		part  *part
		start int64
		err   error
	}
	// kept is what became of a write of a partition's state.
	kept struct {
		part *part
		code int16
	}
	// read is what a fetch has read.
	read struct {
		fetch *fetch
		found []found
	}
	// moved says that there may be more in the log of a partition.
	moved struct{ part *part }
	// due says that time has passed.
	due struct{}
	// deserted says that nobody waits for the answer any more.
	deserted struct{ request *Request }
	// forget says that an operator has changed what is kept of a group.
	forget struct{ group string }
)

// found are the batches of a partition that were read for a fetch.
type found struct {
	part *part
	// All that the log holds for readers from from up to to was read.
	from, to int64
	batches  []byte
	ranges   []Range
	ends     []int // of each batch in batches
	err      error
}

// key names a partition of a group.
type key struct {
	group     string
	topic     group.TopicID
	partition int32
}

// part is a partition of a group as the actor knows it.
type part struct {
	key
	ref     partition.Ref
	state   *Partition // nil until it is loaded
	epoch   int32      // of what is kept
	watcher *partition.Watcher
	gone    bool // dropped: what still arrives for it is of no use

	busy    bool // a fetch reads it
	waiting map[*fetch]bool
	// What has changed is written at once, and what changes meanwhile after that.
	dirty, writing bool
	next, now      []func(code int16) // wait for the next write, and for this one
}
