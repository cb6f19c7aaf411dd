package channelstate_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// model is a channel as a plain table: where each position is.
type model struct {
	state  map[record.Offset]byte // 'r' ready, 'l' leased, 's' settled
	next   record.Offset
	stored []channelstate.Stored
	leases map[uint64][]record.Offset
}

func (m *model) count(state byte) int {
	n := 0
	for _, s := range m.state {
		if s == state {
			n++
		}
	}
	return n
}

// first is the lowest position that is not settled.
func (m *model) first() record.Offset {
	first := m.next
	for at, s := range m.state {
		if s != 's' {
			first = min(first, at)
		}
	}
	return first
}

// slabs are all the batches of a test; at its end nobody may hold one.
type slabs []*record.Slab

func (s *slabs) of(n int) *record.Slab {
	slab := record.NewSlab(64)
	for range n {
		slab.Append([]byte("x"))
	}
	slab.Retain() // the test's own
	*s = append(*s, slab)
	return slab
}

// balanced fails unless the test's reference is the last of each slab.
func (s slabs) balanced(t interface{ Fatalf(string, ...any) }) {
	for i, slab := range s {
		if n := references(slab); n != 1 {
			t.Fatalf("slab %d of %d has %d references left, want the test's alone", i, len(s), n)
		}
	}
}

// references counts by giving back until one more would be too many.
func references(s *record.Slab) (n int) {
	defer func() {
		if recover() != nil {
			n-- // the one that was too many
		}
	}()
	for {
		n++
		s.Release()
		if s.Len() == 0 {
			return n
		}
	}
}

// Whatever happens, every position is ready, leased or settled, as in a plain
// table, and a channel built anew from its cursor offers what was not settled.
func TestTheQueueIsAPlainTableOfPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := new(slabs)
		q := channelstate.New(0)
		m := &model{state: map[record.Offset]byte{}, leases: map[uint64][]record.Offset{}}
		lease := func(t *rapid.T) uint64 {
			ids := make([]uint64, 0, len(m.leases))
			for id := range m.leases {
				ids = append(ids, id)
			}
			if len(ids) == 0 {
				t.Skip("no lease is out")
			}
			slices.Sort(ids)
			return rapid.SampledFrom(ids).Draw(t, "lease")
		}
		back := func(ids ...uint64) {
			for _, id := range ids {
				for _, at := range m.leases[id] {
					m.state[at] = 'r'
				}
				delete(m.leases, id)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				base := m.next + record.Offset(rapid.SampledFrom([]int{0, 0, 0, 1, 5}).Draw(t, "gap"))
				n := rapid.IntRange(1, 9).Draw(t, "records")
				last := base + record.Offset(n) - 1
				c := channelstate.Chunk{Base: base, Count: n, Last: last, Time: int64(base) + 1}
				if rapid.Bool().Draw(t, "in memory") {
					c.Slab = all.of(n)
				}
				q.Store(c)
				for at := base; at <= last; at++ {
					m.state[at] = 'r'
				}
				m.next = last + 1
				m.stored = append(m.stored, channelstate.Stored{Base: base, Last: last, Time: c.Time})
			},
			"take": func(t *rapid.T) {
				limit := rapid.IntRange(0, 12).Draw(t, "max")
				l := q.Take(limit, rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "sink"))
				if l == nil {
					if limit > 0 && m.count('r') > 0 {
						t.Fatalf("nothing to take while %d are ready", m.count('r'))
					}
					return
				}
				if l.Len() == 0 || l.Len() > limit {
					t.Fatalf("a take of at most %d brought %d", limit, l.Len())
				}
				for _, c := range l.Chunks {
					for i := range c.Count {
						at := c.Base + record.Offset(i)
						if m.state[at] != 'r' {
							t.Fatalf("position %d is %q and was handed out", at, m.state[at])
						}
						m.state[at] = 'l'
						m.leases[l.ID] = append(m.leases[l.ID], at)
					}
					b := m.stored[slices.IndexFunc(m.stored, func(b channelstate.Stored) bool { return b.Last == c.Last })]
					if c.Base-b.Base != record.Offset(c.First) {
						t.Fatalf("position %d is record %d of the batch at %d, the chunk says %d", c.Base, c.Base-b.Base, b.Base, c.First)
					}
				}
				if !slices.IsSorted(m.leases[l.ID]) {
					t.Fatalf("a lease out of order: %v", m.leases[l.ID])
				}
			},
			"rollback": func(t *rapid.T) {
				id := lease(t)
				q.Rollback(id)
				back(id)
			},
			"abandon": func(t *rapid.T) {
				holder := rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "sink")
				for id := range m.leases {
					if l, _ := q.Lease(id); holder == "" || l.Holder == holder {
						back(id)
					}
				}
				q.RollbackAll(holder)
			},
			"settle": func(t *rapid.T) {
				id := lease(t)
				if n := q.Settle(id); n != len(m.leases[id]) {
					t.Fatalf("settled %d of a lease of %d", n, len(m.leases[id]))
				}
				for _, at := range m.leases[id] {
					m.state[at] = 's'
				}
				delete(m.leases, id)
				if q.Settle(id) != 0 {
					t.Fatalf("lease %d was settled twice", id)
				}
			},
			"restart": func(t *rapid.T) {
				first, settled, err := channelstate.ParseCursor(q.AppendCursor(nil))
				if err != nil {
					t.Fatalf("read the cursor just written: %v", err)
				}
				next := q.Next()
				q.Release()
				all.balanced(t)
				*all = nil
				// The log may still have batches below the cursor, or not.
				batches := m.stored
				if rapid.Bool().Draw(t, "trimmed") {
					batches = slices.DeleteFunc(slices.Clone(batches), func(b channelstate.Stored) bool { return b.Last < first })
				}
				q = channelstate.Restore(first, next, settled, batches)
				for id := range m.leases {
					back(id)
				}
			},
			"": func(t *rapid.T) {
				if got, want := q.Ready(), m.count('r'); got != want {
					t.Fatalf("%d ready, want %d", got, want)
				}
				if got, want := q.Held(), m.count('r')+m.count('l'); got != want {
					t.Fatalf("%d held, want %d", got, want)
				}
				if q.Next() != m.next || q.First() != m.first() {
					t.Fatalf("positions [%d, %d), want [%d, %d)", q.First(), q.Next(), m.first(), m.next)
				}
			},
		})
		q.Release()
		all.balanced(t)
	})
}

