package partitionlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// Cleaner decides batch by batch what compaction leaves of a log. It is a step
// function: Begin and Learn for the batches of the dirty range, in order, then
// Begin and Clean for all batches from the start of the log to the end of the
// dirty range.
//
// What it keeps is what Kafka keeps: of each key the newest value; a tombstone
// (a key without value) until its batch was seen so for the retention of
// deletes; nothing of aborted transactions; a marker until a pass has found
// nothing of its transaction any more, and then as long as a tombstone; an
// empty batch where it carries the last sequence of a producer. Offsets, times
// and sequences of what stays do not change. Records without a key go.
type Cleaner struct {
	newest  *offsetMap
	retain  time.Duration
	now     int64
	last    map[int64]Producer
	aborted []Aborted // by their first offsets
	txns    txnWalk
	keep    []bool
	// Gone are the offsets of the markers of aborted transactions that were
	// removed: the State has to forget them (DropAborted).
	Gone []record.Offset
}

// NewCleaner begins a pass. The map of keys takes at most mapBytes; aborted are
// the aborted transactions that overlap the range, producers those of the
// State; tombstones are kept for deleteRetention, or Unlimited. now is in ms since the epoch.
func NewCleaner(mapBytes int, producers []Producer, aborted []Aborted, deleteRetention time.Duration, now int64) *Cleaner {
	c := &Cleaner{
		newest: newOffsetMap(mapBytes), retain: deleteRetention, now: now,
		last: make(map[int64]Producer, len(producers)), aborted: slices.Clone(aborted),
	}
	for _, p := range producers {
		c.last[p.ID] = p
	}
	slices.SortFunc(c.aborted, func(a, b Aborted) int { return cmp.Compare(a.First, b.First) })
	return c
}

// Begin begins a walk over the batches from from on.
func (c *Cleaner) Begin(from record.Offset) {
	c.txns = txnWalk{aborted: map[int64]bool{}, committed: map[int64]bool{}}
	for _, a := range c.aborted {
		if a.Last >= from {
			c.txns.rest = append(c.txns.rest, a)
		}
	}
}

// Learn takes the keys of b up. It answers false when they find no room: then
// the range ends before b, and what follows is for the next pass.
func (c *Cleaner) Learn(b record.Batch) (bool, error) {
	if c.txns.skips(b) {
		return true, nil
	}
	if c.newest.used > 0 && !c.newest.takes(b.Count()) {
		return false, nil
	}
	records, pooled, err := b.Payload(record.DefaultLimits)
	if errors.Is(err, record.ErrTooLarge) {
		return true, nil // it stays whole, and supersedes nothing
	}
	if err != nil {
		return false, fmt.Errorf("compact the batch at %d: %w", b.BaseOffset(), err)
	}
	if pooled {
		defer record.PutBuffer(records)
	}
	it := record.Iterate(records, b.Count())
	for it.Next() {
		if key := it.Key(); key != nil {
			c.newest.put(key, b.BaseOffset()+record.Offset(it.OffsetDelta()))
		}
	}
	if err := it.Err(); err != nil {
		return false, fmt.Errorf("compact the batch at %d: %w", b.BaseOffset(), err)
	}
	return true, nil
}

// Clean answers what is left of b, appended to buf: b itself when all of it
// stays, nil when nothing does. With hold something does: an empty batch.
func (c *Cleaner) Clean(b record.Batch, hold bool, buf []byte) ([]byte, error) {
	hold = hold || c.lastOfProducer(b)
	var removable bool // as a whole, once its time has come
	if b.Control() {
		removable = c.txns.endedEmpty(b)
		if horizon, ok := b.DeleteHorizon(); removable && (!ok || horizon > c.now) && b.Count() > 0 {
			if ok {
				return b, nil
			}
			return c.rebuild(b, true, c.horizon(), buf)
		}
		if removable {
			if m, err := ParseMarker(b); err == nil && !m.Commit {
				c.Gone = append(c.Gone, b.BaseOffset())
			}
		} else {
			return b, nil
		}
	} else {
		removable = c.txns.skips(b)
	}
	if removable {
		switch {
		case !hold:
			return nil, nil
		case b.Count() == 0:
			return b, nil
		}
		return c.rebuild(b, false, record.NoHorizon, buf)
	}
	return c.filter(b, hold, buf)
}

