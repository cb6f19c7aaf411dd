package persistence_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// raftLog appends entries to a raft log with rising indexes.
type raftLog struct {
	t     testing.TB
	s     *persistence.Store
	l     *persistence.Log
	index uint64
	term  uint64
	n     int
}

func openRaft(t testing.TB, s *persistence.Store, flush persistence.Policy) *raftLog {
	t.Helper()
	l := openLog(t, s, "r", persistence.LogOptions{Flush: flush, Raft: true})
	last := l.LastEntry()
	return &raftLog{t: t, s: s, l: l, index: last.Index, term: last.Term}
}

// lead begins a term.
func (r *raftLog) lead() {
	r.t.Helper()
	r.term++
	r.index++
	submit(r.t, r.s, &persistence.Write{
		Each:    true,
		Appends: []persistence.Append{{Log: r.l, Index: r.index, Term: r.term}},
		Sets:    []persistence.KV{{Key: r.l.StateKey(persistence.KeyHardState), Value: []byte{byte(r.term)}}},
	})
}

// put appends batches in one write.
func (r *raftLog) put(sizes ...int) {
	r.t.Helper()
	w := &persistence.Write{Each: true}
	for _, size := range sizes {
		r.index++
		w.Appends = append(w.Appends, persistence.Append{Log: r.l, Index: r.index, Term: r.term, Count: 1, Payload: batch(r.n, size)})
		r.n++
	}
	submit(r.t, r.s, w)
}

// listing is all that a raft log holds: index/term of every entry, in order.
func listing(t testing.TB, l *persistence.Log) (all []string) {
	t.Helper()
	type entry struct {
		persistence.Entry
		what string
	}
	var found []entry
	if err := l.Entries(0, func(e persistence.Entry) bool { found = append(found, entry{e, "batch"}); return true }); err != nil {
		t.Fatal(err)
	}
	if err := l.Recordless(func(e persistence.Entry) error { found = append(found, entry{e, "none"}); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b entry) int { return int(a.Index) - int(b.Index) })
	for _, e := range found {
		all = append(all, fmt.Sprintf("%d/%d@%d %s", e.Index, e.Term, e.Base, e.what))
	}
	return all
}

var raftPolicies = []persistence.Policy{persistence.Always, persistence.Interval(time.Hour)}

func TestARaftLogKeepsIndexesAndTermsAndEntriesWithoutRecords(t *testing.T) {
	for _, flush := range raftPolicies {
		for _, end := range []string{"closed", "killed"} {
			t.Run(flush.String()+" "+end, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir)
				r := openRaft(t, s, flush)
				r.lead()
				r.put(small, 20<<10, small)
				r.lead()
				r.put(60<<10, small)
				want := []string{"1/1@0 none", "2/1@0 batch", "3/1@1 batch", "4/1@2 batch", "5/2@3 none", "6/2@3 batch", "7/2@4 batch"}
				if end == "killed" {
					crashed := t.TempDir()
					copyTree(t, dir, crashed)
					closeStore(t, s)
					dir = crashed
				} else {
					closeStore(t, s)
				}
				s = open(t, dir)
				defer func() { closeStore(t, s) }()
				r = openRaft(t, s, flush)
				if got := listing(t, r.l); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				if r.index != 7 || r.term != 2 || r.l.Next() != 5 {
					t.Errorf("last entry %d of term %d, next %d", r.index, r.term, r.l.Next())
				}
				if v, ok, err := s.Get(r.l.StateKey(persistence.KeyHardState)); err != nil || !ok || v[0] != 2 {
					t.Errorf("hard state %v, %v, %v", v, ok, err)
				}
				r.put(small)
				if got := listing(t, r.l); got[len(got)-1] != "8/2@5 batch" {
					t.Errorf("the next is %s", got[len(got)-1])
				}
			})
		}
	}
}

// Whole batches, from wherever they lie: entries, segments, and what is not in
// Badger yet.
func TestReadBatchesReadsAcrossEntriesAndSegments(t *testing.T) {
	for _, flush := range raftPolicies {
		t.Run(flush.String(), func(t *testing.T) {
			s := open(t, t.TempDir(), func(o *persistence.Options) { o.SegmentBytes = 200 << 10 })
			defer closeStore(t, s)
			r := openRaft(t, s, flush)
			r.lead()
			sizes := []int{small, 20 << 10, 30 << 10, small, small, 90 << 10, 70 << 10, 60 << 10, small}
			for _, size := range sizes {
				r.put(size)
			}
			total := 0
			for from := range sizes {
				want := []byte{}
				for n := from; n < len(sizes); n++ {
					b := batch(n, sizes[n])
					copy(b, stamp(n))
					want = append(want, b...)
				}
				got, err := r.l.ReadBatches(record.Offset(from), record.Offset(len(sizes)), 1<<20, nil)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("from %d: %d bytes, %v; want %d", from, len(got), err, len(want))
				}
				got, err = r.l.ReadBatches(record.Offset(from), record.Offset(len(sizes)), 1, nil)
				if err != nil || len(got) != sizes[from] {
					t.Errorf("the first from %d: %d bytes, %v; want %d", from, len(got), err, sizes[from])
				}
				total += len(want)
			}
			if got, err := r.l.ReadBatches(2, 5, 1<<20, []byte("head")); err != nil || len(got) != 4+sizes[2]+sizes[3]+sizes[4] || string(got[:4]) != "head" {
				t.Errorf("behind a head, to 5: %d bytes, %v", len(got), err)
			}
			submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: r.l, To: 3}}})
			if _, err := r.l.ReadBatches(2, 5, 1<<20, nil); !errors.Is(err, persistence.ErrTrimmed) {
				t.Errorf("below the start: %v", err)
			}
		})
	}
}

