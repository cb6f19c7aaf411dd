package e2e

import (
	"math/rand/v2"
	"syscall"
	"testing"
)

// A service manager may stop what it has just been told is ready.
func TestWhoIsReadyStopsInOrder(t *testing.T) {
	l := newLife(t, rand.New(rand.NewPCG(1, 1)), lifeSettings{channel: "memory", sinks: 1})
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		n := l.start()
		n.mustBeReady()
		n.cmd.Process.Signal(s)
		if code := n.exitCode(); code != 0 {
			t.Fatalf("%v right after being ready: %v, want exit code 0\n%s", s, n.err, n.messages())
		}
	}
}
