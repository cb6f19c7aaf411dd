// Package producer appends batches to partitions of this node: for the clients
// of the gateway, for sinks, for whoever has a batch. It asks the coordinator
// before the first batch of a transaction reaches a partition.
package producer

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/txn"
	"github.com/sluicehq/sluice/persistence/record"
)

// Env is how a producer reaches partitions and coordinators.
type Env struct {
	Partition func(partition.ID) (partition.Ref, error)
	Txn       func(transactionalID string) (txn.Ref, error)
}

// Write is one batch for one partition.
type Write struct {
	ID          partition.ID
	Batch       []byte // not touched by the caller until Done
	Origin      partition.Origin
	LeaderEpoch int32 // that the caller knows, or -1
	// Done is called once, from any goroutine, and must not block.
	Done func(partition.Appended)
}

// Transaction says in which transaction batches are.
type Transaction struct {
	ID     string // transactional.id
	Client txn.Client
	// Add makes the partitions part of the transaction (KIP-890), as clients
	// expect that do not say so themselves; otherwise they must be part of it.
	Add bool
}

// ErrNoTransactionalID says that a batch belongs to a transaction and its
// sender did not say which.
var ErrNoTransactionalID = errors.New("a transactional batch without a transactional id")

// ErrNotVerified says that the coordinator could not tell yet whether a
// partition is part of a transaction.
var ErrNotVerified = errors.New("the partition could not be verified to be part of the transaction")

// Append hands the writes over, each to its partition. t is nil where none of
// them is transactional. Every Done is called.
func (e Env) Append(writes []Write, t *Transaction) {
	var asked *verification
	for i := range writes {
		w := &writes[i]
		ref, err := e.Partition(w.ID)
		switch b := record.Batch(w.Batch); {
		case err != nil:
			w.fail(err)
		case !b.Transactional() || w.Origin != partition.Client || ref.OngoingTxn(b.ProducerID(), b.ProducerEpoch()):
			w.append(ref)
		case t == nil || t.ID == "":
			w.fail(ErrNoTransactionalID)
		default:
			if asked == nil || !asked.fits(b) {
				asked.send()
				asked = &verification{env: e, t: *t, producer: b.ProducerID(), epoch: b.ProducerEpoch()}
			}
			asked.writes = append(asked.writes, *w)
		}
	}
	asked.send()
}

func (w *Write) append(ref partition.Ref) {
	ref.Append(partition.Append{Batch: w.Batch, Origin: w.Origin, LeaderEpoch: w.LeaderEpoch, MarkerCoordinatorEpoch: -1, Done: w.Done})
}

func (w *Write) fail(err error) {
	w.Done(partition.Appended{Base: -1, LogAppendTime: -1, LogStart: -1, Err: fmt.Errorf("produce to %s: %w", w.ID, err)})
}

// verification asks the coordinator of one producer whether partitions are
// part of its transaction, and appends the batches to those that are.
type verification struct {
	env      Env
	t        Transaction
	producer int64
	epoch    int16
	writes   []Write
	attempts int
}

func (v *verification) fits(b record.Batch) bool {
	return v.producer == b.ProducerID() && v.epoch == b.ProducerEpoch()
}

func (v *verification) send() {
	if v == nil {
		return
	}
	coordinator, err := v.env.Txn(v.t.ID)
	if err != nil {
		v.failAll(fmt.Errorf("%w: %w", ErrNotVerified, err))
		return
	}
	coordinator.Handle(txn.Request{Client: v.t.Client, Body: v.request(), Done: v.answered})
}

// versionBatched is the version of AddPartitionsToTxn that carries several
// transactions and can ask instead of add.
const versionBatched = 5

func (v *verification) request() *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = versionBatched
	t := kmsg.NewAddPartitionsToTxnRequestTransaction()
	t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = v.t.ID, v.producer, v.epoch, !v.t.Add
	at := map[string]int{}
	for i := range v.writes {
		id := v.writes[i].ID
		n, ok := at[id.Topic]
		if !ok {
			n = len(t.Topics)
			at[id.Topic] = n
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic = id.Topic
			t.Topics = append(t.Topics, topic)
		}
		t.Topics[n].Partitions = append(t.Topics[n].Partitions, id.Index)
	}
	req.Transactions = append(req.Transactions, t)
	return req
}

// A transaction that is just being finished makes its successor wait a moment.
const (
	retryAfter = 10 * time.Millisecond
	retriesMax = 20
)

func (v *verification) answered(resp kmsg.Response) {
	r := resp.(*kmsg.AddPartitionsToTxnResponse)
	codes := map[partition.ID]int16{}
	for _, t := range r.Transactions {
		for _, topic := range t.Topics {
			for _, p := range topic.Partitions {
				codes[partition.ID{Topic: topic.Topic, Index: p.Partition}] = p.ErrorCode
			}
		}
	}
	var again []Write
	for i := range v.writes {
		w := &v.writes[i]
		code, told := codes[w.ID]
		if !told {
			code = r.ErrorCode
			if code == 0 {
				code = kerr.UnknownServerError.Code
			}
		}
		switch code {
		case 0:
			if ref, err := v.env.Partition(w.ID); err != nil {
				w.fail(err)
			} else {
				w.append(ref)
			}
		case kerr.ConcurrentTransactions.Code:
			again = append(again, *w)
		default:
			w.fail(verdict(code))
		}
	}
	v.retry(again)
}

func (v *verification) retry(writes []Write) {
	if len(writes) == 0 {
		return
	}
	v.writes = writes
	if v.attempts++; v.attempts > retriesMax {
		v.failAll(fmt.Errorf("%w: %w", ErrNotVerified, kerr.ConcurrentTransactions))
		return
	}
	time.AfterFunc(retryAfter, v.send)
}

func (v *verification) failAll(err error) {
	for i := range v.writes {
		v.writes[i].fail(err)
	}
}

// verdict is what a coordinator's refusal means for a batch. One that is not
// there yet is a reason to try again.
func verdict(code int16) error {
	switch err := kerr.ErrorForCode(code); err {
	case kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator:
		return fmt.Errorf("%w: %w", ErrNotVerified, err)
	default:
		return err
	}
}
