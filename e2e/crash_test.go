package e2e

import (
	"fmt"
	"testing"
)

const killsPerLife = 5

func TestNothingIsLostOrRepeatedOverAFileChannelThatIsKilled(t *testing.T) {
	testKills(t, "file", times(10, 60, 600))
}

// A memory channel holds nothing across a crash, but the source forgets only
// what the sinks have committed.
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
			for range killsPerLife {
				l.runAndKill()
			}
			l.feed.end(t)
			l.mustBeWhole(l.finish(l.start()))
		})
	}
}
