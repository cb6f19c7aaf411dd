package channelstate

import "github.com/sluicehq/sluice/persistence/record"

// NextEpoch begins an epoch: what is taken from now on, and was never taken
// before, belongs to it. It does nothing inside of a batch, and says so.
func (q *Queue) NextEpoch() bool {
	if q.inside {
		return false
	}
	q.epoch++
	return true
}

// Inside says that what was taken last ends inside of a batch.
func (q *Queue) Inside() bool { return q.inside }

// Taken is one past the last position that was ever taken.
func (q *Queue) Taken() record.Offset {
	if q.readyAt < len(q.ready) {
		return q.ready[q.readyAt].Base
	}
	return q.next
}

// RolledBack says that something is offered again.
func (q *Queue) RolledBack() bool { return len(q.back) > 0 }

// Out is the number of leases that are out.
func (q *Queue) Out() int { return len(q.leases) }

// Park notes that a lease is done for its holder, who has not settled it yet.
func (q *Queue) Park(id uint64) {
	if l, ok := q.leases[id]; ok {
		l.parked = true
	}
}

// Done is the lowest position that is neither settled nor parked.
func (q *Queue) Done() record.Offset {
	low := q.Taken()
	if len(q.back) > 0 {
		low = min(low, q.back[0].Chunks[0].Base)
	}
	for _, l := range q.leases {
		if !l.parked {
			low = min(low, l.Chunks[0].Base)
		}
	}
	return low
}

// Parked is what a sink has done in one piece: leases between First and End,
// among which other sinks may have theirs. It counts only together with what
// the same sink has done before.
type Parked struct {
	Holder     string
	First, End record.Offset
}

// Cut is the highest position up to most at which the work of all sinks can be
// cut in two: every piece lies below it or above, in the order in which its
// sink did them those below come first, and floor leaves it where it is. parked is
// in the order of each sink; floor is the highest position up to the one given
// that is inside of no batch.
//
// When exactly the pieces below such a position are kept, together with that
// position, then nothing is kept twice or not at all, whoever did it.
func Cut(most record.Offset, parked []Parked, floor func(record.Offset) record.Offset) record.Offset {
	at := floor(most)
	if len(parked) == 0 {
		return at
	}
	late := map[string]bool{} // sinks of which a piece lies above
	for before := record.Offset(-1); at != before; {
		before = at
		clear(late)
		for _, p := range parked {
			if p.End > at || late[p.Holder] {
				late[p.Holder] = true
				at = min(at, p.First)
			}
		}
		at = floor(at)
	}
	return at
}
