package txn

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// firstBumpingEndTxn is the version of EndTxn from which on the epoch is bumped
// at each end (KIP-890).
const firstBumpingEndTxn = 5

// end decides the outcome of a transaction. The answer goes out when the log has
// the decision, while the markers are still being written.
func (c *Coordinator) end(now int64, q *Request, m *kmsg.EndTxnRequest) {
	t := c.txns[m.TransactionalID]
	var code int16
	switch {
	case m.TransactionalID == "":
		code = kerr.InvalidRequest.Code
	case t == nil || t.producer == noProducer && t.pending == nil:
		code = kerr.InvalidProducerIDMapping.Code
	case m.Version >= firstBumpingEndTxn:
		c.endBumping(now, q, m, t)
		return
	default:
		c.endPlain(now, q, m, t)
		return
	}
	c.refuse(q, code)
}

// endBumping ends a transaction of a producer that is given a new epoch with
// each end. So its epoch tells whether it asks for the first time or again: an
// end that comes late cannot hit the transaction that follows.
func (c *Coordinator) endBumping(now int64, q *Request, m *kmsg.EndTxnRequest, t *transaction) {
	same := t.producer == m.ProducerID && t.epoch == m.ProducerEpoch
	again := t.producer == m.ProducerID && t.epoch == m.ProducerEpoch+1 ||
		t.previous == m.ProducerID && exhausted(m.ProducerEpoch) && t.epoch == 0
	complete, opposite := CompleteCommit, CompleteAbort
	if !m.Commit {
		complete, opposite = opposite, complete
	}
	switch {
	case t.pending != nil || t.state.Deciding():
		c.refuse(q, kerr.ConcurrentTransactions.Code)
	case t.producer != m.ProducerID && !again:
		c.refuse(q, kerr.InvalidProducerIDMapping.Code)
	case again && t.state == complete:
		c.ended(q, m, &t.value, 0)
	case again && t.state == opposite:
		c.refuse(q, kerr.InvalidTxnState.Code)
	case !same:
		c.refuse(q, kerr.ProducerFenced.Code)
	case t.state != Ongoing && m.Commit:
		c.refuse(q, kerr.InvalidTxnState.Code)
	default: // an abort may come where nothing was added
		c.decide(now, q, m, t, versionBumps)
	}
}

// endPlain ends a transaction of a producer that keeps its epoch.
func (c *Coordinator) endPlain(now int64, q *Request, m *kmsg.EndTxnRequest, t *transaction) {
	complete := CompleteAbort
	if m.Commit {
		complete = CompleteCommit
	}
	switch {
	case t.producer != m.ProducerID:
		c.refuse(q, kerr.InvalidProducerIDMapping.Code)
	case t.epoch != m.ProducerEpoch:
		c.refuse(q, kerr.ProducerFenced.Code)
	case t.pending != nil:
		c.refuse(q, kerr.ConcurrentTransactions.Code)
	case t.state == Ongoing:
		c.decide(now, q, m, t, 0)
	case t.state == prepared(m.Commit):
		c.refuse(q, kerr.ConcurrentTransactions.Code)
	case t.state == complete:
		c.ended(q, m, &t.value, 0)
	default:
		c.refuse(q, kerr.InvalidTxnState.Code)
	}
}

func prepared(commit bool) State {
	if commit {
		return PrepareCommit
	}
	return PrepareAbort
}

// decide writes the outcome that m asks for.
func (c *Coordinator) decide(now int64, q *Request, m *kmsg.EndTxnRequest, t *transaction, version int16) {
	next := t.value
	next.state, next.updated, next.version = prepared(m.Commit), now, version
	if t.state != Ongoing {
		next.started, next.partitions = now, nil
	}
	if version >= versionBumps {
		if exhausted(t.epoch) {
			id, ok := c.newID(q)
			if !ok {
				return
			}
			next.next = id
		}
		next.epoch, next.last = t.epoch+1, t.epoch
	}
	c.write(t, next, func(v *value, code int16) { c.ended(q, m, v, code) })
}

// ended answers an EndTxn with the id and epoch that the producer goes on with.
func (c *Coordinator) ended(q *Request, m *kmsg.EndTxnRequest, v *value, code int16) {
	if code != 0 {
		c.refuse(q, code)
		return
	}
	resp := Refusal(m, 0).(*kmsg.EndTxnResponse)
	resp.ProducerID, resp.ProducerEpoch = v.producer, v.epoch
	if v.next != noProducer {
		resp.ProducerID, resp.ProducerEpoch = v.next, 0
	}
	c.put(Answer{q, resp})
}

// mark has the markers written that are due, and the end of the transaction when
// there are none left.
func (c *Coordinator) mark(now int64, t *transaction) {
	if t.marks == nil {
		t.marks = make([]mark, len(t.partitions))
		for i, p := range t.partitions {
			t.marks[i].Partition = p
		}
	}
	for i := range t.marks {
		m := &t.marks[i]
		if m.sent || now < m.at {
			continue
		}
		m.sent = true
		c.put(Marker{
			ID: t.id, Partition: m.Partition, Producer: t.producer, Epoch: t.epoch,
			Commit: t.state == PrepareCommit, Version: t.version,
		})
	}
	if len(t.marks) == 0 && t.pending == nil && now >= t.notTill {
		c.complete(now, t)
	}
}

// Marked tells what became of a Marker: the partition has it, or is gone (done),
// or it is to be tried again.
func (c *Coordinator) Marked(now int64, m Marker, done bool) {
	t := c.txns[m.ID]
	if t == nil || !t.state.Deciding() || t.producer != m.Producer || t.epoch != m.Epoch {
		return
	}
	i := slices.IndexFunc(t.marks, func(k mark) bool { return k.Partition == m.Partition && k.sent })
	switch {
	case i < 0:
		return
	case done:
		t.marks = slices.Delete(t.marks, i, i+1)
	default:
		k := &t.marks[i]
		k.sent = false
		k.tries++
		k.at = now + backoff(k.tries)
	}
	if len(t.marks) == 0 {
		c.mark(now, t)
	}
	c.schedule(t)
}

// complete writes that the transaction is over.
func (c *Coordinator) complete(now int64, t *transaction) {
	next := t.value
	next.state, next.updated, next.partitions = CompleteAbort, now, nil
	if t.state == PrepareCommit {
		next.state = CompleteCommit
	}
	if t.next != noProducer {
		next.previous, next.producer, next.epoch, next.last, next.next = t.producer, t.next, 0, t.last, noProducer
	}
	c.write(t, next, nil)
}
