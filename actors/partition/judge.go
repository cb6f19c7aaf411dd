package partition

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// judge checks what can be told from a batch alone, where the caller is: many
// do so at a time. Coordinators know what they write.
func (p *part) judge(a *Append) error {
	c, b := p.config.Load(), record.Batch(a.Batch)
	if b.Control() && a.MarkerCoordinatorEpoch >= 0 {
		m, err := partitionlog.ParseMarker(b)
		if err != nil {
			return err
		}
		if m.CoordinatorEpoch != a.MarkerCoordinatorEpoch {
			return fmt.Errorf("%w: the marker has coordinator epoch %d, not %d", ErrInvalidRecord, m.CoordinatorEpoch, a.MarkerCoordinatorEpoch)
		}
	}
	if a.Origin != Client && a.Origin != Sink {
		return nil
	}
	if len(b) > c.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, len(b), c.MaxMessageBytes)
	}
	now := time.Now()
	if !c.LogAppendTime {
		if err := c.checkTimes(b, now); err != nil {
			return err
		}
	}
	if c.Compact || !c.LogAppendTime && c.TimestampBefore >= 0 {
		if err := c.checkRecords(b, now); err != nil {
			return err
		}
	}
	if c.LogAppendTime {
		record.SetLogAppendTime(b, now.UnixMilli())
	}
	return nil
}

// noTime is the time of a record that has none.
const noTime = -1

// checkTimes looks at the newest time of a batch, which its header says.
func (c *Config) checkTimes(b record.Batch, now time.Time) error {
	newest := b.MaxTimestamp()
	if newest == noTime {
		return nil
	}
	if after := c.TimestampAfter; after >= 0 && newest > now.Add(after).UnixMilli() {
		return fmt.Errorf("%w: %d is more than %v ahead", ErrInvalidTimestamp, newest, after)
	}
	if before := c.TimestampBefore; before >= 0 && newest < now.Add(-before).UnixMilli() {
		return fmt.Errorf("%w: %d is more than %v ago", ErrInvalidTimestamp, newest, before)
	}
	return nil
}

// checkRecords looks at every record: compaction needs keys, and no record may
// be too old.
func (c *Config) checkRecords(b record.Batch, now time.Time) error {
	payload, pooled, err := b.Payload(record.DefaultLimits)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	if pooled {
		defer record.PutBuffer(payload)
	}
	oldest := int64(-1 << 63)
	if !c.LogAppendTime && c.TimestampBefore >= 0 {
		oldest = now.Add(-c.TimestampBefore).UnixMilli()
	}
	it := record.Iterate(payload, b.Count())
	for it.Next() {
		if c.Compact && it.Key() == nil {
			return fmt.Errorf("%w: record %d has no key, and the topic is compacted", ErrInvalidRecord, it.OffsetDelta())
		}
		if at := b.BaseTimestamp() + it.TimestampDelta(); at < oldest && at != noTime {
			return fmt.Errorf("%w: record %d has %d, which is more than %v ago", ErrInvalidTimestamp, it.OffsetDelta(), at, c.TimestampBefore)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	return nil
}
