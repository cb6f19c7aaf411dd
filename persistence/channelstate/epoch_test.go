package channelstate_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// mayCut says whether the work of all sinks can be cut in two at a position.
func mayCut(at record.Offset, parked []channelstate.Parked, batches []channelstate.Range) bool {
	for _, b := range batches {
		if b.From < at && at < b.To {
			return false
		}
	}
	late := map[string]bool{}
	for _, p := range parked {
		below := p.End <= at
		switch {
		case !below && p.First < at, below && late[p.Holder]:
			return false
		case !below:
			late[p.Holder] = true
		}
	}
	return true
}

func TestACutIsTheHighestPositionThatDividesTheWorkOfAllSinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches []channelstate.Range
		at := record.Offset(0)
		for range rapid.IntRange(0, 8).Draw(t, "batches") {
			at += record.Offset(rapid.IntRange(0, 3).Draw(t, "gap"))
			n := record.Offset(rapid.IntRange(1, 6).Draw(t, "records"))
			batches = append(batches, channelstate.Range{From: at, To: at + n})
			at += n
		}
		var parked []channelstate.Parked
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			first := record.Offset(rapid.IntRange(0, 40).Draw(t, "first"))
			parked = append(parked, channelstate.Parked{
				Holder: rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(t, "sink"),
				First:  first, End: first + record.Offset(rapid.IntRange(1, 15).Draw(t, "length")),
			})
		}
		most := record.Offset(rapid.IntRange(0, 50).Draw(t, "most"))
		want := most
		for !mayCut(want, parked, batches) {
			want--
		}
		floor := func(at record.Offset) record.Offset {
			for _, b := range batches {
				if b.From < at && at < b.To {
					return b.From
				}
			}
			return at
		}
		if got := channelstate.Cut(most, parked, floor); got != want {
			t.Fatalf("up to %d: cut at %d, want %d; pieces %v, batches %v", most, got, want, parked, batches)
		}
	})
}

func TestAnEpochBeginsWithABatchAndALeaseKeepsItsOwn(t *testing.T) {
	q := channelstate.New(0)
	q.KeepWhole = true
	store(q, 10, 10)
	half := q.Take(5, "k1")
	if q.NextEpoch() {
		t.Fatal("an epoch began inside of a batch")
	}
	rest := q.Take(5, "k2")
	if !q.NextEpoch() {
		t.Fatal("no epoch began between two batches")
	}
	if half.Epoch != rest.Epoch {
		t.Errorf("one batch in the epochs %d and %d", half.Epoch, rest.Epoch)
	}
	next := q.Take(10, "k1")
	if next.Epoch == half.Epoch {
		t.Error("two batches with a new epoch between them are in one")
	}
	q.Rollback(half.ID)
	for range 2 { // cut in two, as for a sink with a smaller batch
		if again := q.Take(3, "k2"); again.Epoch != rest.Epoch {
			t.Errorf("offered again in epoch %d, was in %d", again.Epoch, rest.Epoch)
		}
	}
}

func TestWhatIsDoneEndsWhereSomebodyStillHasARecord(t *testing.T) {
	q := channelstate.New(0)
	store(q, 10, 10, 10)
	done := func(want record.Offset, when string) {
		t.Helper()
		if got := q.Done(); got != want {
			t.Errorf("%s: done up to %d, want %d", when, got, want)
		}
	}
	first, second := q.Take(10, "k1"), q.Take(10, "k2")
	done(0, "nothing is")
	q.Park(second.ID)
	done(0, "the second lease is")
	q.Park(first.ID)
	done(20, "both leases are")
	q.Rollback(first.ID)
	done(0, "the first is rolled back")
	again := q.Take(10, "k2")
	done(0, "it is taken again")
	q.Settle(again.ID)
	done(20, "it is settled")
}
