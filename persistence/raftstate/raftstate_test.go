package raftstate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/raftstate"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) (*persistence.Store, *persistence.Log) {
	t.Helper()
	s, err := persistence.Open(dir, persistence.Options{Log: slog.New(slog.DiscardHandler), MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.OpenLog("r", persistence.LogOptions{Raft: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, l
}

// pair is our storage and the one that raft brings, given the same entries.
type pair struct {
	t      *testing.T
	store  *persistence.Store
	ours   *raftstate.State
	theirs *raft.MemoryStorage
	offset record.Offset
	index  uint64
}

func newPair(t *testing.T, dir string) *pair {
	store, log := open(t, dir)
	ours, err := raftstate.Open(store, log, []uint64{1})
	if err != nil {
		t.Fatal(err)
	}
	return &pair{t: t, store: store, ours: ours, theirs: raft.NewMemoryStorage()}
}

// entry makes the next entry: without records where records is 0.
func (p *pair) entry(term uint64, records, size int) *raftpb.Entry {
	p.index++
	index, kind := p.index, raftpb.EntryNormal
	e := &raftpb.Entry{Index: &index, Term: &term, Type: &kind}
	if records > 0 {
		var b record.Builder
		for i := range records {
			b.Add(nil, fmt.Appendf(nil, "%d %0*d", index, size, i))
		}
		e.Data = b.Batch()
		record.SetBaseOffset(e.Data, p.offset)
		p.offset += record.Offset(records)
	}
	return e
}

func counted(e *raftpb.Entry) (int, int64) {
	b := record.Batch(e.GetData())
	return int(b.LastOffsetDelta()) + 1, b.MaxTimestamp()
}

// store gives entries to both.
func (p *pair) append(entries ...*raftpb.Entry) {
	p.t.Helper()
	w := &persistence.Write{}
	p.ours.Append(w, entries, counted)
	p.do(w)
	p.ours.Stored(w, entries)
	if err := p.theirs.Append(entries); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) do(w *persistence.Write) {
	p.t.Helper()
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	p.store.Submit(w)
	if err := <-done; err != nil {
		p.t.Fatal(err)
	}
}

// compare asks both all there is to ask.
func (p *pair) compare() {
	p.t.Helper()
	first, _ := p.theirs.FirstIndex()
	last, _ := p.theirs.LastIndex()
	if got, err := p.ours.FirstIndex(); got != first || err != nil {
		p.t.Errorf("first index %d, %v; want %d", got, err, first)
	}
	if got, err := p.ours.LastIndex(); got != last || err != nil {
		p.t.Errorf("last index %d, %v; want %d", got, err, last)
	}
	for i := max(first, 2) - 2; i <= last+1; i++ {
		want, wantErr := p.theirs.Term(i)
		if got, err := p.ours.Term(i); got != want || err != wantErr {
			p.t.Errorf("term of %d: %d, %v; want %d, %v", i, got, err, want, wantErr)
		}
	}
	for lo := max(first, 2) - 1; lo <= last; lo++ {
		for hi := lo + 1; hi <= last+1; hi++ {
			for _, size := range []uint64{0, 200, 1 << 14, math.MaxUint64} {
				want, wantErr := p.theirs.Entries(lo, hi, size)
				got, err := p.ours.Entries(lo, hi, size)
				if err != wantErr || len(got) != len(want) {
					p.t.Fatalf("entries [%d, %d) of %d bytes: %d, %v; want %d, %v", lo, hi, size, len(got), err, len(want), wantErr)
				}
				for i := range got {
					if !proto.Equal(got[i], want[i]) {
						p.t.Fatalf("entry %d of [%d, %d) differs", i, lo, hi)
					}
				}
			}
		}
	}
}

func (p *pair) fill() {
	p.append(p.entry(1, 0, 0))
	p.append(p.entry(1, 3, 10), p.entry(1, 1, 10), p.entry(1, 5, 6000))
	p.append(p.entry(3, 0, 0))
	p.append(p.entry(3, 1, 20000), p.entry(3, 2, 10))
	p.append(p.entry(4, 0, 0), p.entry(5, 0, 0), p.entry(5, 7, 100))
}

// Raft gets the same answers as from its own storage in memory, whether an
// entry is still at hand or has to be read.
func TestAnswersAreThoseOfMemoryStorage(t *testing.T) {
	dir := t.TempDir()
	p := newPair(t, dir)
	p.compare()
	p.fill()
	p.compare()
	p.ours.Applied(6)
	p.compare()
	p.ours.Applied(p.index)
	p.compare()
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := newPair(t, dir)
	again.theirs, again.offset, again.index = p.theirs, p.offset, p.index
	again.compare()
	again.append(again.entry(6, 0, 0), again.entry(6, 2, 10))
	again.compare()
}

// What is given back is given back from the front, and stays so.
func TestCompactedEntriesAreGone(t *testing.T) {
	dir := t.TempDir()
	p := newPair(t, dir)
	p.fill()
	p.ours.Applied(p.index)
	for _, c := range []struct {
		to   record.Offset
		upTo uint64 // the last entry that goes
	}{{3, 2}, {4, 3}, {7, 3}, {9, 4}, {10, 6}, {p.offset, p.index}} {
		w := &persistence.Write{}
		if err := p.ours.Compact(w, c.to); err != nil {
			t.Fatal(err)
		}
		p.do(w)
		if first, _ := p.theirs.FirstIndex(); c.upTo >= first {
			if err := p.theirs.Compact(c.upTo); err != nil {
				t.Fatal(err)
			}
		}
		p.compare()
		if err := p.store.Close(); err != nil {
			t.Fatal(err)
		}
		again := newPair(t, dir)
		again.theirs, again.offset, again.index = p.theirs, p.offset, p.index
		p = again
		p.compare()
	}
	p.append(p.entry(7, 0, 0), p.entry(7, 1, 10))
	p.compare()
	if s, err := p.ours.Snapshot(); err != nil || s.GetMetadata().GetIndex() != p.index-2 || s.GetMetadata().GetTerm() != 5 {
		t.Errorf("snapshot %v, %v", s, err)
	}
}

func TestHardStateAndMembersAreKept(t *testing.T) {
	dir := t.TempDir()
	p := newPair(t, dir)
	p.append(p.entry(1, 0, 0), p.entry(1, 1, 10))
	term, vote, commit := uint64(4), uint64(1), uint64(2)
	w := &persistence.Write{}
	if err := errors.Join(
		p.ours.SetHard(w, &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}),
		p.ours.SetConf(w, &raftpb.ConfState{Voters: []uint64{1, 2, 3}}),
	); err != nil {
		t.Fatal(err)
	}
	p.do(w)
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	p = newPair(t, dir)
	h, c, err := p.ours.InitialState()
	if err != nil || h.GetTerm() != 4 || h.GetVote() != 1 || h.GetCommit() != 2 || len(c.GetVoters()) != 3 || p.ours.Alone() {
		t.Errorf("got %v, %v, %v", h, c, err)
	}
}

// An entry of a higher term than the hard state knows was replayed from behind
// the last transaction: the vote of that term is not known.
func TestAReplayedEntryRaisesTheTerm(t *testing.T) {
	dir := t.TempDir()
	p := newPair(t, dir)
	term, vote, commit := uint64(1), uint64(1), uint64(99)
	w := &persistence.Write{}
	if err := p.ours.SetHard(w, &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}); err != nil {
		t.Fatal(err)
	}
	if err := p.ours.SetConf(w, &raftpb.ConfState{Voters: []uint64{1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	p.do(w)
	p.append(p.entry(1, 0, 0), p.entry(2, 0, 0), p.entry(2, 1, 1))
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	h, _, _ := newPair(t, dir).ours.InitialState()
	if h.GetTerm() != 2 || h.GetVote() != 0 || h.GetCommit() != 3 {
		t.Errorf("got %v, want term 2, no vote, commit 3: there are 3 entries", h)
	}
}
