package partition_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// heard is a logger that tells of every text it is given.
type heard struct {
	slog.Handler
	texts chan string
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn || r.Message == "compacted" {
		h.texts <- r.Message
	}
	return nil
}

// compacted starts a partition that compacts all but its last batch, and
// answers with what waits for the next pass.
func compacted(t *testing.T, n *node, id partition.ID, settings map[string]string) (partition.Ref, func()) {
	t.Helper()
	h := heard{slog.DiscardHandler, make(chan string, 1000)}
	config := map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0"}
	for k, v := range settings {
		config[k] = v
	}
	c, err := partition.ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	r := n.start(id, func(env *partition.Env) {
		env.Config, env.TendEvery, env.Log = c, time.Millisecond, slog.New(h)
	})
	return r, func() {
		t.Helper()
		select {
		case text := <-h.texts:
			if text != "compacted" {
				t.Fatalf("it says %q", text)
			}
		case <-time.After(time.Minute):
			t.Fatal("no compaction within a minute")
		}
	}
}

// old is a batch of keyed records, from an hour ago.
func old(pairs ...string) record.Batch {
	b := record.Builder{At: time.Now().Add(-time.Hour).UnixMilli()}
	for i := 0; i < len(pairs); i += 2 {
		b.Add([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return b.Batch()
}

func TestACompactedPartitionKeepsTheNewestValueOfEachKeyByItself(t *testing.T) {
	n := newNode(t, t.TempDir())
	id := partition.ID{Topic: "table", Index: 0}
	r, wait := compacted(t, n, id, nil)
	for i := range 5 {
		mustProduce(t, r, old("a", fmt.Sprint("a", i), "b", fmt.Sprint("b", i), fmt.Sprint("only", i), "x"))
	}
	want := []string{"2 x", "5 x", "8 x", "9 a3", "10 b3", "11 x", "12 a4", "13 b4", "14 x"}
	for !slices.Equal(values(t, r), want) {
		wait() // of a batch that came late there is one more pass
	}
	size := r.Size()
	n.reopen()
	r, wait = compacted(t, n, id, nil)
	if got := values(t, r); !slices.Equal(got, want) || r.Size() != size {
		t.Fatalf("opened again: %d bytes %q, want %d %q", r.Size(), got, size, want)
	}
	mustProduce(t, r, old("a", "a5"))
	want = []string{"2 x", "5 x", "8 x", "11 x", "12 a4", "13 b4", "14 x", "15 a5"}
	for !slices.Equal(values(t, r), want) {
		wait()
	}
	o, _, _, err := r.OffsetAt(0)
	if err != nil || o != 2 {
		t.Errorf("the first record there is: %d %v, want 2", o, err)
	}
}

// A marker that is gone while readers are still told of its transaction would
// make them skip what its producer commits later.
func TestATransactionIsForgottenWithItsMarker(t *testing.T) {
	n := newNode(t, t.TempDir())
	id := partition.ID{Topic: "table", Index: 0}
	r, wait := compacted(t, n, id, nil)
	b := old("a", "aborted")
	b[22] |= 1 << 4 // transactional
	mustProduce(t, r, by(b, 7, 0, 0))
	done := make(chan partition.Appended, 1)
	r.Append(partition.Append{
		Batch:  partitionlog.AppendMarker(nil, 7, 1, partitionlog.Marker{}, time.Now().Add(-time.Hour).UnixMilli()),
		Origin: partition.Coordinator, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1,
		Done: func(a partition.Appended) { done <- a },
	})
	if a := <-done; a.Err != nil {
		t.Fatal(a.Err)
	}
	if got := r.Aborted(0, 10); len(got) != 1 {
		t.Fatalf("aborted: %v", got)
	}
	for i := 0; len(r.Aborted(0, 10)) > 0; i++ {
		mustProduce(t, r, old("b", fmt.Sprint(i)))
		mustProduce(t, r, old("c", fmt.Sprint(i)))
		wait()
	}
	n.reopen()
	r, _ = compacted(t, n, id, map[string]string{"cleanup.policy": "delete"})
	if got := r.Aborted(0, 10); len(got) != 0 {
		t.Errorf("opened again: %v is aborted", got)
	}
	if got := values(t, r); slices.ContainsFunc(got, func(v string) bool { return v == "0 aborted" }) {
		t.Errorf("the log holds %q", got)
	}
}

// Stopping must not wait for a pass to end, nor leave one that works on a store
// that is closed.
func TestAPartitionStopsWhileItIsBeingCompacted(t *testing.T) {
	n := newNode(t, t.TempDir())
	id := partition.ID{Topic: "table", Index: 0}
	r, _ := compacted(t, n, id, nil)
	want := map[string]string{}
	for i := range 300 {
		key := fmt.Sprint("k", i%50)
		o := mustProduce(t, r, old(key, fmt.Sprint(key, " ", i)))
		want[key] = fmt.Sprintf("%d %s %d", o, key, i)
		if i%50 == 49 {
			n.reopen()
			r, _ = compacted(t, n, id, nil)
		}
	}
	all := values(t, r)
	for key, v := range want {
		if !slices.Contains(all, v) {
			t.Errorf("the newest of %s, %q, is gone", key, v)
		}
	}
}
