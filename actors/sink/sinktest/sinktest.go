// Package sinktest judges a kind of sink: what sink.Sink promises is tried on
// it, and a sink that is Durable is stopped at every step of its work and must
// still bring every record exactly once.
package sinktest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/actors/sink"
)

// Target is a place that a sink writes to.
type Target struct {
	// New makes a sink that writes to the target, upon what is there already.
	New func(env sink.Env) (sink.Sink, error)
	// Headers are given to every record.
	Headers map[string]string
	// Read is the bodies of all records that stand in the target, in order.
	// nil: nothing can be read back.
	Read func(t *testing.T) []string
	// Break makes the target refuse writes until it is repaired. nil: it
	// cannot fail.
	Break func(t *testing.T) (repair func())
	// Once says that the sink brings every record once though it is not Durable,
	// as long as it alone takes from a durable channel.
	Once bool
}

// patience is how long a call may take that must not block.
const patience = 20 * time.Second

// Run tries everything that a sink promises, each on a new target.
func Run(t *testing.T, open func(t *testing.T) Target) {
	for _, test := range []struct {
		name string
		try  func(*testing.T, Target)
	}{
		{"delivers everything in order", inOrder},
		{"keeps what was delivered before it is closed", keepsOnClose},
		{"closes without having delivered anything", closesUnused},
		{"returns at once when it is stopped", stops},
		{"counts nothing of a failed batch", failedBatch},
		{"starts over after a failure that a crash follows", failureThenCrash},
		{"brings every record once wherever it is stopped", crashEverywhere},
		{"cuts nothing that does not come again", crashWithoutReplay},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			// The workers of a store that the target has come when there is work.
			workers := goleak.IgnoreAnyFunction("github.com/sluicehq/sluice/persistence.(*Store).worker")
			t.Cleanup(func() { goleak.VerifyNone(t, before, workers) })
			test.try(t, open(t))
		})
	}
}

func inOrder(t *testing.T, target Target) {
	n := newNode(t, target, 600)
	n.open()
	for !n.done() {
		n.step()
	}
	n.close()
	n.expectOnce()
}

// keepsOnClose closes with the last batches delivered and not yet committed.
func keepsOnClose(t *testing.T, target Target) {
	n := newNode(t, target, 40)
	n.open()
	for n.taken < len(n.records) {
		n.deliver()
	}
	n.close()
	n.expectOnce()
}

func closesUnused(t *testing.T, target Target) {
	n := newNode(t, target, 0)
	n.open()
	n.close()
	n.expectOnce()
}

func stops(t *testing.T, target Target) {
	n := newNode(t, target, 50)
	n.open()
	n.deliver()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	batch, release := n.batch(n.taken, 10)
	returned := make(chan error, 1)
	go func() { returned <- n.sink.Deliver(stopped, batch) }()
	select {
	case err := <-returned:
		if err == nil {
			n.taken += batch.Len()
		}
	case <-time.After(patience):
		t.Fatal("Deliver did not return after its context had ended")
	}
	release()
	for !n.done() {
		n.step()
	}
	n.close()
	n.expectOnce()
}

func failedBatch(t *testing.T, target Target) {
	if target.Break == nil {
		t.Skip("this target cannot be broken")
	}
	if !Apart(t) {
		return
	}
	n := newNode(t, target, 300)
	n.open()
	n.step()
	n.failTwice()
	for !n.done() {
		n.step()
	}
	n.close()
	n.expectOnce()
}

func failureThenCrash(t *testing.T, target Target) {
	if target.Break == nil {
		t.Skip("this target cannot be broken")
	}
	if !Apart(t) {
		return
	}
	n := newNode(t, target, 300)
	n.open()
	n.step()
	n.deliver() // not committed when the target fails
	n.failTwice()
	n.commit(n.pending())
	n.deliver()
	n.crash()
	n.open()
	for !n.done() {
		n.step()
	}
	n.close()
	n.expectOnce()
}

// crashEverywhere repeats one run, stopped one step later each time, until the
// run comes to its end before it is stopped.
func crashEverywhere(t *testing.T, target Target) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	n := newNode(t, target, 0)
	for stopAt := 1; ; stopAt++ {
		n.random = rand.New(rand.NewPCG(seed, 0))
		n.add(60)
		n.stopBefore(stopAt)
		n.open()
		for !n.done() && !n.ended() {
			n.step()
		}
		if !n.ended() && n.closed() {
			n.expectDelivered()
			t.Logf("stopped at each of %d steps", stopAt-1)
			return
		}
		n.crash()
		n.stopBefore(0)
		n.open()
		for !n.done() {
			n.step()
		}
		n.close()
		if stopAt > 1000 {
			t.Fatal("no end of the steps: does every Deliver of this sink keep state?")
		}
	}
}

// crashWithoutReplay stops a sink whose uncommitted records do not come again,
// as with a source that cannot be read twice: what it has written must stay.
func crashWithoutReplay(t *testing.T, target Target) {
	n := newNode(t, target, 0)
	n.replays = false
	for range 5 {
		n.add(30)
		n.open()
		for n.taken < len(n.records) {
			n.deliver()
		}
		n.crash()
		n.settled = n.taken
	}
	n.open()
	n.add(30)
	for !n.done() {
		n.step()
	}
	n.close()
	n.expectDelivered()
}

// failTwice breaks the target, tries the next batch twice and repairs.
func (n *node) failTwice() {
	n.t.Helper()
	repair := n.target.Break(n.t)
	for range 2 {
		batch, release := n.batch(n.taken, 50)
		err := n.call(func() error { return n.sink.Deliver(n.t.Context(), batch) })
		release()
		if err == nil {
			repair()
			n.t.Fatal("Deliver to a broken target: got no error")
		}
	}
	repair()
}

// expectOnce compares what stands in the target with what was to be delivered.
func (n *node) expectOnce() {
	n.t.Helper()
	if n.target.Read == nil {
		return
	}
	got := n.target.Read(n.t)
	if slices.Equal(got, n.records) {
		return
	}
	n.t.Fatalf("%d records stand in the target, want %d, %s", len(got), len(n.records), firstDifference(got, n.records))
}

// expectDelivered is expectOnce for a Durable sink. Any other may repeat what
// was not committed, but must not leave anything out.
func (n *node) expectDelivered() {
	n.t.Helper()
	if n.durable || n.target.Once || n.target.Read == nil {
		n.expectOnce()
		return
	}
	seen := map[string]bool{}
	var firsts []string
	for _, body := range n.target.Read(n.t) {
		if !seen[body] {
			seen[body] = true
			firsts = append(firsts, body)
		}
	}
	if !slices.Equal(firsts, n.records) {
		n.t.Fatalf("%d different records stand in the target, want %d, %s", len(firsts), len(n.records), firstDifference(firsts, n.records))
	}
}

var errStopped = errors.New("the process was stopped here")

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
