package consumer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/consumer"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// spawner spawns below the tree's guardian.
type spawner struct {
	root   *actor.RootContext
	system *actor.ActorSystem
}

func (s spawner) SpawnNamed(p *actor.Props, name string) (*actor.PID, error) {
	return s.root.SpawnNamed(p, name)
}
func (s spawner) ActorSystem() *actor.ActorSystem { return s.system }

// partitions starts n partitions of a topic.
func partitions(t testing.TB, n int) (refs []partition.Ref) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := persistence.Open(t.TempDir(), persistence.Options{Log: quiet, MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	tree := supervise.NewTree(actor.NewActorSystem(), quiet)
	system := tree.System()
	for i := range n {
		r, err := partition.Start(spawner{system.Root.WithGuardian(tree.Guardian()), system}, partition.Env{
			Store: store, Tree: tree, Log: quiet, Node: 1, ID: partition.ID{Topic: "t", Index: int32(i)}, TopicID: [16]byte{1},
			Config: partition.Defaults(), TendEvery: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.AwaitStart(t.Context()); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r)
	}
	t.Cleanup(func() {
		for _, r := range refs {
			system.Root.Stop(r.PID())
			_ = tree.AwaitGone(context.Background(), r.PID().Id)
		}
		system.Shutdown()
		store.Close()
	})
	return refs
}

func batch(values ...string) record.Batch {
	b := record.Builder{At: time.Now().UnixMilli()}
	for _, v := range values {
		b.Add(nil, []byte(v))
	}
	return b.Batch()
}

// by makes b one of a producer's transaction.
func by(b record.Batch, producer int64, sequence int32) record.Batch {
	binary.BigEndian.PutUint16(b[21:], binary.BigEndian.Uint16(b[21:])|1<<4)
	binary.BigEndian.PutUint64(b[43:], uint64(producer))
	binary.BigEndian.PutUint16(b[51:], 0)
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func produce(t testing.TB, r partition.Ref, b record.Batch) {
	t.Helper()
	origin := partition.Client
	if b.Control() {
		origin = partition.Coordinator
	}
	done := make(chan partition.Appended, 1)
	r.Append(partition.Append{Batch: b, Origin: origin, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) { done <- a }})
	if a := <-done; a.Err != nil {
		t.Fatalf("append: %v", a.Err)
	}
}

func wants(refs []partition.Ref, from record.Offset) (list []consumer.Want) {
	for _, r := range refs {
		list = append(list, consumer.Want{Ref: r, From: from, MaxBytes: 1 << 20, CurrentEpoch: -1, LastEpoch: -1})
	}
	return list
}

var whole = consumer.Options{MinBytes: 1, MaxBytes: 1 << 20, Wait: time.Hour}

// mustWait starts a fetch that finds nothing yet.
func mustWait(t *testing.T, w []consumer.Want, o consumer.Options) (*consumer.Fetch, <-chan *consumer.Fetch) {
	t.Helper()
	ready := make(chan *consumer.Fetch, 1)
	f, now := consumer.Start(w, o, func(f *consumer.Fetch) { ready <- f })
	t.Cleanup(f.Free)
	if now {
		t.Fatal("there is something to read already")
	}
	return f, ready
}

func mustRead(t *testing.T, w []consumer.Want, o consumer.Options) []consumer.Result {
	t.Helper()
	f, now := consumer.Start(w, o, func(*consumer.Fetch) {})
	t.Cleanup(f.Free)
	if !now {
		t.Fatal("there is nothing to read")
	}
	return f.Read()
}

// values are those of all records in batches.
func values(t *testing.T, batches []byte) string {
	t.Helper()
	var all []string
	for len(batches) > 0 {
		b, rest, err := record.Split(batches)
		if err != nil {
			t.Fatal(err)
		}
		it := record.Iterate(b[record.HeaderSize:], b.Count())
		for it.Next() {
			all = append(all, string(it.Value()))
		}
		batches = rest
	}
	return strings.Join(all, " ")
}

func TestAFetchReadsTheWholeBatchesFromItsOffsetOn(t *testing.T) {
	refs := partitions(t, 2)
	produce(t, refs[0], batch("a", "b"))
	produce(t, refs[0], batch("c"))
	produce(t, refs[0], batch("d"))
	for from, want := range []string{"a b c d", "a b c d", "c d", "d"} {
		r := mustRead(t, wants(refs, 0)[1:], consumer.Options{MaxBytes: 1})
		if len(r[0].Records) != 0 || r[0].HighWatermark != 0 || r[0].Err != nil {
			t.Fatalf("an empty partition gives %+v", r[0])
		}
		r = mustRead(t, wants(refs[:1], record.Offset(from)), whole)
		if got := values(t, r[0].Records); got != want || r[0].HighWatermark != 4 || r[0].LogStart != 0 {
			t.Errorf("from %d: got %q up to %d, want %q up to 4", from, got, r[0].HighWatermark, want)
		}
	}
}

func TestAParkedFetchIsWokenByAnAppend(t *testing.T) {
	refs := partitions(t, 3)
	_, ready := mustWait(t, wants(refs, 0), whole)
	produce(t, refs[2], batch("late"))
	r := (<-ready).Read()
	if got := values(t, r[2].Records); got != "late" || len(r[0].Records)+len(r[1].Records) > 0 {
		t.Fatalf("got %q", got)
	}
}

func TestAFetchWaitsForItsMinBytesOverAllPartitions(t *testing.T) {
	refs := partitions(t, 2)
	one := batch(strings.Repeat("x", 100))
	o := whole
	o.MinBytes = 2 * len(one)
	_, ready := mustWait(t, wants(refs, 0), o)
	produce(t, refs[0], batch(strings.Repeat("x", 100)))
	select {
	case <-ready:
		t.Fatal("half of the bytes were enough")
	default:
	}
	produce(t, refs[1], batch(strings.Repeat("y", 100)))
	r := (<-ready).Read()
	if len(r[0].Records) != len(one) || len(r[1].Records) != len(one) {
		t.Fatalf("got %d and %d bytes", len(r[0].Records), len(r[1].Records))
	}
}

func TestAFetchEndsWhenItsTimeIsOver(t *testing.T) {
	refs := partitions(t, 1)
	o := whole
	o.Wait = time.Millisecond
	_, ready := mustWait(t, wants(refs, 0), o)
	if r := (<-ready).Read(); r[0].Err != nil || len(r[0].Records) > 0 {
		t.Fatalf("got %+v", r[0])
	}
}

func TestACancelledFetchIsReadyOnce(t *testing.T) {
	refs := partitions(t, 1)
	f, ready := mustWait(t, wants(refs, 0), whole)
	f.Cancel()
	f.Cancel()
	if <-ready != f {
		t.Fatal("another fetch is ready")
	}
	f.Read()
	produce(t, refs[0], batch("a"))
	select {
	case <-ready:
		t.Fatal("ready twice")
	default:
	}
}

// A reader could never get past a batch that it is never given.
func TestTheFirstBatchIsWholeHoweverLargeItIs(t *testing.T) {
	refs := partitions(t, 2)
	for _, r := range refs {
		produce(t, r, batch(strings.Repeat("x", 1000)))
		produce(t, r, batch("next"))
	}
	w := wants(refs, 0)
	for _, o := range []consumer.Options{{MinBytes: 1, MaxBytes: 10}, {MinBytes: 1, MaxBytes: 1 << 20}} {
		w[0].MaxBytes, w[1].MaxBytes = 10, 10
		r := mustRead(t, w, o)
		if n := len(r[0].Records); n <= 1000 || len(values(t, r[0].Records)) != 1000 {
			t.Errorf("max bytes %d: got %d bytes of the first", o.MaxBytes, n)
		}
		if n := len(r[1].Records); n != 0 {
			t.Errorf("max bytes %d: got %d bytes of the second, too", o.MaxBytes, n)
		}
	}
}

func TestMaxBytesIsKeptOverAllPartitions(t *testing.T) {
	refs := partitions(t, 3)
	for _, r := range refs {
		for range 4 {
			produce(t, r, batch(strings.Repeat("x", 1000)))
		}
	}
	size := len(batch(strings.Repeat("x", 1000)))
	o := whole
	o.MaxBytes = 6*size + size/2
	r := mustRead(t, wants(refs, 0), o)
	if a, b, c := len(r[0].Records), len(r[1].Records), len(r[2].Records); a != 4*size || b != 2*size || c != 0 {
		t.Fatalf("got %d, %d and %d bytes of batches of %d", a, b, c, size)
	}
}

func TestAnOffsetOutsideOfTheLogIsAnErrorAtOnce(t *testing.T) {
	refs := partitions(t, 2)
	produce(t, refs[1], batch("a"))
	w := wants(refs, 1)
	w[0].From = 0
	_, ready := mustWait(t, w, whole) // at the ends of both
	produce(t, refs[1], batch("b"))
	<-ready
	w[1].From = 3
	r := mustRead(t, w, whole)
	if !errors.Is(r[1].Err, partition.ErrOffsetOutOfRange) || r[0].Err != nil || r[1].HighWatermark != -1 {
		t.Fatalf("got %+v", r)
	}
}

func TestAReaderOfWhatIsCommittedStopsAtTheFirstOpenTransaction(t *testing.T) {
	refs := partitions(t, 1)
	produce(t, refs[0], batch("plain"))
	produce(t, refs[0], by(batch("undone"), 7, 0))
	produce(t, refs[0], batch("behind"))
	o := whole
	o.Committed = true
	r := mustRead(t, wants(refs, 0), o)
	if got := values(t, r[0].Records); got != "plain" || r[0].LastStable != 1 || r[0].HighWatermark != 3 {
		t.Fatalf("got %q, %+v", got, r[0])
	}
	_, ready := mustWait(t, wants(refs, 1), o)
	produce(t, refs[0], partitionlog.AppendMarker(nil, 7, 1, partitionlog.Marker{CoordinatorEpoch: 1}, time.Now().UnixMilli()))
	r = (<-ready).Read()
	if got := values(t, r[0].Records); !strings.HasPrefix(got, "undone behind") {
		t.Fatalf("got %q", got)
	}
	want := partitionlog.Aborted{Producer: 7, First: 1, Last: 3}
	if i := slices.IndexFunc(r[0].Aborted, func(a partitionlog.Aborted) bool {
		return a.Producer == want.Producer && a.First == want.First && a.Last == want.Last
	}); i != 0 || len(r[0].Aborted) != 1 {
		t.Fatalf("aborted: %+v, want %+v", r[0].Aborted, want)
	}
	o.Committed = false
	if r = mustRead(t, wants(refs, 0), o); r[0].Aborted != nil {
		t.Errorf("a reader of everything is told of aborted transactions: %+v", r[0].Aborted)
	}
}

func TestAReaderIsToldWhereItsLogAndThisOnePart(t *testing.T) {
	refs := partitions(t, 1)
	produce(t, refs[0], batch("a"))
	epoch := refs[0].LeaderEpoch()
	w := wants(refs, 5)
	w[0].LastEpoch = epoch // has more of the epoch than there was
	r := mustRead(t, w, whole)
	if d := r[0].Diverging; d == nil || d.Epoch != epoch || d.End != 1 || len(r[0].Records) > 0 {
		t.Fatalf("got %+v, %v", r[0], r[0].Diverging)
	}
	w[0].LastEpoch = epoch + 1 // of an epoch that never was
	if r := mustRead(t, w, whole); !errors.Is(r[0].Err, partition.ErrOffsetOutOfRange) {
		t.Fatalf("got %+v", r[0])
	}
	w[0].LastEpoch, w[0].CurrentEpoch = -1, epoch+1
	if r := mustRead(t, w, whole); !errors.Is(r[0].Err, partition.ErrUnknownLeaderEpoch) {
		t.Fatalf("got %+v", r[0])
	}
}

// One fetch of twelve partitions that have data.
func BenchmarkFetch(b *testing.B) {
	refs := partitions(b, 12)
	for _, r := range refs {
		for range 8 {
			produce(b, r, batch(strings.Repeat("x", 10_000)))
		}
	}
	w := wants(refs, 0)
	b.ReportAllocs()
	bytes := 0
	for b.Loop() {
		f, _ := consumer.Start(w, whole, func(*consumer.Fetch) {})
		bytes = 0
		for _, r := range f.Read() {
			bytes += len(r.Records)
		}
		f.Free()
	}
	b.SetBytes(int64(bytes))
}
