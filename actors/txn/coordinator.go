// Package txn is the actor that coordinates transactions: one per partition of
// the topic __transaction_state, whose log is all that it remembers.
//
// A Coordinator is the logic alone: inputs and the time go in, Outputs come out.
// It has no goroutine, no clock and does no I/O. The Actor around it writes what
// it wants written to the log, appends the markers that it wants appended, and
// tells it what became of them.
//
//	Empty ──add──▶ Ongoing ──end──▶ PrepareCommit ──all markers──▶ CompleteCommit
//	                  │                                              │ add
//	                  └─end, timeout, a new producer─▶ PrepareAbort ─┴▶ CompleteAbort
//
// Nothing changes before the log has it: a change waits as pending, and whoever
// asks meanwhile is told CONCURRENT_TRANSACTIONS, upon which clients ask again.
package txn

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config is what an operator may set.
type Config struct {
	MaxTimeout time.Duration // transaction.max.timeout.ms: the longest a producer may ask for
	Expiration time.Duration // transactional.id.expiration.ms: when an unused id is forgotten
}

// DefaultConfig is Kafka's.
var DefaultConfig = Config{MaxTimeout: 15 * time.Minute, Expiration: 7 * 24 * time.Hour}

// Bounds of waiting, in ms.
const (
	addWaitMax = 1000 // for the markers of the transaction before
	retryMin   = 50   // before a marker or a write is tried again
	retryMax   = 2000
	never      = int64(1<<63 - 1)
)

// Coordinator is the state of one partition of __transaction_state.
type Coordinator struct {
	config Config
	ready  bool // the log has been read
	txns   map[string]*transaction
	due    timers

	firstID, endID int64 // producer ids at hand
	starved        []*Request
	out            []Output
}

// transaction is one transactional id: what the log says, and what is under way.
type transaction struct {
	id string
	value
	pending *pending
	marks   []mark // while the outcome is being written
	tries   int    // writes that failed, one after the other
	notTill int64  // the next own write, after a failed one
	waiting []waiting

	at   int64 // in the timers: when something is to be done
	slot int   // in the timers; -1: nothing is
}

// pending is a change on its way to the log.
type pending struct {
	next  value
	reply func(v *value, code int16) // nil: nobody asked
}

// waiting is an Add that waits for the markers of the transaction before, or
// for an earlier change.
type waiting struct {
	add   *Add
	until int64
}

// mark is the marker of one partition.
type mark struct {
	Partition
	sent  bool // on its way
	tries int
	at    int64 // next try
}

// NewCoordinator returns one that has yet to be told what is in its log.
func NewCoordinator(c Config) *Coordinator {
	return &Coordinator{config: c, txns: map[string]*transaction{}}
}

// Output is something that a Coordinator wants done: one of the types below.
type Output interface{ output() }

// Write wants a record appended to the log; Written tells what became of it.
type Write struct {
	ID         string
	Key, Value []byte // a nil Value forgets the id
}

// Marker wants a marker appended to a partition; Marked tells what became of it.
type Marker struct {
	ID        string
	Partition Partition
	Producer  int64
	Epoch     int16
	Commit    bool
	Version   int16 // of transactions
}

// Answer answers a Request.
type Answer struct {
	Request  *Request
	Response kmsg.Response
}

// Added answers an Add: a Kafka code for each of its partitions.
type Added struct {
	Add   *Add
	Codes []int16
}

// FetchIDs wants a block of producer ids; IDs brings it.
type FetchIDs struct{}

func (Write) output()    {}
func (Marker) output()   {}
func (Answer) output()   {}
func (Added) output()    {}
func (FetchIDs) output() {}

// Take returns what is to be done, in order. The slice is good until the next
// input.
func (c *Coordinator) Take() []Output {
	out := c.out
	c.out = c.out[:0]
	return out
}

func (c *Coordinator) put(o Output) { c.out = append(c.out, o) }

// Load takes up a record of the log. A damaged one is an error: nobody can tell
// what it said.
func (c *Coordinator) Load(key, val []byte) error {
	id, known, err := decodeKey(key)
	if err != nil || !known {
		return err
	}
	if val == nil {
		delete(c.txns, id)
		return nil
	}
	v, err := decodeValue(val)
	if err != nil {
		return err
	}
	c.txns[id] = &transaction{id: id, value: v, slot: -1}
	return nil
}

// Loaded says that the whole log has been taken up. What was decided is finished.
func (c *Coordinator) Loaded(now int64) {
	c.ready = true
	for _, id := range slices.Sorted(maps.Keys(c.txns)) {
		t := c.txns[id]
		if t.state.Deciding() {
			c.mark(now, t)
		}
		c.schedule(t)
	}
}

// Ready says that the log has been taken up.
func (c *Coordinator) Ready() bool { return c.ready }

// Drop answers everybody who waits with code: this node does not coordinate
// these ids any more, or has to read its log again.
func (c *Coordinator) Drop(code int16) {
	for _, id := range slices.Sorted(maps.Keys(c.txns)) {
		t := c.txns[id]
		if p := t.pending; p != nil && p.reply != nil {
			p.reply(&t.value, code)
		}
		for _, w := range t.waiting {
			c.added(w.add, code)
		}
	}
	for _, q := range c.starved {
		c.refuse(q, code)
	}
	c.txns, c.due, c.starved, c.ready = map[string]*transaction{}, nil, nil, false
}

