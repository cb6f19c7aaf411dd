package group

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// loadChunk is how many bytes of the log are read at once, loadRetry how long to
// wait for a partition that cannot be read yet.
const (
	loadChunk = 1 << 20
	loadRetry = 100 * time.Millisecond
)

// read makes the state that the log tells. It tries until the log can be read;
// a coordinator without its past is none.
func (c *coordinator) read(life int) loaded {
	for wait := loadRetry; ; wait = min(2*wait, 30*time.Second) {
		m, err := c.readOnce(life)
		if err == nil {
			return m
		}
		if c.inbox.Closed() {
			return loaded{}
		}
		c.Logger.Warn("group coordinator cannot read its log", "partition", c.Log.ID(), "err", err, "retry", wait)
		time.Sleep(wait)
	}
}

func (c *coordinator) readOnce(life int) (loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Log.AwaitStart(ctx); err != nil {
		return loaded{}, err
	}
	world := c.World()
	state := NewState(c.Config, world, freshID)
	began := time.Now()
	next, end := c.Log.LogStart(), c.Log.HighWatermark()
	for next < end {
		after, err := replay(state, c.Log, next, end, c.Logger)
		if err != nil {
			return loaded{}, err
		}
		if after == next {
			return loaded{}, fmt.Errorf("nothing at %d, before the end %d", next, end)
		}
		next = after
	}
	c.Logger.Debug("groups read", "partition", c.Log.ID(), "groups", len(state.groups), "records", end, "took", time.Since(began))
	return loaded{life, state, world, next}, nil
}

// replay takes a chunk of the log over, and returns the offset behind it.
func replay(s *State, log partition.Ref, from, to record.Offset, logger *slog.Logger) (record.Offset, error) {
	buf, err := log.Read(from, to, loadChunk, record.GetBuffer(loadChunk))
	defer func() { record.PutBuffer(buf) }()
	if err != nil {
		return from, err
	}
	for rest := buf; len(rest) > 0; {
		var b record.Batch
		if b, rest, err = record.Split(rest); err != nil {
			return from, err
		}
		if err := replayBatch(s, b, from, logger); err != nil {
			return from, fmt.Errorf("batch at %d: %w", b.BaseOffset(), err)
		}
		from = b.LastOffset() + 1
	}
	return from, nil
}

// replayBatch takes over the records of a batch from an offset on.
func replayBatch(s *State, b record.Batch, from record.Offset, logger *slog.Logger) error {
	if b.Control() {
		m, err := partitionlog.ParseMarker(b)
		if err != nil {
			return err
		}
		s.ReplayMarker(Marker{b.ProducerID(), m.Commit})
		return nil
	}
	producer := int64(-1)
	if b.Transactional() {
		producer = b.ProducerID()
	}
	payload, pooled, err := b.Payload(record.DefaultLimits)
	if err != nil {
		return err
	}
	if pooled {
		defer record.PutBuffer(payload)
	}
	it := record.Iterate(payload, b.Count())
	for it.Next() {
		if b.BaseOffset()+record.Offset(it.OffsetDelta()) < from {
			continue
		}
		if err := s.Replay(it.Key(), it.Value(), producer); err != nil {
			logger.Warn("a record of the group coordinator is not understood and left alone",
				"offset", b.BaseOffset()+record.Offset(it.OffsetDelta()), "err", err)
		}
	}
	return it.Err()
}
