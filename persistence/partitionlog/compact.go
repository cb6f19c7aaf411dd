package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Compaction is how a log is compacted, by Kafka's settings.
type Compaction struct {
	DirtyRatio float64       // min.cleanable.dirty.ratio
	MinLag     time.Duration // min.compaction.lag.ms: younger records stay; Unlimited: all do
	// MaxLag (max.compaction.lag.ms): older records wait neither for the ratio nor
	// for their segment to be full; Unlimited.
	MaxLag          time.Duration
	DeleteRetention time.Duration // delete.retention.ms; Unlimited
	// SegmentBytes and SegmentAge (segment.bytes, segment.ms) say which records
	// count as the active segment: those behind the last time that so many bytes,
	// or so much time, had come together. They are not touched. SegmentAge may be
	// Unlimited.
	SegmentBytes int64
	SegmentAge   time.Duration
	MapBytes     int // memory for the map of keys; 0: 16 MiB
}

const mapBytesNormal = 16 << 20

// Range is what a pass works on: all batches of [From, To) are rewritten, those
// of [Dirty, To) for the first time.
type Range struct{ From, Dirty, To record.Offset }

// Plan says whether a pass is worth it, and of what. dirty is where the last
// pass ended (Log.Rewritten); stable is the last stable offset; end is that of
// the log, whose last batch always stays. now is in ms since the epoch.
func (c Compaction) Plan(l Reader, x *Index, dirty, stable, end record.Offset, now int64) (r Range, ok bool, err error) {
	if c.MinLag < 0 {
		return Range{}, false, nil
	}
	if c.MaxLag >= 0 && (c.SegmentAge < 0 || c.MaxLag < c.SegmentAge) {
		c.SegmentAge = c.MaxLag
	}
	p := plan{Compaction: c, now: now, oldest: -1}
	r = Range{From: l.Start(), Dirty: max(dirty, l.Start())}
	p.to = r.Dirty
	err = l.Entries(r.Dirty, func(e persistence.Entry) bool {
		p.behind += int64(e.Bytes)
		if e.Last+1 >= end || e.Last >= stable {
			p.cut()
		}
		p.add(e)
		return true
	})
	r.To = p.to
	if err != nil || r.To == r.Dirty {
		return r, false, err
	}
	clean := max(x.Size()-p.behind, 0)
	late := c.MaxLag >= 0 && now-p.oldest > c.MaxLag.Milliseconds()
	return r, late || float64(p.dirty) >= c.DirtyRatio*float64(clean+p.dirty), nil
}

// plan walks over the dirty entries and cuts them into segments.
type plan struct {
	Compaction
	now    int64
	to     record.Offset // behind the last sealed segment
	dirty  int64         // bytes below to
	behind int64         // bytes in all
	oldest int64         // time of the first record
	done   bool          // nothing more can be compacted

	bytes, first, newest int64 // of the segment that is being filled
	next                 record.Offset
}

func (p *plan) add(e persistence.Entry) {
	at := e.MaxTime
	if at < 0 {
		at = p.now
	}
	if p.bytes > 0 && (p.bytes+int64(e.Bytes) > p.SegmentBytes || p.aged(at)) {
		p.seal()
	}
	if p.bytes == 0 {
		p.first, p.newest = at, at
	}
	p.bytes += int64(e.Bytes)
	p.newest = max(p.newest, at)
	p.next = e.Last + 1
}

// aged says that the segment reaches back too far at that time.
func (p *plan) aged(at int64) bool {
	return p.SegmentAge >= 0 && at-p.first > p.SegmentAge.Milliseconds()
}

// seal ends the segment.
func (p *plan) seal() {
	if p.done = p.done || p.now-p.newest < p.MinLag.Milliseconds(); !p.done {
		p.to, p.dirty = p.next, p.dirty+p.bytes
		if p.oldest < 0 {
			p.oldest = p.first
		}
	}
	p.bytes = 0
}

// cut ends it all: what was met so far is sealed if it is old enough.
func (p *plan) cut() {
	if !p.done && p.bytes > 0 && (p.bytes >= p.SegmentBytes || p.aged(p.now)) {
		p.seal()
	}
	p.done = true
}

// Pass is a compaction that is prepared: its batches are on disk beside the old
// ones, which are still what readers see.
type Pass struct {
	Range
	Before, After int64 // bytes of the batches in the range
	// Gone are the markers that the State has to forget, and store that it has,
	// together with Finish.
	Gone []record.Offset

	rewrite *persistence.Rewrite
}