func stamp(n int) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, byte(n)} }

// A payload that changed on the disk is damage, and the batches before it are
// brought all the same.
func TestReadBatchesNamesDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer closeStore(t, s)
	r := openRaft(t, s, persistence.Always)
	r.lead()
	r.put(20<<10, 20<<10, 20<<10)
	path := dir + "/segments/00000001/00000001.seg"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipAt(t, path, bytes.Index(raw, batch(1, 20<<10)[8:100]))
	got, err := r.l.ReadBatches(0, 3, 1<<20, nil)
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) || d.Doubts[0].First != 1 || d.Doubts[0].Next != 2 {
		t.Fatalf("got %v", err)
	}
	if len(got) != 20<<10 {
		t.Errorf("%d bytes before the damage, want %d", len(got), 20<<10)
	}
}

func flipAt(t *testing.T, path string, at int) {
	t.Helper()
	if at < 0 {
		t.Fatal("nothing to flip")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
}

// Nothing of raft may go on from entries of which some are missing.
func TestARepairedRaftLogBeginsAnewBehindAllItsEntries(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := openRaft(t, s, persistence.Always)
	r.lead()
	for _, size := range []int{20 << 10, small, 20 << 10, small} {
		r.put(size)
	}
	closeStore(t, s)
	// Badger is gone: what lay in it is lost, the segments remain.
	if err := os.RemoveAll(dir + "/badger"); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir); err == nil {
		t.Fatal("opened without Badger")
	}
	if _, err := persistence.Repair(dir, true, persistence.Options{Log: quiet, MinFree: 1 << 20, Fatal: func(error) {}}); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer closeStore(t, s)
	l := openLog(t, s, "r", persistence.LogOptions{Raft: true})
	m, err := l.Mark()
	if err != nil || m.Index < 5 || l.LastEntry() != m.EntryID || m.Term != 1 {
		t.Errorf("mark %+v, last entry %+v, %v", m, l.LastEntry(), err)
	}
	if got, err := l.ReadBatches(0, l.Next(), 1<<20, nil); err != nil || len(got) != 40<<10 {
		t.Errorf("read %d bytes, %v; want the two in segments", len(got), err)
	}
}

func TestADeletedLogLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := openRaft(t, s, persistence.Always)
	r.lead()
	r.put(small, 20<<10)
	key := r.l.StateKey(persistence.KeyHardState)
	if err := s.DeleteLog("r"); err != nil {
		t.Fatal(err)
	}
	if err := try(s, &persistence.Write{Appends: []persistence.Append{{Log: r.l, Index: 4, Term: 1, Count: 1, Payload: batch(9, small)}}}); !errors.Is(err, persistence.ErrDeleted) {
		t.Errorf("an append to it: %v", err)
	}
	for gone := false; !gone; {
		_, ok, err := s.Get(key)
		_, statErr := os.Stat(dir + "/segments/00000001")
		if err != nil {
			t.Fatal(err)
		}
		gone = !ok && os.IsNotExist(statErr)
		select {
		case <-t.Context().Done():
			t.Fatal("its keys or segments are still there")
		case <-time.After(5 * time.Millisecond):
		}
	}
	again := openRaft(t, s, persistence.Always)
	if again.index != 0 || again.l.Next() != 0 {
		t.Errorf("one of the same name begins with entry %d at %d", again.index, again.l.Next())
	}
	closeStore(t, s)
	s = open(t, dir)
	defer closeStore(t, s)
	if got := openRaft(t, s, persistence.Always); got.index != 0 {
		t.Errorf("after a restart it has entry %d", got.index)
	}
}

// A missing key is damage, not absence: also that of an entry without records.
func TestAMissingEntryOfARaftLogIsFoundAfterAKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := openRaft(t, s, persistence.Always)
	r.lead()
	r.put(small)
	r.lead()
	r.put(small)
	var second persistence.Entry
	if err := r.l.Recordless(func(e persistence.Entry) error { second = e; return nil }); err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	copyTree(t, dir, whole)
	submit(t, s, &persistence.Write{Deletes: [][]byte{r.l.ForgetRecordless(second)}})
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	closeStore(t, open(t, whole))
	_, err := tryOpen(t, crashed)
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) || d.Doubts[0].Log != "r" {
		t.Fatalf("opened without entry 3: %v", err)
	}
}
