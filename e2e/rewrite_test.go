package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// rewrites are the ways in which a log begins anew under its own name.
var rewrites = []struct {
	name string
	do   func(f *feed) error
}{
	{"copytruncate", func(f *feed) error {
		text, err := os.ReadFile(f.now())
		if err != nil {
			return err
		}
		// Where the agent does not look.
		if err := os.WriteFile(filepath.Join(f.dir, "old"), text, 0o600); err != nil {
			return err
		}
		return os.Truncate(f.now(), 0)
	}},
	{"inode reuse", func(f *feed) error {
		if err := f.f.Close(); err != nil {
			return err
		}
		f.f = nil
		return os.Remove(f.now())
	}},
}

func (f *feed) now() string { return filepath.Join(f.dir, "app.log") }

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// isSettled says that the agent has noted in the position file that all of the
// log is read and safe.
func (l *life) isSettled() bool {
	var all []struct {
		Inode uint64
		Pos   int64
		File  string
	}
	text, err := os.ReadFile(filepath.Join(l.dir, "positions.json"))
	if err != nil || json.Unmarshal(text, &all) != nil {
		return false
	}
	info, err := os.Stat(l.feed.now())
	if err != nil {
		return false
	}
	for _, p := range all {
		if p.File == l.feed.now() {
			return p.Inode == info.Sys().(*syscall.Stat_t).Ino && p.Pos == info.Size()
		}
	}
	return false
}

// The file is another one though it has the old name, and often the old inode:
// it is read from its begin, whether it is shorter than what was read before
// or has grown beyond that, and whether the agent sees it happen or is dead.
func TestALogThatBeginsAnewIsReadFromItsBegin(t *testing.T) {
	for i, rewrite := range rewrites {
		for j, channel := range []string{"file", "memory"} {
			t.Run(rewrite.name+"/"+channel, func(t *testing.T) {
				t.Parallel()
				l := newLife(t, choices(t, 480+10*j+i), lifeSettings{channel: channel, sinks: 1})
				l.configure("a1.sources.r1.writePosInterval = 20")
				l.put(500)
				reused := 0
				rounds := times(4, 8, 60)
				for round := range rounds {
					n := l.start()
					n.mustBeReady()
					// What is cut away unread nobody can deliver, and from a memory
					// channel nobody can what the sink had not committed.
					l.await(n)
					until(t, "all of it is committed", l.isSettled)
					old := inode(t, l.feed.now())
					dead := l.rnd.IntN(3) > 0
					if dead {
						n.kill()
					}
					if err := rewrite.do(l.feed); err != nil {
						t.Fatal(err)
					}
					for _, lines := range [][]int{{100}, {2000}, {1, 300}, {900, 50}}[round%4] {
						l.put(lines)
					}
					if inode(t, l.feed.now()) == old {
						reused++
					}
					n.kill()
					l.kills++
				}
				t.Logf("the new file had the inode of the old one %d of %d times", reused, rounds)
				l.mustBeWhole(l.finish(l.start()))
			})
		}
	}
}

// Rewritten, killed and rewritten again without a pause for whoever reads:
// lines may be cut away unread, but none comes twice. A log that is cut and has
// grown beyond where it was read before anybody looks again has one name, one
// inode and a greater size: the line at that place may come without its begin.
func TestALogThatIsRewrittenUnderAKilledAgentNeverRepeats(t *testing.T) {
	for i, rewrite := range rewrites {
		t.Run(rewrite.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, choices(t, 500+i), lifeSettings{channel: "file", sinks: 1})
			l.put(100)
			for range times(4, 8, 60) {
				n := l.start()
				if l.rnd.IntN(2) == 0 {
					n.mustBeReady()
				}
				for range 1 + l.rnd.IntN(3) {
					if err := rewrite.do(l.feed); err != nil {
						t.Fatal(err)
					}
					l.put(1 + l.rnd.IntN(1000))
				}
				n.kill()
				l.kills++
			}
			n := l.start()
			n.mustBeReady()
			l.put(10) // the last lines are there to be read
			last := l.feed.next - 1
			until(t, "the last line is out", func() bool {
				v := judge(t, l.feed.next, l.outs()...)
				return len(v.lost) == 0 || v.lost[len(v.lost)-1] != last
			})
			n.stop()
			v := judge(t, l.feed.next, l.outs()...)
			t.Logf("%d kills: sent %d, cut away unread %d", l.kills, v.sent, len(v.lost))
			cut := 0
			for _, w := range v.wrong {
				if rewrite.name == "copytruncate" && strings.Contains(w, " crc=") {
					cut++
				}
			}
			if len(v.twice)+len(v.wrong)-cut > 0 {
				t.Error(fmt.Sprint(v), lastLines(filepath.Join(l.dir, "stderr"), 60))
			}
		})
	}
}
