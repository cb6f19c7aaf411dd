package channelstate_test

import (
	"slices"
	"testing"

	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// store puts batches of the sizes given into a queue.
func store(q *channelstate.Queue, sizes ...int) {
	for _, n := range sizes {
		q.Store(channelstate.Chunk{Base: q.Next(), Count: n, Last: q.Next() + record.Offset(n) - 1})
	}
}

// takeAll takes leases of up to most records until there is none, and says how
// long they are and which end with a batch.
func takeAll(q *channelstate.Queue, most int) (sizes []int, whole []bool) {
	for l := q.Take(most, "k"); l != nil; l = q.Take(most, "k") {
		sizes = append(sizes, l.Len())
		whole = append(whole, l.Whole())
	}
	return sizes, whole
}

func TestLeasesEndWithABatchWhereverOneDoes(t *testing.T) {
	for _, c := range []struct {
		batches []int
		most    int
		sizes   []int
		whole   []bool
	}{
		{[]int{1300, 1300}, 1000, []int{1000, 300, 1000, 300}, []bool{false, true, false, true}},
		{[]int{400, 400, 400}, 1000, []int{800, 400}, []bool{true, true}},
		{[]int{500, 500, 500}, 1000, []int{1000, 500}, []bool{true, true}},
		{[]int{10, 2500}, 1000, []int{10, 1000, 1000, 500}, []bool{true, false, false, true}},
		{[]int{1, 1, 1}, 1, []int{1, 1, 1}, []bool{true, true, true}},
	} {
		q := channelstate.New(0)
		q.KeepWhole = true
		store(q, c.batches...)
		sizes, whole := takeAll(q, c.most)
		if !slices.Equal(sizes, c.sizes) || !slices.Equal(whole, c.whole) {
			t.Errorf("batches of %v, up to %d at once: got %v %v, want %v %v", c.batches, c.most, sizes, whole, c.sizes, c.whole)
		}
	}
}

func TestWithoutKeepWholeLeasesAreFull(t *testing.T) {
	q := channelstate.New(0)
	store(q, 1300, 1300)
	if sizes, _ := takeAll(q, 1000); !slices.Equal(sizes, []int{1000, 1000, 600}) {
		t.Fatalf("got %v, want 1000, 1000, 600", sizes)
	}
}