// Prepare rewrites the batches of r. It takes its time, and runs outside of the
// actor; nothing changes before Finish, and when ctx ends it ends. producers and
// aborted are those of the State, aborted ones from r.From to r.To. The range
// ends earlier than planned where the map of keys is full.
//
// The partition's part: every few seconds, when cleanup.policy has "compact",
// and no pass is under way, Plan and Prepare in a goroutine that reports back.
// Then in the actor State.DropAborted(pass.Gone), and a snapshot of the State is
// stored if that changed anything: readers must not be told of a transaction
// whose marker is gone. When it is on disk, pass.Finish and
// Index.Recount(log, pass.From, pass.To), again in a goroutine. A pass that is
// not wanted any more, because the partition stops, gets Cancel. A fetch reads
// its batches first and asks for the aborted transactions then.
func (c Compaction) Prepare(ctx context.Context, l *persistence.Log, r Range, producers []Producer, aborted []Aborted, now int64) (*Pass, error) {
	bytes := c.MapBytes
	if bytes == 0 {
		bytes = mapBytesNormal
	}
	cleaner := NewCleaner(bytes, producers, aborted, c.DeleteRetention, now)
	if err := learn(ctx, cleaner, l, &r); err != nil {
		return nil, err
	}
	w, err := l.Rewrite(r.To)
	if err != nil {
		return nil, err
	}
	p := &Pass{Range: r, rewrite: w}
	if err := p.clean(ctx, cleaner, l); err != nil {
		return nil, errors.Join(err, w.Cancel())
	}
	p.Gone = cleaner.Gone
	return p, nil
}

// learn fills the map of keys from the dirty range of r, which ends where the
// map is full.
func learn(ctx context.Context, c *Cleaner, l *persistence.Log, r *Range) error {
	c.Begin(r.Dirty)
	return eachBatch(ctx, l, r.Dirty, r.To, func(e persistence.Entry, b record.Batch) (bool, error) {
		taken, err := c.Learn(b)
		if err == nil && !taken {
			r.To = e.Base
		}
		return taken, err
	})
}

// clean rewrites every batch of the range.
func (p *Pass) clean(ctx context.Context, c *Cleaner, l *persistence.Log) error {
	var buf []byte
	c.Begin(p.From)
	return eachBatch(ctx, l, p.From, p.To, func(e persistence.Entry, b record.Batch) (bool, error) {
		p.Before += int64(len(b))
		// The last one stays, if empty: it carries the offsets of those that go.
		out, err := c.Clean(b, e.Last+1 == p.To, buf[:0])
		if err != nil {
			return false, err
		}
		if out == nil {
			p.rewrite.Drop(e)
			return true, nil
		}
		if len(out) > 0 && &out[0] != &b[0] {
			buf = out
		}
		p.After += int64(len(out))
		e.MaxTime = record.Batch(out).MaxTimestamp()
		return true, p.rewrite.Keep(e, out)
	})
}

// eachBatch reads the batches of [from, to) one after the other.
func eachBatch(ctx context.Context, l *persistence.Log, from, to record.Offset, fn func(persistence.Entry, record.Batch) (bool, error)) error {
	var buf []byte
	defer func() { record.PutBuffer(buf) }()
	for from < to {
		var entries []persistence.Entry
		err := l.Entries(from, func(e persistence.Entry) bool {
			if e.Last >= to || len(entries) == entriesMax {
				return false
			}
			entries = append(entries, e)
			return true
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if buf, err = l.Read(e, buf[:0]); errors.Is(err, persistence.ErrTrimmed) {
				continue
			} else if err != nil {
				return err
			}
			b := record.Batch(buf)
			if err := b.Check(); err != nil {
				return fmt.Errorf("compact the batch at %d: %w", e.Base, err)
			}
			more, err := fn(e, b)
			if err != nil || !more {
				return err
			}
		}
		from = entries[len(entries)-1].Last + 1
	}
	return nil
}

// entriesMax bounds how many entries are held at a time.
const entriesMax = 1000

// Finish makes the pass what readers see, in one transaction together with
// sets. It waits for the disk.
func (p *Pass) Finish(sets ...persistence.KV) error { return p.rewrite.Finish(sets...) }

// Cancel gives the pass up.
func (p *Pass) Cancel() error { return p.rewrite.Cancel() }
