package txn

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// readBytes is how much of the log is read at a time.
const readBytes = 1 << 20

// readLog returns the last value of each key in the log. Everything that the log
// holds when it begins is read, also what is not committed yet: it will be, or
// the leadership is lost.
func readLog(ctx context.Context, log partition.Ref) (map[string][]byte, error) {
	values := map[string][]byte{}
	woken := make(chan struct{}, 1)
	w := &partition.Watcher{Wake: func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}}
	log.Watch(w)
	defer log.Unwatch(w)
	epoch := log.LeaderEpoch()
	at, end := log.LogStart(), log.LogEnd()
	buf := record.GetBuffer(readBytes)
	defer func() { record.PutBuffer(buf) }()
	for at < end {
		if !log.Leading() || log.LeaderEpoch() != epoch {
			return nil, partition.ErrNotLeader
		}
		var err error
		if buf, err = log.Read(at, end, readBytes, buf[:0]); err != nil {
			return nil, err
		}
		if len(buf) == 0 {
			select {
			case <-woken:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if at, err = take(values, buf); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// take adds the records of some batches to values, and returns the offset behind
// them.
func take(values map[string][]byte, batches []byte) (next record.Offset, err error) {
	for len(batches) > 0 {
		var b record.Batch
		if b, batches, err = record.Split(batches); err != nil {
			return 0, err
		}
		next = b.LastOffset() + 1
		if b.Control() {
			continue
		}
		payload, pooled, err := b.Payload(record.DefaultLimits)
		if err != nil {
			return 0, fmt.Errorf("batch at %d: %w", b.BaseOffset(), err)
		}
		it := record.Iterate(payload, b.Count())
		for it.Next() {
			values[string(it.Key())] = append([]byte(nil), it.Value()...)
		}
		if err := it.Err(); err != nil {
			return 0, fmt.Errorf("batch at %d: %w", b.BaseOffset(), err)
		}
		if pooled {
			record.PutBuffer(payload)
		}
	}
	return next, nil
}
