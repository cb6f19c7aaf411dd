package share

import (
	"slices"
)

// Delivery is what has become of a record, by Kafka's numbers.
type Delivery int8

// The states of a record.
const (
	Available    Delivery = 0 // to be handed to somebody
	Acquired     Delivery = 1 // a member has it, for a time
	Acknowledged Delivery = 2 // done with
	Archived     Delivery = 4 // given up
)

// Run is a run of records with the same fate.
type Run struct {
	First, Last int64
	State       Delivery
	Count       int16  // deliveries so far
	Member      string // of Acquired: who has it
	Until       int64  // ms; of Acquired: for how long
}

// Partition is what a share group has done with a partition: from start on, up
// to end, every offset is in one run; what lies before is done with, what lies
// behind is untouched. It has no clock and does no I/O.
type Partition struct {
	start, end int64
	runs       []Run // without gaps, in order
	// DeliveryMax is how often a record is handed out before it is given up,
	// LocksMax how far the last record in hand may lie behind the first.
	DeliveryMax int16
	LocksMax    int64
}

// NewPartition begins at an offset.
func NewPartition(start int64, deliveryMax int16, locksMax int64) *Partition {
	return &Partition{start: start, end: start, DeliveryMax: deliveryMax, LocksMax: locksMax}
}

// Restore takes up what was kept: runs in order, between which records are
// untouched. What a member had is to be handed out again.
func (p *Partition) Restore(runs []Run) {
	for _, r := range runs {
		if r.Last < p.end || r.First > r.Last {
			continue
		}
		r.First = max(r.First, p.end)
		if r.First > p.end {
			p.runs = append(p.runs, Run{First: p.end, Last: r.First - 1})
		}
		p.runs, p.end = append(p.runs, r), r.Last+1
	}
	p.tidy()
}

// Start is the first offset that is not done with.
func (p *Partition) Start() int64 { return p.start }

// Done counts the records from Start on that are done with.
func (p *Partition) Done() (n int64) {
	for _, r := range p.runs {
		if r.State == Acknowledged || r.State == Archived {
			n += r.Last - r.First + 1
		}
	}
	return n
}

// Keep are the runs that must be remembered.
func (p *Partition) Keep() []Run {
	var list []Run
	for _, r := range p.runs {
		if r.State == Acquired {
			r.State = Available
		}
		r.Member, r.Until = "", 0
		if r.State == Available && r.Count == 0 {
			continue
		}
		list = append(list, r)
	}
	return merge(list)
}

// Next is the first offset that could be handed out; false when nothing can
// before some of what is in hand comes back.
func (p *Partition) Next() (int64, bool) {
	for _, r := range p.runs {
		if r.State == Available {
			return r.First, true
		}
	}
	return p.end, p.end-p.start < p.LocksMax
}

// Trim forgets what the log does not hold any more.
func (p *Partition) Trim(logStart int64) (changed bool) {
	if logStart <= p.start {
		return false
	}
	p.cut(logStart)
	p.runs = slices.DeleteFunc(p.runs, func(r Run) bool { return r.Last < logStart })
	p.start, p.end = logStart, max(p.end, logStart)
	p.tidy()
	return true
}

// cut makes sure that a run begins at an offset.
func (p *Partition) cut(at int64) {
	for i, r := range p.runs {
		if r.First < at && at <= r.Last {
			left := r
			left.Last = at - 1
			p.runs[i].First = at
			p.runs = slices.Insert(p.runs, i, left)
			return
		}
	}
}

// Range is the offsets of a batch in the log.
type Range struct{ First, Last int64 }

// Acquire hands what is available in the batches to a member: about limit
// records, in whole batches, or no more than limit where strict. The batches are
// all that the log holds for readers from an offset on up to another one: what
// lies between them does not exist, and is done with.
func (p *Partition) Acquire(until int64, member string, from, to int64, batches []Range, limit int, strict bool) (got []Run) {
	left := int64(limit)
	for _, b := range batches {
		if left <= 0 || !p.reach(b) {
			to = from // the rest was not looked at
			break
		}
		p.skip(from, b.First-1)
		got = append(got, p.take(until, member, b, left, strict)...)
		left = int64(limit) - size(got)
		from = b.Last + 1
	}
	p.skip(from, to-1)
	p.tidy()
	return merge(got)
}

// take hands out what is available in one batch.
func (p *Partition) take(until int64, member string, b Range, left int64, strict bool) (got []Run) {
	p.cut(b.First)
	for i := 0; i < len(p.runs) && left > 0; i++ {
		r := p.runs[i]
		if r.State != Available || r.First < b.First || r.First > b.Last {
			continue
		}
		last := min(r.Last, b.Last)
		if strict {
			last = min(last, r.First+left-1)
			left -= last - r.First + 1
		}
		p.cut(last + 1)
		taken := &p.runs[i]
		taken.State, taken.Member, taken.Until, taken.Count = Acquired, member, until, r.Count+1
		got = append(got, *taken)
	}
	return got
}

