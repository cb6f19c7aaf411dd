package partitionlog

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Unlimited switches a bound of Retention off.
const Unlimited = -1

// Retention is how much of a log is kept (retention.bytes, retention.ms).
type Retention struct {
	Bytes int64         // at least so many, of whole batches; Unlimited
	Age   time.Duration // of the newest record of a batch; Unlimited
}

// Retain says where a log should begin, at most at hw: what lies before is
// older than retention allows, or more than it allows. The age counts from the
// time in the batch, be it the client's or that of the append, for batches
// without one from when they were added. As in Kafka a batch goes only when all
// before it go, so one from the future keeps all that follow it. now is in ms
// since the epoch.
//
// The partition asks every few seconds, outside of its actor (it reads entries
// where a bound falls within a line), submits the answer as a Trim together with
// what raft must know of it, and then trims State and Index.
func (x *Index) Retain(l Reader, r Retention, hw record.Offset, now int64) (record.Offset, error) {
	if err := x.exact(l); err != nil {
		return l.Start(), err
	}
	start := l.Start()
	excess := x.Size() - r.Bytes
	if r.Bytes < 0 {
		excess = 0
	}
	for _, at := range x.snapshot() {
		if at.next <= start {
			continue
		}
		old := r.expired(at.maxTime, at.added, now)
		if at.next <= hw && (old || at.bytes <= excess) {
			start = at.next
			excess -= at.bytes
			continue
		}
		err := l.Entries(max(start, at.base), func(e persistence.Entry) bool {
			gone := r.expired(e.MaxTime, at.added, now) || int64(e.Bytes) <= excess
			if e.Last >= min(at.next, hw) || !gone {
				return false
			}
			start = e.Last + 1
			excess -= int64(e.Bytes)
			return true
		})
		if err != nil || start < at.next {
			return start, err
		}
	}
	return start, nil
}

func (r Retention) expired(maxTime, added, now int64) bool {
	if r.Age < 0 {
		return false
	}
	if maxTime < 0 {
		maxTime = added
	}
	return now-maxTime > r.Age.Milliseconds()
}

// ErrOffsetOutOfRange answers a wish to delete what is not committed.
var ErrOffsetOutOfRange = errors.New("the offset lies above the high watermark")

// HighWatermark, as the offset to delete up to, means all there is.
const HighWatermark record.Offset = -1

// DeleteTo says where the log begins when a client wants everything below to
// deleted. The start never goes back.
func DeleteTo(to, start, hw record.Offset) (record.Offset, error) {
	switch {
	case to == HighWatermark:
		to = hw
	case to < 0 || to > hw:
		return start, fmt.Errorf("%w: %d, it is %d", ErrOffsetOutOfRange, to, hw)
	}
	return max(to, start), nil
}
