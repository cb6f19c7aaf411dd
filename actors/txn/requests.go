package txn

import "github.com/twmb/franz-go/pkg/kmsg"

// Client is who sends a request.
type Client struct {
	ID, Host                  string
	Software, SoftwareVersion string
	Principal                 string
}

// Request is a request of Kafka's own: InitProducerID, EndTxn,
// DescribeTransactions or ListTransactions. Done is called exactly once, from any
// goroutine; it must not block.
type Request struct {
	Client Client
	Body   kmsg.Request
	Done   func(kmsg.Response)
}

// Handle asks the coordinator to deal with a request of a client.
// From broker. Not answered.
type Handle struct{ Request *Request }

// Add makes partitions part of the transaction of a producer, or with VerifyOnly
// asks whether they are. AddPartitionsToTxn and AddOffsetsToTxn become one, and
// so does a Produce or TxnOffsetCommit to a partition that does not know of the
// transaction yet.
// From broker, producer. Not answered.
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
