package partitionlog

import (
	"slices"
	"sync"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Reader is what a look-up wants of a *persistence.Log.
type Reader interface {
	Start() record.Offset
	Entries(from record.Offset, fn func(persistence.Entry) bool) error
	Read(e persistence.Entry, buf []byte) ([]byte, error)
}

// Index says roughly where in a log which times and how many bytes lie: one
// line for some hundred batches. It is in memory, and small: a log of 100 GiB
// has 25,000 lines. It may be asked by anyone at any time.
//
// The partition adds every entry when it commits, and trims it with the log.
// Its lines may promise more than the log holds, after a trim or a compaction;
// they never promise less, so whoever looks finds out by reading.
type Index struct {
	mu    sync.Mutex
	lines []line
	start record.Offset
	bytes int64
	rough bool // a trim has cut the first line
}

// line tells of the batches in [base, next).
type line struct {
	base, next record.Offset
	count      int
	bytes      int64
	maxTime    int64 // of a record; -1: none has a time
	added      int64 // when the newest batch was added, ms since the epoch
}

const (
	lineBatches = 512
	lineBytes   = 4 << 20
)

// NewIndex is the index of an empty log.
func NewIndex() *Index { return &Index{} }

// Add notes a batch at the end of the log. now is in ms since the epoch: the
// age of records that carry no time.
func (x *Index) Add(e persistence.Entry, now int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.lines)
	if n == 0 || x.lines[n-1].count >= lineBatches || x.lines[n-1].bytes+int64(e.Bytes) > lineBytes {
		x.lines = append(x.lines, line{base: e.Base, maxTime: -1})
		n++
	}
	l := &x.lines[n-1]
	l.next, l.count, l.bytes = e.Last+1, l.count+1, l.bytes+int64(e.Bytes)
	l.maxTime, l.added = max(l.maxTime, e.MaxTime), now
	x.bytes += int64(e.Bytes)
}

// Next is one past the last record that the index knows.
func (x *Index) Next() record.Offset {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.lines); n > 0 {
		return x.lines[n-1].next
	}
	return x.start
}

// Load adds the entries of a log from Next on: all of them after a restart. now
// is in ms since the epoch.
func (x *Index) Load(l Reader, now int64) error {
	return l.Entries(x.Next(), func(e persistence.Entry) bool {
		x.Add(e, now)
		return true
	})
}

// Trim forgets what lies below start. Of the line that start falls into it
// takes a share; the next Retain makes that exact.
func (x *Index) Trim(start record.Offset) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.start = max(x.start, start)
	n := 0
	for n < len(x.lines) && x.lines[n].next <= start {
		x.bytes -= x.lines[n].bytes
		n++
	}
	x.lines = slices.Delete(x.lines, 0, n)
	if len(x.lines) == 0 {
		return
	}
	x.rough = false
	l := &x.lines[0]
	if l.base >= start {
		return
	}
	x.rough = true
	gone := int64(float64(l.bytes) * float64(start-l.base) / float64(l.next-l.base))
	l.base, l.bytes = start, l.bytes-gone
	x.bytes -= gone
}

// Recount reads the entries of [from, to) again, after a compaction has
// rewritten them.
func (x *Index) Recount(l Reader, from, to record.Offset) error {
	x.mu.Lock()
	lines := slices.Clone(x.lines)
	x.mu.Unlock()
	var fresh []line
	for _, old := range lines {
		if old.next <= from || old.base >= to {
			continue
		}
		counted := line{base: old.base, next: old.next, maxTime: -1, added: old.added}
		err := l.Entries(old.base, func(e persistence.Entry) bool {
			if e.Last >= old.next {
				return false
			}
			counted.count, counted.bytes = counted.count+1, counted.bytes+int64(e.Bytes)
			counted.maxTime = max(counted.maxTime, e.MaxTime)
			return true
		})
		if err != nil {
			return err
		}
		fresh = append(fresh, counted)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range fresh {
		i := slices.IndexFunc(x.lines, func(l line) bool { return l.base == f.base && l.next == f.next })
		if i >= 0 { // else it was trimmed or grew meanwhile
			x.bytes += f.bytes - x.lines[i].bytes
			x.lines[i] = f
		}
	}
	return nil
}

// exact counts the line anew that a trim has cut.
func (x *Index) exact(l Reader) error {
	x.mu.Lock()
	rough, start := x.rough && len(x.lines) > 0, x.start
	x.rough = false
	x.mu.Unlock()
	if !rough {
		return nil
	}
	return x.Recount(l, start, start+1)
}

// Size is the number of bytes of the log's batches.
func (x *Index) Size() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes
}

// snapshot is the lines as they are now.
func (x *Index) snapshot() []line {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.lines)
}
