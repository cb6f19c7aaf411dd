package txn

import "github.com/twmb/franz-go/pkg/kmsg"

// Client is who sends a request.
type Client struct {
	ID, Host                  string
	Software, SoftwareVersion string
	Principal                 string
}

// Request is a request of Kafka's own: InitProducerID, AddPartitionsToTxn, EndTxn,
// DescribeTransactions or ListTransactions. Done is called exactly once, from any
// goroutine; it must not block.
type Request struct {
	Client Client
	Body   kmsg.Request
	Done   func(kmsg.Response)
}

// Add makes partitions part of the transaction of a producer, or with VerifyOnly
// asks whether they are. AddPartitionsToTxn and AddOffsetsToTxn become one, and
// so does a Produce or TxnOffsetCommit to a partition that does not know of the
// transaction yet.
type Add struct {
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	Partitions      []Partition
	Version         int16 // of transactions: 2 where every transaction has an epoch of its own
	VerifyOnly      bool
	// Wait lets an Add wait a little while the transaction before is being
	// finished, rather than be told to come again.
	Wait bool
	// Done is called exactly once, from any goroutine, with Kafka's code for each
	// of Partitions; it must not block.
	Done func(codes []int16)
}

// Arrived says that there is something in the coordinator's inbox: a Request, an
// Add, or what became of what the coordinator did. It carries nothing itself:
// what stands in a mailbox is gone when its actor stops.
// From broker, producer, partition. Not answered.
type Arrived struct{}

// What the actor says to itself, through its inbox. A life begins with every
// start of the actor and every reading of the log; what an earlier one did is no
// concern of the next.
type (
	// moved: the leadership of the log has.
	moved struct{}
	// read is what the log holds: the last value of each key.
	read struct {
		life   int
		values map[string][]byte
		err    error
	}
	// written is what became of a Write.
	written struct {
		life int
		id   string
		err  error
	}
	// marked is what became of a Marker.
	marked struct {
		life   int
		marker Marker
		err    error
	}
	// reserved are producer ids.
	reserved struct {
		life  int
		first int64
		n     int
		err   error
	}
)

// tick says that something is due.
type tick struct{}