// A sink that writes a file again must find the same records in the same
// lease, or what it wrote cannot be told from what it did not.
func TestALeaseIsCutAlikeWhenItIsOfferedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := channelstate.New(0)
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 7), 1, 12).Draw(t, "batches") {
			q.Store(channelstate.Chunk{Base: q.Next(), Count: n, Last: q.Next() + record.Offset(n) - 1})
		}
		size := rapid.IntRange(1, 9).Draw(t, "size")
		cut := func(l *channelstate.Lease) string {
			return fmt.Sprint(l.Chunks[0].Base, l.Len(), l.Chunks)
		}
		var before []string
		var ids []uint64
		for l := q.Take(size, "k1"); l != nil; l = q.Take(size, "k1") {
			before, ids = append(before, cut(l)), append(ids, l.ID)
		}
		for _, i := range rapid.Permutation(ids).Draw(t, "order") {
			q.Rollback(i)
		}
		for i, want := range before {
			if l := q.Take(size, "k2"); l == nil || cut(l) != want {
				t.Fatalf("lease %d came again as %v, was %v", i, l, want)
			}
		}
	})
}

func TestALeaseLargerThanWhatIsAskedForIsCutWithoutAGap(t *testing.T) {
	q := channelstate.New(0)
	q.Store(channelstate.Chunk{Base: 0, Count: 4, Last: 3})
	q.Store(channelstate.Chunk{Base: 4, Count: 4, Last: 7})
	l := q.Take(8, "k1")
	q.Rollback(l.ID)
	var got []record.Offset
	for l := q.Take(3, "k1"); l != nil; l = q.Take(3, "k1") {
		for _, c := range l.Chunks {
			for i := range c.Count {
				got = append(got, c.Base+record.Offset(i))
			}
		}
	}
	if fmt.Sprint(got) != "[0 1 2 3 4 5 6 7]" {
		t.Errorf("8 records by threes: got %v", got)
	}
}

func TestTheOldestRecordIsFoundWhereverItIs(t *testing.T) {
	q := channelstate.New(0)
	if got := q.OldestTime(); got != 0 {
		t.Errorf("an empty channel has a record of %d", got)
	}
	q.Store(channelstate.Chunk{Base: 0, Count: 1, Last: 0, Time: 50})
	q.Store(channelstate.Chunk{Base: 1, Count: 1, Last: 1, Time: 60})
	for _, step := range []struct {
		what string
		do   func()
		want int64
	}{
		{"ready", func() {}, 50},
		{"leased", func() { q.Take(1, "k1") }, 50},
		{"rolled back", func() { q.RollbackAll("k1") }, 50},
		{"settled", func() { q.Settle(q.Take(1, "k1").ID) }, 60},
	} {
		if step.do(); q.OldestTime() != step.want {
			t.Errorf("%s: oldest is of %d, want %d", step.what, q.OldestTime(), step.want)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	q := channelstate.New(7)
	f.Add(q.AppendCursor(nil))
	for i := range 5 {
		q.Store(channelstate.Chunk{Base: record.Offset(7 + 3*i), Count: 2, Last: record.Offset(8 + 3*i)})
	}
	for i := range 5 {
		if l := q.Take(2, "k1"); i%2 == 1 {
			q.Settle(l.ID)
		}
	}
	f.Add(q.AppendCursor(nil))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Add([]byte{1, 0, 2, 1, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, settled, err := channelstate.ParseCursor(b)
		if err != nil {
			if !errors.Is(err, channelstate.ErrCursor) {
				t.Fatalf("a malformed cursor is answered with %v", err)
			}
			return
		}
		at := first
		if at < 0 {
			t.Fatalf("a cursor of %d", at)
		}
		for _, r := range settled {
			if r.From <= at || r.To <= r.From {
				t.Fatalf("from %d: ranges %v", first, settled)
			}
			at = r.To
		}
		again, ranges, err := channelstate.ParseCursor(channelstate.Restore(first, at, settled, between(first, settled)).AppendCursor(nil))
		if err != nil || again != first || !slices.Equal(ranges, settled) {
			t.Fatalf("written again: %d %v, %v; want %d %v", again, ranges, err, first, settled)
		}
	})
}

// between is a log with one batch for each gap between the settled ranges.
func between(first record.Offset, settled []channelstate.Range) []channelstate.Stored {
	var batches []channelstate.Stored
	at := first
	for _, r := range settled {
		batches = append(batches, channelstate.Stored{Base: at, Last: r.From - 1})
		at = r.To
	}
	return batches
}
