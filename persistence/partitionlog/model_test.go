package partitionlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
	"pgregory.net/rapid"
)

// naive is a partition that keeps everything and looks through all of it.
type naive struct {
	batches []naiveBatch // committed, then proposed
	done    int          // committed ones
	next    record.Offset
	forgot  bool
	dropped map[int64]int // batches of a forgotten producer do not count
}

type naiveBatch struct {
	from
	count       int32
	base        record.Offset
	control     bool
	commit      bool
	coordinator int32
}

func (m *naive) of(id int64) (list []naiveBatch) {
	for i, b := range m.batches {
		if b.id == id && i >= m.dropped[id] {
			list = append(list, b)
		}
	}
	return list
}

// state folds the batches of a producer.
func (m *naive) state(id int64) (known bool, epoch int16, coordinator int32, sequences []naiveBatch, open record.Offset) {
	epoch, coordinator, open = -1, -1, -1
	for _, b := range m.of(id) {
		known = true
		if b.epoch > epoch {
			epoch, sequences = b.epoch, nil
		}
		switch {
		case b.control:
			open, coordinator = -1, max(coordinator, b.coordinator)
			continue
		case b.seq >= 0:
			sequences = append(sequences, b)
		}
		if b.txn && open < 0 {
			open = b.base
		}
	}
	if n := len(sequences); n > 5 {
		sequences = sequences[n-5:]
	}
	return known, epoch, coordinator, sequences, open
}

// check says what should be answered: "ok", "dup N", or the error.
func (m *naive) check(b naiveBatch) string {
	known, epoch, coordinator, sequences, open := m.state(b.id)
	if b.control {
		switch {
		case known && b.epoch <= epoch:
			return partitionlog.ErrFenced.Error()
		case known && b.coordinator < coordinator:
			return partitionlog.ErrCoordinatorFenced.Error()
		}
		return "ok"
	}
	if !known {
		switch {
		case b.seq == 0 || !b.txn:
			return "ok"
		case m.forgot:
			return partitionlog.ErrUnknownProducer.Error()
		}
		return partitionlog.ErrOutOfOrder.Error()
	}
	last := int64(-1)
	for _, s := range sequences {
		if b.epoch == epoch && s.seq == b.seq && s.count == b.count {
			return fmt.Sprint("dup ", s.base)
		}
		last = (int64(s.seq) + int64(s.count) - 1) % (1 << 31)
	}
	switch {
	case b.epoch < epoch:
		return partitionlog.ErrFenced.Error()
	case b.epoch > epoch && b.seq != 0, b.epoch == epoch && int64(b.seq) != (last+1)%(1<<31):
		return partitionlog.ErrOutOfOrder.Error()
	case open >= 0 && (!b.txn || b.epoch != epoch):
		return partitionlog.ErrTxnState.Error()
	}
	return "ok"
}

func (m *naive) add(b naiveBatch) {
	m.batches, m.next = append(m.batches, b), b.base+record.Offset(b.count)
}

// stable is the first offset of a committed batch whose transaction has no
// committed marker.
func (m *naive) stable(hw record.Offset) record.Offset {
	for i, b := range m.batches[:m.done] {
		if b.txn && !b.control && m.marker(i) < 0 {
			return b.base
		}
	}
	return hw
}

// marker finds the committed marker of the transaction of batch i.
func (m *naive) marker(i int) int {
	for j := i + 1; j < m.done; j++ {
		if c := m.batches[j]; c.control && c.id == m.batches[i].id {
			return j
		}
	}
	return -1
}

func (m *naive) hw() record.Offset {
	if m.done == 0 {
		return 0
	}
	b := m.batches[m.done-1]
	return b.base + record.Offset(b.count)
}