// horizon is from when on what was seen now may go.
func (c *Cleaner) horizon() int64 {
	if c.retain < 0 {
		return 1 << 60
	}
	return c.now + c.retain.Milliseconds()
}

// lastOfProducer says whether b carries the last sequence of its producer, or
// where that has sent no batch with this epoch, the marker that began it.
func (c *Cleaner) lastOfProducer(b record.Batch) bool {
	p, ok := c.last[b.ProducerID()]
	if !ok || b.ProducerID() < 0 {
		return false
	}
	if n := len(p.Batches); n > 0 {
		return p.Batches[n-1].Base == b.BaseOffset()
	}
	return b.Control() && b.ProducerEpoch() == p.Epoch
}

// rebuild keeps all records of b, or none, and sets a horizon.
func (c *Cleaner) rebuild(b record.Batch, all bool, horizon int64, buf []byte) ([]byte, error) {
	records, pooled, err := b.Payload(record.DefaultLimits)
	if errors.Is(err, record.ErrTooLarge) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compact the batch at %d: %w", b.BaseOffset(), err)
	}
	if pooled {
		defer record.PutBuffer(records)
	}
	c.keep = c.keep[:0]
	for range b.Count() {
		c.keep = append(c.keep, all)
	}
	return b.Retain(buf, records, c.keep, horizon)
}

// filter keeps of b the records that nothing has superseded.
func (c *Cleaner) filter(b record.Batch, hold bool, buf []byte) ([]byte, error) {
	records, pooled, err := b.Payload(record.DefaultLimits)
	if errors.Is(err, record.ErrTooLarge) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compact the batch at %d: %w", b.BaseOffset(), err)
	}
	if pooled {
		defer record.PutBuffer(records)
	}
	horizon, hasHorizon := b.DeleteHorizon()
	kept, tombstones := 0, false
	c.keep = c.keep[:0]
	it := record.Iterate(records, b.Count())
	for it.Next() {
		key, tombstone := it.Key(), it.Value() == nil
		newest, known := c.newest.newest(key)
		keep := key != nil && (!known || newest <= b.BaseOffset()+record.Offset(it.OffsetDelta()))
		if tombstone && hasHorizon && horizon <= c.now {
			keep = false
		}
		c.keep = append(c.keep, keep)
		if keep {
			kept++
			tombstones = tombstones || tombstone
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("compact the batch at %d: %w", b.BaseOffset(), err)
	}
	set := int64(record.NoHorizon)
	if tombstones && !hasHorizon {
		set = c.now + c.retain.Milliseconds()
	}
	switch {
	case kept == b.Count() && set == record.NoHorizon && (kept > 0 || hold):
		return b, nil
	case kept == 0 && !hold:
		return nil, nil
	}
	return b.Retain(buf, records, c.keep, set)
}

// txnWalk follows the transactions of a log from batch to batch.
type txnWalk struct {
	rest      []Aborted      // not yet begun
	aborted   map[int64]bool // begun and aborted: whether a batch was seen
	committed map[int64]bool // begun and committed, as far as batches were seen
}

// skips takes the data batch b into account, and says whether compaction learns
// nothing from it: a marker, or part of an aborted transaction.
func (w *txnWalk) skips(b record.Batch) bool {
	if b.Control() {
		w.endedEmpty(b)
		return true
	}
	w.begin(b.LastOffset())
	if !b.Transactional() {
		return false
	}
	id := b.ProducerID()
	if _, aborted := w.aborted[id]; aborted {
		w.aborted[id] = true
		return true
	}
	w.committed[id] = true
	return false
}

func (w *txnWalk) begin(last record.Offset) {
	for len(w.rest) > 0 && w.rest[0].First <= last {
		w.aborted[w.rest[0].Producer] = false
		w.rest = w.rest[1:]
	}
}

// endedEmpty takes the control batch b into account, and says whether nothing
// of its transaction was seen.
func (w *txnWalk) endedEmpty(b record.Batch) bool {
	w.begin(b.LastOffset())
	m, err := ParseMarker(b)
	if err != nil {
		return b.Count() == 0 // what the marker said is gone already
	}
	id := b.ProducerID()
	if m.Commit {
		seen := w.committed[id]
		delete(w.committed, id)
		return !seen
	}
	seen := w.aborted[id]
	delete(w.aborted, id)
	return !seen
}
