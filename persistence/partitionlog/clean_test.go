package partitionlog_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
	"pgregory.net/rapid"
)

// readCommitted does what Kafka's clients do with what a fetch gives them: it
// follows the list of aborted transactions from marker to marker.
func readCommitted(batches []record.Batch, aborted []partitionlog.Aborted) (seen map[record.Offset]string, newest map[string]string) {
	seen, newest = map[record.Offset]string{}, map[string]string{}
	slices.SortFunc(aborted, func(a, b partitionlog.Aborted) int { return int(a.First - b.First) })
	skip := map[int64]bool{}
	for _, b := range batches {
		for len(aborted) > 0 && aborted[0].First <= b.LastOffset() {
			skip[aborted[0].Producer] = true
			aborted = aborted[1:]
		}
		if b.Control() {
			if m, err := partitionlog.ParseMarker(b); err == nil && !m.Commit {
				delete(skip, b.ProducerID())
			}
			continue
		}
		if b.Transactional() && skip[b.ProducerID()] {
			continue
		}
		it := record.Iterate(b[record.HeaderSize:], b.Count())
		for it.Next() {
			key, value := string(it.Key()), string(it.Value())
			seen[b.BaseOffset()+record.Offset(it.OffsetDelta())] = key + "=" + value
			if newest[key] = value; it.Value() == nil {
				delete(newest, key)
			}
		}
	}
	return seen, newest
}

// However often a log is compacted, a reader finds the newest value of every
// key, nothing that was aborted, and every record at its offset; and a producer
// that comes back is known by its last batch.
func TestCompactionNeverChangesWhatAReaderKnowsOfAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, l, x := partitionlog.New(), &memoryLog{}, partitionlog.NewIndex()
		now, dirty := int64(0), record.Offset(0)
		type session struct {
			epoch int16
			seq   int32
			open  bool
		}
		producers, idempotent := map[int64]*session{1: {}, 2: {}, 3: {}}, map[int64]int32{}
		commit := func(b record.Batch) {
			e := l.add(b)
			s.Commit(e.Base, b, now)
			x.Add(e, now)
		}
		key := func() string { return fmt.Sprint("k", rapid.IntRange(0, 5).Draw(t, "key")) }
		pairs := func() (list []pair) {
			for range rapid.IntRange(1, 4).Draw(t, "records") {
				p := pair{key: []byte(key()), time: now}
				if rapid.IntRange(0, 3).Draw(t, "tombstone") > 0 {
					p.value = fmt.Append(nil, len(list), "@", l.next)
				}
				list = append(list, p)
			}
			return list
		}
		t.Repeat(map[string]func(*rapid.T){
			"plain": func(t *rapid.T) { commit(batchOf(nobody, pairs()...)) },
			"idempotent": func(t *rapid.T) {
				id := rapid.Int64Range(8, 9).Draw(t, "producer")
				records := pairs()
				commit(batchOf(from{id, 0, idempotent[id], false}, records...))
				idempotent[id] += int32(len(records))
			},
			"transactional": func(t *rapid.T) {
				id := rapid.Int64Range(1, 3).Draw(t, "producer")
				p := producers[id]
				records := pairs()
				commit(batchOf(from{id, p.epoch, p.seq, true}, records...))
				p.seq, p.open = p.seq+int32(len(records)), true
			},
			"marker": func(t *rapid.T) {
				id := rapid.Int64Range(1, 3).Draw(t, "producer")
				p := producers[id]
				if !p.open {
					return
				}
				p.epoch, p.seq, p.open = p.epoch+1, 0, false
				commit(partitionlog.AppendMarker(nil, id, p.epoch, partitionlog.Marker{Commit: rapid.Bool().Draw(t, "commit")}, now))
			},
			"time": func(t *rapid.T) { now += rapid.Int64Range(1, 3000).Draw(t, "ms") },
			"compact": func(t *rapid.T) {
				stable := s.LastStable(l.next)
				config := partitionlog.Compaction{MaxLag: partitionlog.Unlimited, SegmentBytes: 200, SegmentAge: time.Second, DeleteRetention: 2 * time.Second}
				r, ok, err := config.Plan(l, x, dirty, stable, l.next, now)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return
				}
				if r.To > stable || r.To >= l.next {
					t.Fatalf("%+v with stable %d and end %d", r, stable, l.next)
				}
				decided := slices.Clone(l.batches) // a reader gets no further than the last stable offset
				upTo := func(batches []record.Batch) []record.Batch {
					return slices.DeleteFunc(slices.Clone(batches), func(b record.Batch) bool { return b.BaseOffset() >= stable })
				}
				before, newest := readCommitted(upTo(decided), s.Aborted(0, stable))
				last := lastBatches(s, l)
				c := partitionlog.NewCleaner(0, s.Producers(), s.Aborted(r.From, r.To), config.DeleteRetention, now)
				if err := pass(c, l, r); err != nil {
					t.Fatal(err)
				}
				dirty = r.To
				s.DropAborted(c.Gone)
				if err := x.Recount(l, r.From, r.To); err != nil {
					t.Fatal(err)
				}
				after, newestAfter := readCommitted(upTo(l.batches), s.Aborted(0, stable))
				if !maps.Equal(newest, newestAfter) {
					t.Fatalf("newest values\n%v, were\n%v", newestAfter, newest)
				}
				for o, r := range after {
					if before[o] != r {
						t.Fatalf("offset %d: %q, was %q", o, r, before[o])
					}
				}
				if got := lastBatches(s, l); !maps.Equal(got, last) {
					t.Fatalf("last batches of producers: %v, were %v", got, last)
				}
				size := int64(0)
				for _, b := range l.batches {
					size += int64(len(b))
				}
				if x.Size() != size {
					t.Fatalf("the index counts %d bytes, there are %d", x.Size(), size)
				}
			},
		})
	})
}

// pass cleans the log in memory.
func pass(c *partitionlog.Cleaner, l *memoryLog, r partitionlog.Range) error {
	c.Begin(r.Dirty)
	for i, e := range l.entries {
		if e.Base >= r.Dirty && e.Last < r.To {
			if taken, err := c.Learn(l.batches[i]); err != nil || !taken {
				return fmt.Errorf("learn: taken %t: %w", taken, err)
			}
		}
	}
	c.Begin(r.From)
	entries, batches, base := l.entries, l.batches, record.Offset(-1)
	l.entries, l.batches = nil, nil
	for i, e := range entries {
		b := batches[i]
		if e.Last < r.To {
			out, err := c.Clean(b, e.Last+1 == r.To, nil)
			if err != nil {
				return err
			}
			if base < 0 {
				base = e.Base
			}
			if out == nil {
				continue
			}
			b, e.Base, e.Bytes, e.MaxTime, base = out, base, len(out), record.Batch(out).MaxTimestamp(), -1
			if err := b.Validate(); err != nil {
				return err
			}
		}
		l.entries, l.batches = append(l.entries, e), append(l.batches, b)
	}
	return nil
}

// lastBatches finds in the log the batch that carries the last sequence of each
// producer that has sent one with its epoch.
func lastBatches(s *partitionlog.State, l *memoryLog) map[int64]record.Offset {
	found := map[int64]record.Offset{}
	for _, p := range s.Producers() {
		for _, b := range l.batches {
			if n := len(p.Batches); n > 0 && b.ProducerID() == p.ID && b.BaseOffset() == p.Batches[n-1].Base {
				found[p.ID] = b.LastOffset()
			}
		}
	}
	return found
}
