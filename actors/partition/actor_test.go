package partition_test

import (
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

var orders = partition.ID{Topic: "orders", Index: 3}

func crcOf(b record.Batch) uint32 {
	return crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli))
}

func TestBatchesGetTheirOffsetsInOrderAndAreReadBack(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	if r.HighWatermark() != 0 || !r.Leading() || r.LeaderEpoch() != 0 {
		t.Fatalf("new: high watermark %d, leading %v, epoch %d", r.HighWatermark(), r.Leading(), r.LeaderEpoch())
	}
	for i, want := range []record.Offset{0, 2, 3} {
		b := [][]string{{"a", "b"}, {"c"}, {"d", "e", "f"}}[i]
		if got := mustProduce(t, r, batch(b...)); got != want {
			t.Errorf("batch %d at %d, want %d", i, got, want)
		}
	}
	want := []string{"0 a", "1 b", "2 c", "3 d", "4 e", "5 f"}
	if got := values(t, r); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	n.reopen()
	r = n.start(orders)
	if got := values(t, r); !slices.Equal(got, want) {
		t.Errorf("after a restart: read %q, want %q", got, want)
	}
	if r.LeaderEpoch() != 1 {
		t.Errorf("after a restart: epoch %d, want 1", r.LeaderEpoch())
	}
	if got := mustProduce(t, r, batch("g")); got != 6 {
		t.Errorf("after a restart: appended at %d, want 6", got)
	}
}

// A retry after a restart gets the offset of the first time.
func TestARepeatIsAnsweredWithTheFirstOffsetAlsoAfterARestart(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	mustProduce(t, r, batch("x"))
	first := by(batch("a", "b"), 7, 0, 0)
	if got := mustProduce(t, r, slices.Clone(first)); got != 1 {
		t.Fatalf("appended at %d, want 1", got)
	}
	if got := mustProduce(t, r, slices.Clone(first)); got != 1 {
		t.Errorf("repeated: at %d, want 1", got)
	}
	again := n.crash()
	r = again.start(orders)
	if got := mustProduce(t, r, slices.Clone(first)); got != 1 {
		t.Errorf("repeated after a crash: at %d, want 1", got)
	}
	if a := produce(t, r, by(batch("d"), 7, 0, 9)); !errors.Is(a.Err, partition.ErrOutOfOrder) {
		t.Errorf("a gap after a crash: %v", a.Err)
	}
	if got := mustProduce(t, r, by(batch("c"), 7, 0, 2)); got != 3 {
		t.Errorf("the next: at %d, want 3", got)
	}
}

func TestProducersAreListed(t *testing.T) {
	n := newNode(t, t.TempDir())
	r := n.start(orders)
	mustProduce(t, r, by(batch("a", "b"), 7, 3, 0))
	r.Producers(func(list []partitionlog.Producer) {
		if len(list) != 1 || list[0].ID != 7 || list[0].Epoch != 3 || list[0].LastSeq() != 1 {
			t.Errorf("got %+v", list)
		}
	})
}
