package replica_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluicehq/sluice/actors/replica"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

var quiet = slog.New(slog.DiscardHandler)

// owner drives a member as its actor would.
type owner struct {
	t      testing.TB
	id     uint64
	dir    string
	voters []uint64
	flush  persistence.Policy
	store  *persistence.Store
	log    *persistence.Log
	member *replica.Member
	stored chan *replica.Write
	out    int // writes that the store has

	writes    int
	committed []string
	next      record.Offset
	sent      []*raftpb.Message
}

func newOwner(t testing.TB, id uint64, dir string, flush persistence.Policy, voters ...uint64) *owner {
	t.Helper()
	o := &owner{t: t, id: id, dir: dir, voters: voters, flush: flush}
	o.open()
	t.Cleanup(func() { o.store.Close() })
	return o
}

func (o *owner) open() {
	o.t.Helper()
	var err error
	o.store, err = persistence.Open(o.dir, persistence.Options{Log: quiet, MinFree: 1 << 20, SkipChild: true, Fatal: func(err error) { o.t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		o.t.Fatal(err)
	}
	if o.log, err = o.store.OpenLog("r", persistence.LogOptions{Flush: o.flush, Raft: true}); err != nil {
		o.t.Fatal(err)
	}
	o.stored, o.out, o.committed = make(chan *replica.Write, 1000), 0, nil
	o.member, err = replica.Open(replica.Config{
		ID: o.id, Voters: o.voters, Store: o.store, Log: o.log, Records: replica.RecordsOfBatch, Logger: quiet,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.next = o.log.Next()
	o.turn()
}

// turn carries out what the member wants now.
func (o *owner) turn() {
	o.t.Helper()
	out, err := o.member.Turn()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, w := range out.Writes {
		o.writes++
		o.out++
		w.Done = func(err error) {
			if err != nil {
				o.t.Error(err)
			}
			o.stored <- w
		}
		o.store.Submit(&w.Write)
	}
	o.sent = append(o.sent, out.Messages...)
	o.member.Sent()
	for _, e := range out.Committed {
		if b := record.Batch(e.GetData()); e.GetType() == raftpb.EntryNormal && len(b) > 0 {
			payload, _, err := b.Payload(record.DefaultLimits)
			if err != nil {
				o.t.Fatal(err)
			}
			it := record.Iterate(payload, b.Count())
			it.Next()
			o.committed = append(o.committed, fmt.Sprintf("%d %s", b.BaseOffset(), it.Value()))
			o.next = max(o.next, b.LastOffset()+1)
		}
	}
	if n := len(out.Committed); n > 0 {
		o.member.Applied(out.Committed[n-1].GetIndex())
	}
}

// settle waits for the store until nothing is on its way.
func (o *owner) settle() {
	o.t.Helper()
	for o.out > 0 {
		o.member.Stored(<-o.stored)
		o.out--
		o.turn()
	}
}

func batch(at record.Offset, value string) record.Batch {
	var b record.Builder
	b.Add(nil, []byte(value))
	out := b.Batch()
	record.SetBaseOffset(out, at)
	return out
}

func (o *owner) propose(values ...string) {
	o.t.Helper()
	var data [][]byte
	for i, v := range values {
		data = append(data, batch(o.next+record.Offset(i), v))
	}
	if err := o.member.Propose(data...); err != nil {
		o.t.Fatal(err)
	}
	o.next += record.Offset(len(values))
	o.turn()
}

func TestTheOnlyMemberLeadsAtOnce(t *testing.T) {
	o := newOwner(t, 1, t.TempDir(), persistence.Always, 1)
	if !o.member.Leading() || o.member.Term() != 1 || !o.member.Alone() {
		t.Errorf("leading %v in term %d, before anything was stored", o.member.Leading(), o.member.Term())
	}
	if o.writes != 1 {
		t.Errorf("%d writes to begin, want 1: the term goes with the first entry", o.writes)
	}
	o.settle()
	o.propose("a", "b")
	o.propose("c") // while the others are on their way
	o.settle()
	want := []string{"0 a", "1 b", "2 c"}
	if !slices.Equal(o.committed, want) {
		t.Errorf("committed %q, want %q", o.committed, want)
	}
	if o.writes != 3 || !o.member.Idle() {
		t.Errorf("%d writes, want 3: a commit alone is none", o.writes)
	}
	o.store.Close()
	o.open()
	o.settle()
	if !o.member.Leading() || o.member.Term() != 2 {
		t.Errorf("opened again: leading %v in term %d, want 2", o.member.Leading(), o.member.Term())
	}
	if !slices.Equal(o.committed, want) {
		t.Errorf("opened again: %q come out, want %q", o.committed, want)
	}
}

// Batches are large, and raft copies what it is given.
func TestProposalsAreNotCopied(t *testing.T) {
	o := newOwner(t, 1, t.TempDir(), persistence.Always, 1)
	o.settle()
	b := batch(0, "a")
	if err := o.member.Propose(b); err != nil {
		t.Fatal(err)
	}
	out, err := o.member.Turn()
	if err != nil || len(out.Writes) != 1 || &out.Writes[0].Appends[0].Payload[0] != &b[0] {
		t.Fatalf("%d writes, %v: not the bytes that were proposed", len(out.Writes), err)
	}
	w := out.Writes[0]
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	o.store.Submit(&w.Write)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	o.member.Stored(w)
	out, err = o.member.Turn()
	if err != nil || len(out.Committed) != 1 || &out.Committed[0].Data[0] != &b[0] {
		t.Errorf("%d committed, %v: not the bytes that were proposed", len(out.Committed), err)
	}
}

// group delivers messages between owners.
type group struct {
	t       testing.TB
	members map[uint64]*owner
}

func newGroup(t testing.TB, flush persistence.Policy) *group {
	g := &group{t: t, members: map[uint64]*owner{}}
	for id := uint64(1); id <= 3; id++ {
		g.members[id] = newOwner(t, id, t.TempDir(), flush, 1, 2, 3)
	}
	return g
}

// settle delivers until nothing is on its way.
func (g *group) settle() {
	g.t.Helper()
	for busy := true; busy; {
		busy = false
		for id := uint64(1); id <= 3; id++ {
			o := g.members[id]
			if o == nil {
				continue
			}
			o.settle()
			messages := o.sent
			o.sent = nil
			for _, m := range messages {
				busy = true
				if to := g.members[m.GetTo()]; to != nil {
					to.member.Step(proto.CloneOf(m)) // nodes share no memory
					to.turn()
				}
			}
		}
	}
}

// leader lets time pass until one leads.
func (g *group) leader() *owner {
	g.t.Helper()
	for range 200 {
		for _, o := range g.members {
			if o != nil && o.member.Leading() {
				return o
			}
		}
		for id := uint64(1); id <= 3; id++ {
			if o := g.members[id]; o != nil {
				o.member.Tick()
				o.turn()
			}
		}
		g.settle()
	}
	g.t.Fatal("nobody leads")
	return nil
}

func TestThreeMembersAgreeAlsoWhenTheLeaderIsLost(t *testing.T) {
	for _, flush := range []persistence.Policy{persistence.Always, persistence.Interval(time.Hour)} {
		t.Run(flush.String(), func(t *testing.T) {
			g := newGroup(t, flush)
			first := g.leader()
			if err := g.members[first.id%3+1].member.Propose(batch(0, "x")); !errors.Is(err, replica.ErrNotLeader) {
				t.Errorf("a proposal to a follower: %v", err)
			}
			first.propose("a", "b")
			g.settle()
			first.propose("c")
			g.settle()
			first.member.Tick() // a heartbeat brings the commit
			first.member.Tick()
			first.turn()
			g.settle()
			g.members[first.id] = nil
			second := g.leader()
			second.propose("d")
			g.settle()
			g.members[first.id] = first
			for range 5 {
				second.member.Tick()
				second.turn()
				g.settle()
			}
			want := []string{"0 a", "1 b", "2 c", "3 d"}
			for id, o := range g.members {
				if !slices.Equal(o.committed, want) {
					t.Errorf("member %d has %q, want %q", id, o.committed, want)
				}
			}
			if first.member.Leading() {
				t.Error("the first leader still leads")
			}
			for _, o := range g.members { // from cold
				o.store.Close()
				o.open()
			}
			third := g.leader()
			third.propose("e")
			g.settle()
			if got := third.committed[len(third.committed)-1]; got != "4 e" {
				t.Errorf("from cold: the last is %q", got)
			}
		})
	}
}

// A vote that is answered before it is on disk can be given twice. Under a lazy
// policy the entries behind it wait, too.
func TestAVoteIsOnDiskBeforeItIsAnswered(t *testing.T) {
	o := newOwner(t, 1, t.TempDir(), persistence.Interval(time.Hour), 1, 2, 3)
	o.settle()
	kind, from, to, term, index, logTerm := raftpb.MsgVote, uint64(2), uint64(1), uint64(5), uint64(0), uint64(0)
	o.member.Step(&raftpb.Message{Type: &kind, From: &from, To: &to, Term: &term, Index: &index, LogTerm: &logTerm})
	o.turn()
	if len(o.sent) != 0 {
		t.Fatalf("answered before it was stored: %v", o.sent)
	}
	o.settle()
	if len(o.sent) != 1 || o.sent[0].GetType() != raftpb.MsgVoteResp || o.sent[0].GetReject() {
		t.Fatalf("sent %v, want a vote", o.sent)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(o.dir)); err != nil { // killed now
		t.Fatal(err)
	}
	again := newOwner(t, 1, dir, persistence.Interval(time.Hour), 1, 2, 3)
	if again.member.Term() != 5 {
		t.Errorf("after a kill: term %d, want 5", again.member.Term())
	}
	other := uint64(3)
	again.member.Step(&raftpb.Message{Type: &kind, From: &other, To: &to, Term: &term, Index: &index, LogTerm: &logTerm})
	again.turn()
	again.settle()
	if len(again.sent) != 1 || !again.sent[0].GetReject() {
		t.Errorf("after a kill it votes again in the same term: %v", again.sent)
	}
}

// BenchmarkPropose is what a proposal costs besides the store.
func BenchmarkPropose(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := newOwner(b, 1, b.TempDir(), persistence.Always, 1)
			o.settle()
			data := make([][]byte, n)
			for i := range data {
				data[i] = batch(0, "a")
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := o.member.Propose(data...); err != nil {
					b.Fatal(err)
				}
				out, err := o.member.Turn()
				if err != nil {
					b.Fatal(err)
				}
				// The store has no part in this.
				for _, w := range slices.Clone(out.Writes) {
					o.member.Stored(w)
				}
				if out, err = o.member.Turn(); err != nil {
					b.Fatal(err)
				}
				o.member.Applied(out.Committed[len(out.Committed)-1].GetIndex())
			}
		})
	}
}
