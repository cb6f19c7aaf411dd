package txn

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// IDs brings a block of n producer ids, or with n = 0 says that there is none now.
func (c *Coordinator) IDs(now int64, first int64, n int) {
	if n > 0 {
		c.firstID, c.endID = first, first+int64(n)
	}
	list := c.starved
	c.starved = nil
	for _, q := range list {
		if n > 0 {
			c.Handle(now, q)
		} else {
			c.refuse(q, kerr.CoordinatorLoadInProgress.Code)
		}
	}
}

// newID is a producer id that nobody has had. When none is at hand, q waits for
// one and is handled anew.
func (c *Coordinator) newID(q *Request) (id int64, ok bool) {
	if c.firstID == c.endID {
		if len(c.starved) == 0 {
			c.put(FetchIDs{})
		}
		c.starved = append(c.starved, q)
		return noProducer, false
	}
	c.firstID++
	return c.firstID - 1, true
}

// init gives a producer its id and epoch, so that every other producer of the
// same transactional id is fenced. An open transaction is aborted first.
func (c *Coordinator) init(now int64, q *Request, m *kmsg.InitProducerIDRequest) {
	if code := c.checkInit(m); code != 0 {
		c.refuse(q, code)
		return
	}
	t := c.txns[*m.TransactionalID]
	if t == nil {
		id, ok := c.newID(q)
		if !ok {
			return
		}
		t = &transaction{id: *m.TransactionalID, slot: -1, value: value{
			producer: noProducer, previous: noProducer, next: noProducer, epoch: noEpoch, last: noEpoch, started: -1,
		}}
		c.txns[t.id] = t
		next := t.value
		next.producer, next.epoch, next.state = id, 0, Empty
		c.give(now, q, m, t, next)
		return
	}
	switch {
	case t.pending != nil || t.state.Deciding():
		c.refuse(q, kerr.ConcurrentTransactions.Code)
	case !t.mayInit(m):
		c.refuse(q, kerr.ProducerFenced.Code)
	case t.state == Ongoing:
		c.fence(now, t, func(_ *value, code int16) {
			if code == 0 {
				code = kerr.ConcurrentTransactions.Code
			}
			c.refuse(q, code)
		})
	default:
		c.bump(now, q, m, t)
	}
}

func (c *Coordinator) checkInit(m *kmsg.InitProducerIDRequest) int16 {
	switch {
	case m.TransactionalID == nil || *m.TransactionalID == "":
		return kerr.InvalidRequest.Code
	case (m.ProducerID == noProducer) != (m.ProducerEpoch == noEpoch):
		return kerr.InvalidRequest.Code
	case m.TransactionTimeoutMillis <= 0 || int64(m.TransactionTimeoutMillis) > c.config.MaxTimeout.Milliseconds():
		return kerr.InvalidTransactionTimeout.Code
	}
	return 0
}

// mayInit says whether the producer that asks may be the one we know: it names
// no id, or ours, or it asks again after its last epoch brought it a new id.
func (t *transaction) mayInit(m *kmsg.InitProducerIDRequest) bool {
	return m.ProducerID == noProducer || t.epoch == noEpoch || m.ProducerID == t.producer ||
		m.ProducerID == t.previous && exhausted(m.ProducerEpoch)
}

// bump gives out the next epoch, or a new id after the last one. A producer that
// names its epoch goes on after an error (KIP-360); when that epoch is the one
// before ours, it asks again because it never had our answer.
func (c *Coordinator) bump(now int64, q *Request, m *kmsg.InitProducerIDRequest, t *transaction) {
	next := t.value
	known := m.ProducerEpoch != noEpoch
	switch {
	case known && m.ProducerID == t.producer && m.ProducerEpoch == t.last,
		known && m.ProducerID == t.previous && m.ProducerEpoch == t.last:
		// The bump was made. Nobody else had a turn since: that would have set last to -1.
	case known && m.ProducerEpoch != t.epoch:
		c.refuse(q, kerr.ProducerFenced.Code)
		return
	case exhausted(t.epoch):
		id, ok := c.newID(q)
		if !ok {
			return
		}
		next.previous, next.producer, next.epoch, next.last = t.producer, id, 0, noEpoch
		if known {
			next.last = t.epoch
		}
	default:
		next.epoch, next.last = t.epoch+1, noEpoch
		if known {
			next.last = t.epoch
		}
	}
	next.state = Empty
	c.give(now, q, m, t, next)
}

// give answers with the id and epoch of next when the log has them.
func (c *Coordinator) give(now int64, q *Request, m *kmsg.InitProducerIDRequest, t *transaction, next value) {
	next.timeout, next.updated, next.started, next.next = m.TransactionTimeoutMillis, now, -1, noProducer
	next.partitions = nil
	c.write(t, next, func(v *value, code int16) {
		if code != 0 {
			c.refuse(q, code)
			return
		}
		resp := Refusal(m, 0).(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = v.producer, v.epoch
		c.put(Answer{q, resp})
	})
}

// fence aborts the transaction of t under an epoch that its producer does not
// have: another producer takes over, or the time is up.
func (c *Coordinator) fence(now int64, t *transaction, reply func(*value, int16)) {
	next := t.value
	next.epoch, next.last = t.epoch+1, noEpoch
	next.state, next.updated = PrepareAbort, now
	next.version = versionBumps // the marker's epoch is newer, whatever the client can do
	next.partitions = slices.Clip(t.partitions)
	c.write(t, next, reply)
}
