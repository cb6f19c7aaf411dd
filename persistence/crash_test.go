package persistence_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/segment"
)

// full says that every test runs at its full count.
func full() bool { return os.Getenv("SLUICE_FULL") == "1" }

// count is how often something is done: in a sample, a short one (under the
// race detector), or at full counts.
func count(sample, all int) int {
	switch {
	case full():
		return all
	case testing.Short():
		return (sample + 1) / 2
	}
	return sample
}

// random returns a source that SLUICE_SEED repeats.
func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SLUICE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// roundsMax is how often one store is killed: all of it is read each time.
const roundsMax = 15

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilledAtAnyMoment(t *testing.T) {
	rnd := random(t)
	dir, total := t.TempDir(), 0
	var all []ack
	for round := range count(5, 150) {
		if round > 0 && round%roundsMax == 0 {
			os.RemoveAll(dir)
			dir, total, all = t.TempDir(), total+len(all), nil
		}
		after := 1 + rnd.IntN(600)
		acks, crashed := startWriter(t, childSettings{dir: dir, first: round * 2000, writes: 2000, lazy: true}, func(n int, p *os.Process) {
			if n == after {
				p.Kill()
			}
		})
		if !crashed {
			t.Fatal("the writer was not killed")
		}
		all = append(all, acks...)
		s := open(t, dir)
		verify(t, s, all)
		closeStore(t, s)
		if t.Failed() {
			t.Fatalf("round %d, killed after %d acknowledgements", round, after)
		}
	}
	t.Logf("%d acknowledgements", total+len(all))
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilledAtAnyStep(t *testing.T) {
	rnd := random(t)
	ops := []string{segment.OpWrite, segment.OpSync, segment.OpCreate, segment.OpDir, segment.OpUnlink, persistence.OpCommit, persistence.OpWitness}
	for _, op := range ops {
		t.Run(op, func(t *testing.T) {
			dir := t.TempDir()
			var all []ack
			kills := 0
			for round := range count(1, 40) {
				if round > 0 && round%roundsMax == 0 {
					os.RemoveAll(dir)
					dir, all = t.TempDir(), nil
				}
				n := 1 + rnd.IntN(map[string]int{persistence.OpWitness: 3, segment.OpCreate: 8, segment.OpDir: 8}[op]+20*btoi(op == segment.OpWrite || op == segment.OpSync || op == persistence.OpCommit)+1)
				writes := 500
				if op == segment.OpUnlink {
					writes, n = 3000, 1+n%3 // segments go four times a second
				}
				acks, crashed := startWriter(t, childSettings{
					dir: dir, first: round * 3000, writes: writes, kill: fmt.Sprintf("%s:%d", op, n), lazy: true, trim: op == segment.OpUnlink,
				}, func(int, *os.Process) {})
				kills += btoi(crashed)
				all = append(all, acks...)
				s := open(t, dir)
				verify(t, s, all)
				closeStore(t, s)
				if t.Failed() {
					t.Fatalf("round %d, killed before %s number %d", round, op, n)
				}
			}
			if kills == 0 {
				t.Errorf("never came to %s", op)
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
