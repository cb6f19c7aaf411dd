package share_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/actors/share"
)

// batches are those of three records each from an offset on up to another.
func batches(from, to int64) (list []share.Range) {
	for o := from / 3 * 3; o < to; o += 3 {
		list = append(list, share.Range{First: o, Last: min(o+2, to-1)})
	}
	return list
}

func acquire(p *share.Partition, until int64, member string, to int64, limit int, strict bool) []share.Run {
	next, may := p.Next()
	if !may || next >= to {
		return nil
	}
	return p.Acquire(until, member, next, to, batches(next, to), limit, strict)
}

func text(runs []share.Run) string {
	out := ""
	for _, r := range runs {
		out += fmt.Sprintf("[%d-%d x%d]", r.First, r.Last, r.Count)
	}
	return out
}

func ack(first, last int64, types ...int8) []share.Ack {
	return []share.Ack{{First: first, Last: last, Types: types}}
}

// Each record goes to one member, and to another only when it comes back.
func TestARecordIsWithOneMemberAtATime(t *testing.T) {
	p := share.NewPartition(0, 5, 1000)
	if got := text(acquire(p, 100, "a", 9, 4, false)); got != "[0-5 x1]" {
		t.Errorf("about 4 of 9: got %s, want two whole batches", got)
	}
	if got := text(acquire(p, 100, "b", 9, 2, true)); got != "[6-7 x1]" {
		t.Errorf("2 at most: got %s", got)
	}
	if p.Acknowledge(0, "b", ack(0, 0, 1)) {
		t.Error("b may acknowledge what a has")
	}
	if !p.Acknowledge(0, "a", ack(0, 3, 1, 2, 3, 0)) { // accept, release, reject, gap
		t.Error("a may not acknowledge what it has")
	}
	if p.Start() != 1 {
		t.Errorf("start at %d after 0 is done, want 1", p.Start())
	}
	if got := text(acquire(p, 100, "b", 9, 10, false)); got != "[1-1 x2][8-8 x1]" {
		t.Errorf("what is left: got %s, want the one released and the one untouched", got)
	}
	if p.Expire(99) || !p.Expire(100) {
		t.Error("locks end at 100")
	}
	if got := text(acquire(p, 200, "c", 9, 10, false)); got != "[1-1 x3][4-8 x2]" {
		t.Errorf("after the locks: got %s", got)
	}
}

// One wrong acknowledgement among many leaves everything as it was.
func TestAnAcknowledgementCountsWholeOrNotAtAll(t *testing.T) {
	p := share.NewPartition(0, 5, 1000)
	acquire(p, 100, "a", 6, 6, false)
	acks := append(ack(0, 2, 1), ack(5, 9, 1)...)
	if p.Acknowledge(0, "a", acks) || p.Start() != 0 {
		t.Errorf("records up to 9 acknowledged, of which only 5 were handed out; start %d", p.Start())
	}
	if p.Acknowledge(0, "a", ack(0, 2, 1, 1)) {
		t.Error("two types for three records")
	}
	if !p.Acknowledge(500, "a", ack(0, 2, 4)) { // renew
		t.Error("a may not renew what it has")
	}
	p.Expire(100)
	if got := text(acquire(p, 600, "b", 6, 10, false)); got != "[3-5 x2]" {
		t.Errorf("after the locks that were not renewed: got %s", got)
	}
}

// A record that nobody can deal with is given up in the end.
func TestARecordIsGivenUpAfterTooManyDeliveries(t *testing.T) {
	p := share.NewPartition(0, 2, 1000)
	for range 2 {
		acquire(p, 100, "a", 1, 1, false)
		p.Acknowledge(0, "a", ack(0, 0, 2))
	}
	if got := acquire(p, 100, "a", 1, 1, false); got != nil || p.Start() != 1 {
		t.Errorf("handed out a third time: %s, start %d", text(got), p.Start())
	}
}

// How far records in hand may lie apart is bounded, and what lies behind that
// bound stays as it is.
func TestNothingIsHandedOutBeyondTheLimitOfLocks(t *testing.T) {
	p := share.NewPartition(0, 5, 6)
	if got := text(acquire(p, 100, "a", 30, 100, false)); got != "[0-5 x1]" {
		t.Errorf("got %s, want 6 records", got)
	}
	if _, may := p.Next(); may {
		t.Error("more may be handed out while the first is not done with")
	}
	p.Acknowledge(0, "a", ack(0, 2, 1))
	if got := text(acquire(p, 100, "b", 30, 100, false)); got != "[6-8 x1]" {
		t.Errorf("got %s, want the next batch", got)
	}
}

// Offsets without records, as compaction leaves them, hold nobody up.
func TestHolesInTheLogAreDoneWith(t *testing.T) {
	p := share.NewPartition(0, 5, 1000)
	got := p.Acquire(100, "a", 0, 20, []share.Range{{First: 4, Last: 6}, {First: 10, Last: 12}}, 100, false)
	if text(got) != "[4-6 x1][10-12 x1]" {
		t.Errorf("got %s", text(got))
	}
	p.Acknowledge(0, "a", append(ack(4, 6, 1), ack(10, 12, 1)...))
	if p.Start() != 20 {
		t.Errorf("start at %d, want 20: nothing lies behind", p.Start())
	}
}

// Whatever members do, every record is accepted by exactly one of them or given
// up, none is with two at once, and what is kept restores to the same.
func TestEveryRecordIsAcceptedOnceOrGivenUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	const end = 200
	p := share.NewPartition(0, 100, 40)
	holder, accepted := map[int64]string{}, map[int64]int{}
	for now := int64(1); p.Start() < end && now < 100_000; now++ {
		member := string(rune('a' + rnd.IntN(3)))
		switch rnd.IntN(6) {
		case 0, 1, 2:
			for _, r := range acquire(p, now+20, member, end, 1+rnd.IntN(20), rnd.IntN(2) == 0) {
				for o := r.First; o <= r.Last; o++ {
					if holder[o] != "" || accepted[o] > 0 {
						t.Fatalf("%d handed to %s, but %q has it and %d accepted it", o, member, holder[o], accepted[o])
					}
					holder[o] = member
				}
			}
		case 3, 4:
			for o, who := range holder {
				if kind := int8(1 + rnd.IntN(2)); who == member && rnd.IntN(3) > 0 {
					if !p.Acknowledge(now+20, member, ack(o, o, kind)) {
						t.Fatalf("%s may not acknowledge %d", member, o)
					}
					delete(holder, o)
					if kind == 1 {
						accepted[o]++
					}
				}
			}
		case 5:
			p.Release(member)
			for o, who := range holder {
				if who == member {
					delete(holder, o)
				}
			}
		}
		if now%50 == 0 { // locks that end before their members speak
			p.Expire(now + 20)
			clear(holder)
		}
		if now%70 == 0 {
			kept := p.Keep()
			again := share.NewPartition(p.Start(), 100, 40)
			again.Restore(kept)
			if !slices.Equal(again.Keep(), kept) || again.Start() != p.Start() {
				t.Fatalf("kept %+v from %d, restored %+v from %d", kept, p.Start(), again.Keep(), again.Start())
			}
			p = again
			clear(holder)
		}
	}
	for o := range int64(end) {
		if accepted[o] != 1 {
			t.Errorf("record %d accepted %d times", o, accepted[o])
		}
	}
}
