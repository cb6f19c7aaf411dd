// Package channelstate keeps the order of a channel's records: what is ready,
// what a sink has taken, what is settled. It is a plain struct without clock,
// goroutine or disk: batches that are in the channel's log go in, leases and
// the cursor to be written come out.
package channelstate

import (
	"cmp"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
)

// Range is the positions [From, To) of a channel.
type Range struct{ From, To record.Offset }

// Chunk is a run of records of one stored batch.
type Chunk struct {
	Base  record.Offset // position of the first record of the run
	Count int
	// Slab holds the records from index First on; nil when they must be read
	// from the log, as the batch whose last position is Last, from index First on.
	Slab  *record.Slab
	First int
	Last  record.Offset
	Time  int64 // ms since the epoch when the source read it
}

func (c Chunk) end() record.Offset { return c.Base + record.Offset(c.Count) }

// cut splits c after n records. Both halves hold a reference on the slab.
func (c Chunk) cut(n int) (Chunk, Chunk) {
	head, tail := c, c
	head.Count = n
	tail.Base += record.Offset(n)
	tail.First += n
	tail.Count -= n
	if c.Slab != nil {
		c.Slab.Retain()
	}
	return head, tail
}

// Lease is what one take handed out.
type Lease struct {
	ID     uint64
	Holder string // the sink
	// Epoch is that in which the records were taken for the first time. Those
	// of a lower one lie below those of a higher one.
	Epoch  uint64
	Chunks []Chunk // not changed while the lease is out

	parked bool
	few    [1]Chunk // the memory of most
}

// Len is the number of records of the lease.
func (l *Lease) Len() int {
	n := 0
	for _, c := range l.Chunks {
		n += c.Count
	}
	return n
}

// Whole says that the lease ends where a stored batch ends.
func (l *Lease) Whole() bool {
	last := l.Chunks[len(l.Chunks)-1]
	return last.end() == last.Last+1
}

// End is one past the last position of the lease.
func (l *Lease) End() record.Offset { return l.Chunks[len(l.Chunks)-1].end() }

// Queue is the state of one channel.
//
// Invariant: every position in [first, next) is in exactly one of settled,
// ready, back and leases.
type Queue struct {
	// KeepWhole makes a lease end where a stored batch ends, though it could
	// hold a part of the next one: only a batch larger than a lease is split.
	KeepWhole bool

	first   record.Offset // the cursor: lowest position that is not settled
	next    record.Offset // one past the last position stored
	settled []Range       // above first, sorted, apart from each other
	ready   []Chunk       // in order, from readyAt on
	readyAt int
	back    []*Lease // rolled back, lowest first; offered again as they were cut
	leases  map[uint64]*Lease
	lastID  uint64
	epoch   uint64
	inside  bool // what was taken last of ready ends inside of a batch
	held    int  // records in ready, back and leases
	readyN  int  // records in ready and back
}

// New is an empty queue whose next position is next.
func New(next record.Offset) *Queue {
	return &Queue{first: next, next: next, leases: map[uint64]*Lease{}}
}

// First is the cursor: the lowest position that is not settled.
func (q *Queue) First() record.Offset { return q.first }

// Next is one past the last position stored.
func (q *Queue) Next() record.Offset { return q.next }

// Held is the number of records that are not settled.
func (q *Queue) Held() int { return q.held }

// Ready is the number of records that a take could have.
func (q *Queue) Ready() int { return q.readyN }

// OldestTime is when the oldest record held was read (ms), 0 when none is.
func (q *Queue) OldestTime() int64 {
	oldest := int64(0)
	note := func(c Chunk) {
		if oldest == 0 || (c.Time != 0 && c.Time < oldest) {
			oldest = c.Time
		}
	}
	if q.readyAt < len(q.ready) {
		note(q.ready[q.readyAt])
	}
	if len(q.back) > 0 {
		note(q.back[0].Chunks[0])
	}
	for _, l := range q.leases {
		note(l.Chunks[0])
	}
	return oldest
}

// Store adds the records of c, which begin at or above Next, and takes over
// its reference on the slab. Positions between Next and c.Base do not exist.
func (q *Queue) Store(c Chunk) {
	if q.first == q.next {
		q.first = c.Base
	} else if c.Base > q.next {
		q.addSettled(Range{q.next, c.Base})
	}
	q.next = c.end()
	q.ready = append(q.ready, c)
	q.held += c.Count
	q.readyN += c.Count
}

// Take hands out up to max records to holder; nil when none is ready. The
// chunks belong to the lease; whoever delivers them retains what it needs.
func (q *Queue) Take(max int, holder string) *Lease {
	if max <= 0 {
		return nil
	}
	var l *Lease
	if len(q.back) > 0 {
		l = q.takeBack(max)
	} else if l = q.takeReady(max); l == nil {
		return nil
	}
	q.lastID++
	l.ID, l.Holder = q.lastID, holder
	q.leases[l.ID] = l
	q.readyN -= l.Len()
	return l
}

