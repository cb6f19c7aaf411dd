package e2e

import (
	"math/rand/v2"
	"syscall"
	"testing"
)

// A service manager may stop what it has just been told is ready.
func TestWhoIsReadyStopsInOrder(t *testing.T) {
	l := newLife(t, rand.New(rand.NewPCG(1, 1)), lifeSettings{channel: "memory", sinks: 1})
	interrupted := 130 // as shells expect it of what Ctrl-C ended
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		want := 0
		if s == syscall.SIGINT {
			want = interrupted
		}
		n := l.start()
		n.mustBeReady()
		n.cmd.Process.Signal(s)
		if code := n.exitCode(); code != want {
			t.Fatalf("%v right after being ready: %v, want exit code %d\n%s", s, n.err, want, n.messages())
		}
	}
}
