package source_test

import (
	"slices"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"pgregory.net/rapid"
)

// Batches are settled in the order they were emitted, each once and only when
// all of its shares are, whatever order those come in; what was aborted never.
func TestBatchesAreSettledInTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type batch struct {
			seq, pos uint64
			open     int
		}
		f := new(source.Flights)
		var out []batch
		pos := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"emit": func(t *rapid.T) {
				pos++
				open := rapid.IntRange(1, 3).Draw(t, "shares")
				out = append(out, batch{f.Add(pos, open), pos, open})
			},
			"a share arrives": func(t *rapid.T) {
				var open []int
				for i, b := range out {
					if b.open > 0 {
						open = append(open, i)
					}
				}
				if len(open) == 0 {
					t.Skip("all have arrived")
				}
				i := rapid.SampledFrom(open).Draw(t, "batch")
				out[i].open--
				var want []uint64
				got := f.Done(out[i].seq)
				for len(out) > 0 && out[0].open == 0 {
					want = append(want, out[0].pos)
					out = out[1:]
				}
				if !slices.Equal(got, want) {
					t.Fatalf("settled %v, want %v", got, want)
				}
			},
			"abort": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("nothing is out")
				}
				i := rapid.IntRange(0, len(out)-1).Draw(t, "from")
				f.Abort(out[i].seq)
				out = out[:i]
				for len(out) > 0 && out[0].open == 0 {
					t.Fatal("a batch that is settled is still out")
				}
			},
			"": func(t *rapid.T) {
				if batches, bytes := f.Out(); batches != len(out) || bytes != len(out) {
					t.Fatalf("%d batches of %d bytes are out, want %d", batches, bytes, len(out))
				}
			},
		})
	})
}