// takeBack offers the lowest lease that was rolled back, cut as it was unless
// it is larger than max.
func (q *Queue) takeBack(max int) *Lease {
	l := q.back[0]
	n := 0
	for i, c := range l.Chunks {
		if n+c.Count <= max {
			n += c.Count
			continue
		}
		// Whoever had l may still look at its chunks.
		first, rest := &Lease{Epoch: l.Epoch, Chunks: slices.Clone(l.Chunks[:i])}, &Lease{Epoch: l.Epoch, Chunks: slices.Clone(l.Chunks[i:])}
		if n < max {
			head, tail := c.cut(max - n)
			first.Chunks = append(first.Chunks, head)
			rest.Chunks[0] = tail
		}
		q.back[0] = rest
		return first
	}
	q.back = slices.Delete(q.back, 0, 1)
	return l
}

func (q *Queue) takeReady(max int) *Lease {
	if q.readyAt == len(q.ready) {
		return nil
	}
	l := &Lease{Epoch: q.epoch}
	l.Chunks = l.few[:0]
	for n := 0; n < max && q.readyAt < len(q.ready); {
		c := &q.ready[q.readyAt]
		if n+c.Count > max {
			if n > 0 && q.KeepWhole {
				break
			}
			head, tail := c.cut(max - n)
			l.Chunks = append(l.Chunks, head)
			*c = tail
			break
		}
		n += c.Count
		l.Chunks = append(l.Chunks, *c)
		*c = Chunk{}
		q.readyAt++
	}
	q.compact()
	q.inside = !l.Whole()
	return l
}

// compact gives the room of what was taken back, now and then.
func (q *Queue) compact() {
	switch {
	case q.readyAt == len(q.ready):
		q.ready, q.readyAt = q.ready[:0], 0
	case q.readyAt > 64 && q.readyAt > len(q.ready)/2:
		n := copy(q.ready, q.ready[q.readyAt:])
		clear(q.ready[n:])
		q.ready, q.readyAt = q.ready[:n], 0
	}
}

// Lease finds a lease that is out.
func (q *Queue) Lease(id uint64) (*Lease, bool) {
	l, ok := q.leases[id]
	return l, ok
}

// Rollback takes a lease back, to be offered again before anything newer.
func (q *Queue) Rollback(id uint64) {
	l, ok := q.leases[id]
	if !ok {
		return
	}
	delete(q.leases, id)
	l.parked = false
	q.readyN += l.Len()
	at, _ := slices.BinarySearchFunc(q.back, l, func(a, b *Lease) int {
		return cmp.Compare(a.Chunks[0].Base, b.Chunks[0].Base)
	})
	q.back = slices.Insert(q.back, at, l)
}

// RollbackAll takes back every lease of holder, or of everybody when it is "".
func (q *Queue) RollbackAll(holder string) {
	for id, l := range q.leases {
		if holder == "" || l.Holder == holder {
			q.Rollback(id)
		}
	}
}

// Settle marks the records of a lease as done and returns how many they are.
// Their slabs are released.
func (q *Queue) Settle(id uint64) int {
	l, ok := q.leases[id]
	if !ok {
		return 0
	}
	delete(q.leases, id)
	n := 0
	for _, c := range l.Chunks {
		q.addSettled(Range{c.Base, c.end()})
		n += c.Count
		if c.Slab != nil {
			c.Slab.Release()
		}
	}
	q.held -= n
	return n
}

// addSettled merges r into the settled ranges and moves the cursor.
func (q *Queue) addSettled(r Range) {
	if r.From == q.first && len(q.settled) == 0 {
		q.first = r.To
		return
	}
	at, _ := slices.BinarySearchFunc(q.settled, r, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	q.settled = slices.Insert(q.settled, at, r)
	if at+1 < len(q.settled) && q.settled[at+1].From == r.To {
		q.settled[at].To = q.settled[at+1].To
		q.settled = slices.Delete(q.settled, at+1, at+2)
	}
	if at > 0 && q.settled[at-1].To == r.From {
		q.settled[at-1].To = q.settled[at].To
		q.settled = slices.Delete(q.settled, at, at+1)
	}
	if q.settled[0].From == q.first {
		q.first = q.settled[0].To
		q.settled = slices.Delete(q.settled, 0, 1)
	}
}

// Release gives back every slab the queue holds. It is not used afterwards.
func (q *Queue) Release() {
	q.RollbackAll("")
	free := func(chunks []Chunk) {
		for _, c := range chunks {
			if c.Slab != nil {
				c.Slab.Release()
			}
		}
	}
	free(q.ready[q.readyAt:])
	for _, l := range q.back {
		free(l.Chunks)
	}
	q.ready, q.back = nil, nil
}
