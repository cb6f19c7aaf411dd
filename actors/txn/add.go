package txn

import "github.com/twmb/franz-go/pkg/kerr"

// Add makes partitions part of a transaction, or says whether they are.
func (c *Coordinator) Add(now int64, a *Add) {
	until := int64(0)
	if a.Wait {
		until = now + addWaitMax
	}
	c.addAll(now, []waiting{{a, until}})
}

// addAll takes several that ask about one transactional id; what they add goes
// in one write.
func (c *Coordinator) addAll(now int64, list []waiting) {
	var t *transaction
	var next value
	var together []*Add
	for _, w := range list {
		a := w.add
		found, code := c.mayAdd(a)
		switch {
		case code == kerr.ConcurrentTransactions.Code && w.until > now:
			found.waiting = append(found.waiting, w)
			c.schedule(found)
		case code != 0:
			c.added(a, code)
		case a.VerifyOnly:
			c.verified(found, a)
		case found.state == Ongoing && found.hasAll(a.Partitions):
			c.added(a, 0)
		default:
			if t == nil {
				t, next = found, found.value
			}
			next.partitions, next.version = next.with(a.Partitions), a.Version
			together = append(together, a)
		}
	}
	if t == nil {
		return
	}
	next.updated = now
	if t.state != Ongoing {
		next.state, next.started = Ongoing, now
	}
	c.write(t, next, func(_ *value, code int16) {
		for _, a := range together {
			c.added(a, code)
		}
	})
}

// mayAdd is the transactional id of a, and the code that refuses it.
//
// What is pending is looked at first: it may be about to give the producer the
// very id or epoch that a has. A question alone changes nothing and need not wait
// for what is pending.
func (c *Coordinator) mayAdd(a *Add) (*transaction, int16) {
	if !c.ready {
		return nil, kerr.CoordinatorLoadInProgress.Code
	}
	t := c.txns[a.TransactionalID]
	switch {
	case a.TransactionalID == "":
		return nil, kerr.InvalidRequest.Code
	case t == nil || t.producer == noProducer && t.pending == nil:
		return nil, kerr.InvalidProducerIDMapping.Code
	case t.pending != nil && !a.VerifyOnly:
		return t, kerr.ConcurrentTransactions.Code
	case t.state.Deciding() && !a.VerifyOnly:
		return t, kerr.ConcurrentTransactions.Code
	case t.producer != a.ProducerID:
		return nil, kerr.InvalidProducerIDMapping.Code
	case t.epoch != a.Epoch:
		return nil, kerr.ProducerFenced.Code
	case t.state.Deciding():
		return t, kerr.ConcurrentTransactions.Code
	}
	return t, 0
}

// added answers a with one code for all its partitions.
func (c *Coordinator) added(a *Add, code int16) { c.put(Added{a, a.codes(code)}) }

// verified says of each partition whether it is part of the transaction under way.
func (c *Coordinator) verified(t *transaction, a *Add) {
	codes := make([]int16, len(a.Partitions))
	for i, p := range a.Partitions {
		if t.state != Ongoing || !t.has(p) {
			codes[i] = kerr.TransactionAbortable.Code
		}
	}
	c.put(Added{a, codes})
}