// Handle takes a request; its answer comes as an Output, now or later.
func (c *Coordinator) Handle(now int64, q *Request) {
	if !c.ready {
		c.refuse(q, kerr.CoordinatorLoadInProgress.Code)
		return
	}
	switch body := q.Body.(type) {
	case *kmsg.InitProducerIDRequest:
		c.init(now, q, body)
	case *kmsg.EndTxnRequest:
		c.end(now, q, body)
	case *kmsg.DescribeTransactionsRequest:
		c.describe(q, body)
	case *kmsg.ListTransactionsRequest:
		c.list(now, q, body)
	default:
		c.refuse(q, kerr.InvalidRequest.Code)
	}
}

// refuse answers with a code and nothing else.
func (c *Coordinator) refuse(q *Request, code int16) {
	c.put(Answer{q, Refusal(q.Body, code)})
}

// Refusal is the answer to body that says code for everything in it.
func Refusal(body kmsg.Request, code int16) kmsg.Response {
	resp := body.ResponseKind()
	switch r := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		r.ErrorCode, r.ProducerID, r.ProducerEpoch = code, noProducer, noEpoch
	case *kmsg.EndTxnResponse:
		r.ErrorCode, r.ProducerID, r.ProducerEpoch = code, noProducer, noEpoch
	case *kmsg.ListTransactionsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeTransactionsResponse:
		for _, id := range body.(*kmsg.DescribeTransactionsRequest).TransactionalIDs {
			s := kmsg.NewDescribeTransactionsResponseTransactionState()
			s.TransactionalID, s.ErrorCode = id, code
			r.TransactionStates = append(r.TransactionStates, s)
		}
	}
	return resp
}

// write sends the next value of t on its way.
func (c *Coordinator) write(t *transaction, next value, reply func(*value, int16)) {
	t.pending = &pending{next: next, reply: reply}
	w := Write{ID: t.id, Key: encodeKey(t.id)}
	if next.state != Dead {
		w.Value = next.encode()
	}
	c.put(w)
	c.schedule(t)
}

// Written tells that the last Write of id is in the log (code 0), or that it is
// not and never will be.
func (c *Coordinator) Written(now int64, id string, code int16) {
	t := c.txns[id]
	if t == nil || t.pending == nil {
		return
	}
	p := t.pending
	t.pending = nil
	if code != 0 {
		t.tries++
		t.notTill = now + backoff(t.tries)
	} else {
		t.value, t.tries, t.notTill = p.next, 0, 0
		t.marks = nil
	}
	if p.reply != nil {
		p.reply(&t.value, code)
	}
	switch {
	case code == 0 && t.state == Dead, t.producer == noProducer:
		delete(c.txns, id)
	case code == 0 && t.state.Deciding():
		c.mark(now, t)
	}
	c.proceed(now, t)
}

// proceed lets those who waited for t ask again, and sets its timer.
func (c *Coordinator) proceed(now int64, t *transaction) {
	if t.pending == nil && !t.state.Deciding() && len(t.waiting) > 0 {
		list := t.waiting
		t.waiting = nil
		c.addAll(now, list)
	}
	c.schedule(t)
}

func backoff(tries int) int64 { return int64(min(retryMax, retryMin<<min(tries-1, 10))) }

// Next is when Tick wants to be called, or never.
func (c *Coordinator) Next() (at int64, ok bool) {
	if len(c.due) == 0 {
		return never, false
	}
	return c.due[0].at, true
}

// Tick does what is due.
func (c *Coordinator) Tick(now int64) {
	for len(c.due) > 0 && c.due[0].at <= now {
		c.wake(now, c.due[0])
	}
}

// deadline is when something is to be done about t though nobody asks.
func (c *Coordinator) deadline(t *transaction) int64 {
	at := never
	for _, w := range t.waiting {
		at = min(at, w.until)
	}
	switch {
	case t.pending != nil || !c.ready:
	case t.state == Ongoing:
		at = min(at, max(t.started+int64(t.timeout), t.notTill))
	case t.state.Deciding():
		for i := range t.marks {
			if m := &t.marks[i]; !m.sent {
				at = min(at, m.at)
			}
		}
		if len(t.marks) == 0 {
			at = min(at, t.notTill)
		}
	case t.state.idle():
		at = min(at, max(t.updated+c.config.Expiration.Milliseconds(), t.notTill))
	}
	return at
}

// wake does what is due about t. Afterwards its timer lies in the future.
func (c *Coordinator) wake(now int64, t *transaction) {
	t.waiting = slices.DeleteFunc(t.waiting, func(w waiting) bool {
		if w.until <= now {
			c.added(w.add, kerr.ConcurrentTransactions.Code)
		}
		return w.until <= now
	})
	if t.pending == nil && now >= t.notTill {
		switch {
		case t.state == Ongoing && now >= t.started+int64(t.timeout):
			c.fence(now, t, nil)
		case t.state.Deciding():
			c.mark(now, t)
		case t.state.idle() && now >= t.updated+c.config.Expiration.Milliseconds():
			next := t.value
			next.state = Dead
			c.write(t, next, nil)
		}
	}
	c.schedule(t)
}

// schedule puts t where it belongs in the timers.
func (c *Coordinator) schedule(t *transaction) {
	at := c.deadline(t)
	if c.txns[t.id] != t || t.state == Dead {
		at = never
	}
	switch {
	case at == never && t.slot >= 0:
		heap.Remove(&c.due, t.slot)
	case at == never:
	case t.slot < 0:
		t.at = at
		heap.Push(&c.due, t)
	case t.at != at:
		t.at = at
		heap.Fix(&c.due, t.slot)
	}
}

// timers is a heap of the transactions with something to do, the next one first.
type timers []*transaction

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].id, h[j].id)) < 0
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push is for container/heap.
func (h *timers) Push(x any) {
	t := x.(*transaction)
	t.slot = len(*h)
	*h = append(*h, t)
}

// Pop is for container/heap.
func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.slot = -1
	return t
}
