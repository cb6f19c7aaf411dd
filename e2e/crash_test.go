package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

const killsPerLife = 5

func TestNothingIsLostOrRepeatedOverAFileChannelThatIsKilled(t *testing.T) {
	testKills(t, "file", times(10, 60, 600))
}

// A memory channel holds nothing across a crash, but the source forgets only
// what the sinks have committed, and the files of all of them are cut back to
// exactly that.
func TestNothingIsLostOrRepeatedOverAMemoryChannelThatIsKilled(t *testing.T) {
	testKills(t, "memory", times(5, 20, 200))
}

func testKills(t *testing.T, channel string, kills int) {
	for i := range kills / killsPerLife {
		t.Run(fmt.Sprintf("life%d", i), func(t *testing.T) {
			t.Parallel()
			s := lifeSettings{channel: channel, sinks: 1, rotates: i%2 == 1}
			if i%3 == 0 {
				s.sinks = 2
			}
			l := newLife(t, choices(t, i), s)
			l.feed.begin()
			older, at := filepath.Join(l.dir, "older"), 1+l.rnd.IntN(killsPerLife-1)
			for k := 1; k <= killsPerLife; k++ {
				l.runAndKill()
				if k == at && channel == "file" {
					copyDir(t, filepath.Join(l.data(), "badger"), older)
				}
			}
			l.feed.end(t)
			if channel == "file" {
				if l.rnd.IntN(2) == 0 {
					older = ""
					// Of the newest 100 ms nobody can tell damage from a torn tail.
					n := l.start()
					n.mustBeReady()
					l.await(n)
					time.Sleep(300 * time.Millisecond)
					n.kill()
				}
				what := l.restoredOrFlipped(older)
				if l.goOn(what) {
					return
				}
				t.Logf("%s: harmless", what)
			}
			l.mustBeWhole(l.finish(l.start()))
		})
	}
}