// Whatever producers, coordinators and leaders do, the state answers what a
// look through the whole history would.
func TestTheStateAnswersAsAWalkOverAllBatchesWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := partitionlog.New()
		m := &naive{dropped: map[int64]int{}}
		var bytes []record.Batch // as in m
		now := int64(0)
		judge := func(b naiveBatch, batch record.Batch, origin partitionlog.Origin) {
			want := m.check(b)
			dup, err := s.Check(batch, origin, 0)
			got := "ok"
			switch {
			case err != nil:
				got = cause(err)
			case dup != nil:
				got = fmt.Sprint("dup ", dup.Base)
			}
			if got != want {
				t.Fatalf("%+v: got %s, want %s", b, got, want)
			}
			if got == "ok" {
				s.Propose(b.base, batch, now)
				m.add(b)
				bytes = append(bytes, batch)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"client": func(t *rapid.T) {
				b := naiveBatch{base: m.next, count: rapid.Int32Range(1, 3).Draw(t, "count")}
				b.id = rapid.Int64Range(1, 3).Draw(t, "producer")
				b.txn = rapid.Bool().Draw(t, "transactional")
				_, epoch, _, sequences, open := m.state(b.id)
				b.epoch = max(0, epoch+int16(rapid.IntRange(-1, 1).Draw(t, "epoch")))
				if n := len(sequences); n > 0 && rapid.IntRange(0, 3).Draw(t, "how") > 0 {
					b.epoch = epoch
					b.seq = int32((int64(sequences[n-1].seq) + int64(sequences[n-1].count)) % (1 << 31))
					b.txn = open >= 0 || b.txn
				} else if n > 0 && rapid.Bool().Draw(t, "repeat") {
					again := sequences[rapid.IntRange(0, n-1).Draw(t, "which")]
					b.epoch, b.seq, b.count = again.epoch, again.seq, again.count
				} else {
					b.seq = rapid.SampledFrom([]int32{0, 0, 1, 5, 1<<31 - 2}).Draw(t, "sequence")
				}
				judge(b, numbered(b.from, int(b.count), now), partitionlog.Client)
			},
			"marker": func(t *rapid.T) {
				b := naiveBatch{base: m.next, count: 1, control: true, commit: rapid.Bool().Draw(t, "commit"), coordinator: rapid.Int32Range(0, 2).Draw(t, "coordinator")}
				b.id = rapid.Int64Range(1, 3).Draw(t, "producer")
				_, epoch, _, _, _ := m.state(b.id)
				b.epoch = max(0, epoch+int16(rapid.IntRange(0, 1).Draw(t, "epoch")))
				judge(b, partitionlog.AppendMarker(nil, b.id, b.epoch, partitionlog.Marker{Commit: b.commit, CoordinatorEpoch: b.coordinator}, now), partitionlog.Coordinator)
			},
			"commit": func(t *rapid.T) {
				for n := rapid.IntRange(0, len(m.batches)-m.done).Draw(t, "batches"); n > 0; n-- {
					s.Commit(m.batches[m.done].base, bytes[m.done], now)
					m.done++
				}
			},
			"another leader": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
					return
				}
				s.DropProposed()
				m.batches, bytes, m.next = m.batches[:m.done], bytes[:m.done], m.hw()
			},
			"restart": func(t *rapid.T) {
				next, err := partitionlog.Decode(s.Append(nil))
				if err != nil {
					t.Fatal(err)
				}
				for i, b := range m.batches[m.done:] {
					next.Propose(b.base, bytes[m.done+i], now)
				}
				s = next
			},
			"expiry": func(t *rapid.T) {
				now += 10
				if rapid.IntRange(0, 5).Draw(t, "seldom") > 0 {
					return
				}
				for id := int64(1); id <= 3; id++ {
					list := m.of(id)
					_, _, _, _, open := m.state(id)
					if len(list) > 0 && open < 0 && m.committedOnly(id) {
						m.dropped[id], m.forgot = m.done, true
					}
				}
				s.Expire(now+1e9, time.Second)
			},
			"": func(t *rapid.T) {
				if got, want := s.LastStable(m.hw()), m.stable(m.hw()); got != want {
					t.Fatalf("last stable offset %d, want %d", got, want)
				}
				if m.done > 0 && s.Next() != m.hw() {
					t.Fatalf("next %d, want %d", s.Next(), m.hw())
				}
				checkAborted(t, s, m)
			},
		})
	})
}

// committedOnly says that nothing of the producer is on its way.
func (m *naive) committedOnly(id int64) bool {
	for _, b := range m.batches[m.done:] {
		if b.id == id {
			return false
		}
	}
	return true
}

// checkAborted asks for a range and compares with every aborted transaction.
func checkAborted(t *rapid.T, s *partitionlog.State, m *naive) {
	from := record.Offset(rapid.Int64Range(0, int64(m.hw())+1).Draw(t, "from"))
	to := from + record.Offset(rapid.Int64Range(1, 20).Draw(t, "length"))
	want := map[string]bool{}
	begun := map[int64]record.Offset{}
	for i, b := range m.batches[:m.done] {
		first, open := begun[b.id]
		switch {
		case b.control && open:
			delete(begun, b.id)
			if !b.commit && first < to && b.base >= from {
				want[fmt.Sprint(b.id, " ", first)] = true
			}
		case b.txn && !b.control && !open:
			begun[b.id] = m.batches[i].base
		}
	}
	got := s.Aborted(from, to)
	for _, a := range got {
		if key := fmt.Sprint(a.Producer, " ", a.First); !want[key] {
			t.Fatalf("[%d, %d): %+v does not overlap, or was not aborted", from, to, a)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("[%d, %d): %d aborted transactions, want %v", from, to, len(got), want)
	}
}

// cause is the variable that err wraps.
func cause(err error) string {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err.Error()
		}
		err = inner.Unwrap()
	}
}
