package source_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// Lines are appended, the file is rotated, cut, and the source is stopped with
// only some of its batches settled, in any order: every line comes, and after a
// restart only what was not settled comes again.
func TestTaildirLosesAndRepeatsNothingThroughRotationTruncationAndRestarts(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rotateAtRandom(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func rotateAtRandom(t *testing.T, rnd *rand.Rand) {
	tl := newTail(t, `app\.log.*`, "batchSize", fmt.Sprint(1+rnd.IntN(20)))
	tl.write("app.log", "")
	tl.start()
	var kept []string // settled before the last restart
	written, rotations, open := 0, 0, false
	settled := 0 // batches that were settled before a truncation
	appendLines := func(n int) {
		text := ""
		for range n {
			text += sourcetest.Line(written) + "\n"
			written++
		}
		if open = rnd.IntN(3) == 0; open { // the newline comes later
			text = text[:len(text)-1]
		}
		tl.write("app.log", text)
	}
	finish := func() {
		if open {
			tl.write("app.log", "\n")
			open = false
		}
	}
	for range 30 {
		switch rnd.IntN(8) {
		case 0:
			finish()
			rotations++
			tl.do(os.Rename(tl.path("app.log"), tl.path(fmt.Sprintf("app.log.%d", rotations))))
			tl.write("app.log", "")
		case 1: // what was not settled before a truncation is lost by nature
			finish()
			tl.out.WaitRecords(t, written-len(kept))
			settled = len(tl.out.Batches())
			tl.do(os.Truncate(tl.path("app.log"), 0))
		case 2:
			tl.run.Stop()
			all := tl.out.Batches()
			n := settled + rnd.IntN(len(all)-settled+1)
			settled = 0
			stored := tl.out.Checkpoints(n)
			for s, at := range tl.env.Checkpoints {
				gone := slices.ContainsFunc(all[:n], func(b sourcetest.Batch) bool { return b.At.Stream == s && b.At.Gone })
				if _, ok := stored[s]; !ok && !gone {
					stored[s] = at
				}
			}
			tl.env.Checkpoints = stored
			for _, b := range all[:n] {
				for _, r := range b.Records {
					kept = append(kept, r.Body)
				}
			}
			tl.start()
		default:
			finish()
			appendLines(1 + rnd.IntN(50))
		}
	}
	finish()
	tl.out.WaitRecords(t, written-len(kept))
	tl.run.Stop()
	got := append(kept, tl.out.Bodies()...)
	slices.Sort(got)
	for i := range max(written, len(got)) {
		if i >= len(got) || i >= written || got[i] != sourcetest.Line(i) {
			t.Fatalf("line %d of %d: got %q of %d", i, written, got[min(i, len(got)-1)], len(got))
		}
	}
}