// skip is done with offsets that the log has no records for.
func (p *Partition) skip(first, last int64) {
	if first = max(first, p.start); first > last {
		return
	}
	p.cut(first)
	p.cut(last + 1)
	for i := range p.runs {
		if r := &p.runs[i]; r.State == Available && r.First >= first && r.Last <= last {
			r.free(Archived)
		}
	}
	if last >= p.end {
		p.runs = append(p.runs, Run{First: p.end, Last: last, State: Archived})
		p.end = last + 1
	}
}

func size(runs []Run) (n int64) {
	for _, r := range runs {
		n += r.Last - r.First + 1
	}
	return n
}

// reach makes end lie behind the batch, if that is allowed.
func (p *Partition) reach(b Range) bool {
	if b.Last < p.end {
		return true
	}
	if b.First >= p.end && p.end-p.start >= p.LocksMax && p.end > p.start {
		return false
	}
	if b.First > p.end { // a hole in the log
		p.runs = append(p.runs, Run{First: p.end, Last: b.First - 1, State: Archived})
		p.end = b.First
	}
	p.runs = append(p.runs, Run{First: p.end, Last: b.Last})
	p.end = b.Last + 1
	return true
}

// Ack is what a member says of records. Types has one entry for all of them or
// one for each.
type Ack struct {
	First, Last int64
	Types       []int8
}

// What a member can say.
const (
	ackGap     = 0 // there is no such record
	ackAccept  = 1
	ackRelease = 2 // somebody else may have it
	ackReject  = 3 // nobody shall have it
	ackRenew   = 4 // it still works on it
)

// Acknowledge takes over what a member says, all of it or, when one of the
// records is not in its hands, nothing. until is the end of renewed locks.
func (p *Partition) Acknowledge(until int64, member string, acks []Ack) bool {
	before := slices.Clone(p.runs)
	for _, a := range acks {
		if !p.acknowledge(until, member, a) {
			p.runs = before
			return false
		}
	}
	p.tidy()
	return true
}

func (p *Partition) acknowledge(until int64, member string, a Ack) bool {
	if a.First > a.Last || len(a.Types) != 1 && int64(len(a.Types)) != a.Last-a.First+1 || a.Last >= p.end {
		return false
	}
	if a.Last < p.start {
		return true // trimmed away meanwhile
	}
	for from := a.First; from <= a.Last; {
		kind, to := a.Types[0], a.Last
		if len(a.Types) > 1 { // a run of the same kind
			kind, to = a.Types[from-a.First], from
			for to < a.Last && a.Types[to+1-a.First] == kind {
				to++
			}
		}
		if !p.decide(until, member, max(from, p.start), to, kind) {
			return false
		}
		from = to + 1
	}
	return true
}

func (p *Partition) decide(until int64, member string, first, last int64, kind int8) bool {
	p.cut(first)
	p.cut(last + 1)
	for i := range p.runs {
		r := &p.runs[i]
		if r.Last < first || r.First > last {
			continue
		}
		if r.State != Acquired || r.Member != member {
			return false
		}
		switch kind {
		case ackAccept:
			r.free(Acknowledged)
		case ackGap, ackReject:
			r.free(Archived)
		case ackRelease:
			p.giveBack(r)
		case ackRenew:
			r.Until = until
		default:
			return false
		}
	}
	return true
}

func (r *Run) free(state Delivery) { r.State, r.Member, r.Until = state, "", 0 }

// giveBack offers records again, or gives them up after too many deliveries.
func (p *Partition) giveBack(r *Run) {
	if r.Count >= p.DeliveryMax {
		r.free(Archived)
		return
	}
	r.free(Available)
}

// Release gives back all that a member has.
func (p *Partition) Release(member string) (changed bool) {
	return p.release(func(r *Run) bool { return r.Member == member })
}

// Expire gives back what members have had for too long.
func (p *Partition) Expire(now int64) (changed bool) {
	return p.release(func(r *Run) bool { return r.Until <= now })
}

func (p *Partition) release(which func(*Run) bool) (changed bool) {
	for i := range p.runs {
		if r := &p.runs[i]; r.State == Acquired && which(r) {
			p.giveBack(r)
			changed = true
		}
	}
	if changed {
		p.tidy()
	}
	return changed
}

// NextExpiry is when the first lock ends.
func (p *Partition) NextExpiry() (at int64, any bool) {
	for _, r := range p.runs {
		if r.State == Acquired && (!any || r.Until < at) {
			at, any = r.Until, true
		}
	}
	return at, any
}

// tidy moves start behind what is done with, and joins runs that are alike.
func (p *Partition) tidy() {
	n := 0
	for n < len(p.runs) && (p.runs[n].State == Acknowledged || p.runs[n].State == Archived) {
		p.start = p.runs[n].Last + 1
		n++
	}
	p.runs = slices.Delete(p.runs, 0, n)
	p.runs = merge(p.runs)
}

// merge joins neighbours that are alike.
func merge(runs []Run) []Run {
	out := runs[:0]
	for _, r := range runs {
		if n := len(out); n > 0 && out[n-1].Last+1 == r.First && out[n-1].alike(r) {
			out[n-1].Last = r.Last
			continue
		}
		out = append(out, r)
	}
	return out
}

func (r Run) alike(o Run) bool {
	if r.State == Acknowledged || r.State == Archived {
		return r.State == o.State
	}
	return r.State == o.State && r.Count == o.Count && r.Member == o.Member && r.Until == o.Until
}
