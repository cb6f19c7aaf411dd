package channelstate

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
)

// ErrCursor says that the stored cursor of a channel cannot be read.
var ErrCursor = errors.New("malformed channel cursor")

const cursorVersion = 1

// AppendCursor appends what must be on disk to know what is settled: a version
// byte, then as unsigned varints the cursor, the number of settled ranges above
// it, and for each the distance from the end of the one before and its length.
func (q *Queue) AppendCursor(dst []byte) []byte {
	dst = append(dst, cursorVersion)
	dst = binary.AppendUvarint(dst, uint64(q.first))
	dst = binary.AppendUvarint(dst, uint64(len(q.settled)))
	at := q.first
	for _, r := range q.settled {
		dst = binary.AppendUvarint(dst, uint64(r.From-at))
		dst = binary.AppendUvarint(dst, uint64(r.To-r.From))
		at = r.To
	}
	return dst
}

// ParseCursor reads what AppendCursor wrote.
func ParseCursor(b []byte) (first record.Offset, settled []Range, err error) {
	if len(b) == 0 || b[0] != cursorVersion {
		return 0, nil, ErrCursor
	}
	b = b[1:]
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = ErrCursor
			return 0
		}
		b = b[n:]
		return v
	}
	first = record.Offset(next())
	count := next()
	at := first
	for range min(count, uint64(len(b))) {
		from := at + record.Offset(next())
		to := from + record.Offset(next())
		if err != nil || from <= at || to <= from {
			return 0, nil, ErrCursor
		}
		settled = append(settled, Range{from, to})
		at = to
	}
	if err != nil || uint64(len(settled)) != count || first < 0 || len(b) > 0 {
		return 0, nil, ErrCursor
	}
	return first, settled, nil
}

// Stored is one batch of a channel's log, as the store lists it at start.
type Stored struct {
	Base, Last record.Offset
	Time       int64
}

// Restore builds the queue of a channel whose log holds batches up to next and
// of which everything below first and in settled is done.
func Restore(first, next record.Offset, settled []Range, batches []Stored) *Queue {
	q := New(first)
	for _, b := range batches {
		for _, r := range unsettled(Range{max(b.Base, first), b.Last + 1}, settled) {
			q.Store(Chunk{Base: r.From, Count: int(r.To - r.From), First: int(r.From - b.Base), Last: b.Last, Time: b.Time})
		}
	}
	if q.next < next { // the end of the log is settled, or was trimmed
		if q.first == q.next {
			q.first = next
		} else {
			q.addSettled(Range{q.next, next})
		}
		q.next = next
	}
	return q
}

// unsettled is what of r is not covered by settled.
func unsettled(r Range, settled []Range) []Range {
	var out []Range
	at, _ := slices.BinarySearchFunc(settled, r.From, func(s Range, from record.Offset) int {
		if s.To <= from {
			return -1
		}
		return 1
	})
	for _, s := range settled[at:] {
		if s.From >= r.To {
			break
		}
		if s.From > r.From {
			out = append(out, Range{r.From, s.From})
		}
		r.From = max(r.From, s.To)
	}
	if r.From < r.To {
		out = append(out, r)
	}
	return out
}
