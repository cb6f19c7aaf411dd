package partitionlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Found is a record by its time.
type Found struct {
	Offset record.Offset
	Time   int64 // ms since the epoch
	Epoch  int32 // of the leader that appended it
}

// OffsetAt finds the first record below end whose time is at or behind ts; ok
// is false when there is none. It reads from the disk.
func (x *Index) OffsetAt(l Reader, ts int64, end record.Offset) (f Found, ok bool, err error) {
	var candidates []persistence.Entry
	for _, at := range x.snapshot() {
		if at.maxTime < ts || at.base >= end {
			continue
		}
		candidates = candidates[:0]
		err := l.Entries(max(at.base, l.Start()), func(e persistence.Entry) bool {
			if e.Base >= min(at.next, end) {
				return false
			}
			if e.MaxTime >= ts {
				candidates = append(candidates, e)
			}
			return true
		})
		if err != nil {
			return f, false, err
		}
		for _, e := range candidates {
			f, ok, err = firstAt(l, e, ts, l.Start(), end)
			if ok || err != nil {
				return f, ok, err
			}
		}
	}
	return f, false, nil
}

// MaxTime finds the record below end with the greatest time, of several the
// first; ok is false when no record has a time.
func (x *Index) MaxTime(l Reader, end record.Offset) (f Found, ok bool, err error) {
	lines := x.snapshot()
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(b.maxTime, a.maxTime) })
	best, found := persistence.Entry{MaxTime: -1}, false
	for _, at := range lines {
		if at.maxTime < 0 || found && at.maxTime < best.MaxTime {
			break
		}
		err := l.Entries(max(at.base, l.Start()), func(e persistence.Entry) bool {
			if e.Last >= min(at.next, end) {
				return false
			}
			if e.MaxTime > best.MaxTime || found && e.MaxTime == best.MaxTime && e.Base < best.Base {
				best, found = e, true
			}
			return true
		})
		if err != nil {
			return f, false, err
		}
	}
	if !found {
		return f, false, nil
	}
	return firstAt(l, best, best.MaxTime, l.Start(), end)
}

// firstAt looks inside the batch of e for the first record in [start, end) at
// or behind ts.
func firstAt(l Reader, e persistence.Entry, ts int64, start, end record.Offset) (f Found, ok bool, err error) {
	buf, err := l.Read(e, nil)
	if errors.Is(err, persistence.ErrTrimmed) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	defer func() { record.PutBuffer(buf) }()
	b := record.Batch(buf)
	if err := b.Check(); err != nil {
		return f, false, fmt.Errorf("look up a time in the batch at %d: %w", e.Base, err)
	}
	f.Epoch = b.LeaderEpoch()
	records, pooled, err := b.Payload(record.DefaultLimits)
	if errors.Is(err, record.ErrTooLarge) {
		// Too much to look into: who begins at the batch misses nothing.
		f.Offset, f.Time = max(b.BaseOffset(), start), b.MaxTimestamp()
		return f, f.Offset < end, nil
	}
	if err != nil {
		return f, false, fmt.Errorf("look up a time in the batch at %d: %w", e.Base, err)
	}
	if pooled {
		defer record.PutBuffer(records)
	}
	it := record.Iterate(records, b.Count())
	for it.Next() {
		f.Offset = b.BaseOffset() + record.Offset(it.OffsetDelta())
		f.Time = b.BaseTimestamp() + it.TimestampDelta()
		if b.LogAppendTime() {
			f.Time = b.MaxTimestamp()
		}
		if f.Time >= ts && f.Offset >= start {
			return f, f.Offset < end, nil
		}
	}
	if err := it.Err(); err != nil {
		return f, false, fmt.Errorf("look up a time in the batch at %d: %w", e.Base, err)
	}
	return f, false, nil
}
