// Package producer appends batches to partitions of this node: for the clients
// of the gateway, for sinks, for whoever has a batch. It asks the coordinator
// before the first batch of a transaction reaches a partition.
package producer

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/txn"
	"github.com/sluicehq/sluice/persistence/partitionlog"
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

	guard partitionlog.Guard // of a client that keeps its epoch
}

// Transaction says in which transaction batches are.
type Transaction struct {
	ID string // transactional.id
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
		if b := record.Batch(w.Batch); err == nil && b.Transactional() && w.Origin == partition.Client && t != nil && !t.Add {
			w.guard = ref.TxnGuard(b.ProducerID())
		}
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
	ref.Append(partition.Append{Batch: w.Batch, Origin: w.Origin, LeaderEpoch: w.LeaderEpoch, MarkerCoordinatorEpoch: -1, Guard: w.guard, Done: w.Done})
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
	partitions := make([]txn.Partition, len(v.writes))
	for i := range v.writes {
		partitions[i] = v.writes[i].ID
	}
	version := int16(1)
	if v.t.Add {
		version = 2
	}
	coordinator.Add(txn.Add{
		TransactionalID: v.t.ID, ProducerID: v.producer, Epoch: v.epoch, Partitions: partitions, Version: version,
		VerifyOnly: !v.t.Add, Wait: true, Done: v.answered,
	})
}

func (v *verification) answered(codes []int16) {
	for i := range v.writes {
		w := &v.writes[i]
		if codes[i] != 0 {
			w.fail(verdict(codes[i]))
		} else if ref, err := v.env.Partition(w.ID); err != nil {
			w.fail(err)
		} else {
			w.append(ref)
		}
	}
}

func (v *verification) failAll(err error) {
	for i := range v.writes {
		v.writes[i].fail(err)
	}
}

// verdict is what a coordinator's refusal means for a batch. One that is not
// there yet, or still busy with the transaction before, is a reason to try again.
func verdict(code int16) error {
	switch err := kerr.ErrorForCode(code); err {
	case kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions:
		return fmt.Errorf("%w: %w", ErrNotVerified, err)
	case kerr.ProducerFenced: // of a produce it is told like this
		return kerr.InvalidProducerEpoch
	default:
		return err
	}
}
