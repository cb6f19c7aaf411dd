package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// failing lets the next call of a running node fail with EIO, once.
func failing(t *testing.T, n *node, calls string) (end func()) {
	t.Helper()
	tracer := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-p", fmt.Sprint(n.cmd.Process.Pid),
		"-e", "trace="+calls, "-e", "inject="+calls+":error=EIO:when=1")
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		tracer.Process.Kill()
		tracer.Wait()
	}
}

// After a failed sync the kernel may have dropped what was written, and the
// next one succeeds: so there must be none.
func TestASyncThatFailsEndsTheNodeAndNothingIsLost(t *testing.T) {
	if why := whyNoStrace(); why != "" {
		t.Skip(why)
	}
	for i, call := range []string{"fsync", "fdatasync", "msync"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, choices(t, 470+i), lifeSettings{channel: "file", sinks: 1, rotates: true, roll: 1})
			l.feed.begin()
			for range times(1, 2, 10) {
				n := l.start()
				n.mustBeReady()
				end := failing(t, n, call)
				select {
				case <-n.exited:
				case <-time.After(stillMax):
					t.Errorf("the node still runs %v after a failed %s", stillMax, call)
				}
				end()
				n.kill()
				l.kills++
				if code := n.exitCode(); code != exitDisk {
					t.Errorf("%s failed and the node ended with %v, want exit code %d\n%s", call, n.err, exitDisk, n.messages())
				}
				if !strings.Contains(n.messages(), "input/output error") {
					t.Errorf("%s failed, and the messages do not say so:\n%s", call, n.messages())
				}
				n = l.start()
				n.mustBeReady()
				n.kill()
			}
			l.feed.end(t)
			l.mustBeWhole(l.finish(l.start()))
		})
	}
}

// flip turns one bit in the last third of what a file holds, in place: whoever
// has it open sees it.
func (l *life) flip(path string) {
	l.t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	all, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	used := trimZeros(all)
	if len(used) == 0 {
		used = all
	}
	if len(used) == 0 {
		return
	}
	at := len(used) - 1 - l.rnd.IntN((len(used)+2)/3)
	if _, err := f.WriteAt([]byte{used[at] ^ 1<<l.rnd.IntN(8)}, int64(at)); err != nil {
		l.t.Fatal(err)
	}
}

// What the channel holds is damaged under the running agent: each event comes,
// or is named, then or at the next start.
func TestDamageWhileTheAgentRunsIsHarmlessOrNamed(t *testing.T) {
	for i := range times(2, 6, 40) {
		t.Run(fmt.Sprintf("life%d", i), func(t *testing.T) {
			t.Parallel()
			large := i/2%2 == 0 // all events lie in the segment
			l := newLife(t, choices(t, 2000+i), lifeSettings{channel: "file", sinks: 1, batch: map[bool]int{true: 1000, false: 10}[large]})
			undo := block(t, l.outs()[0])
			l.put(9000)
			n := l.start()
			n.mustBeReady()
			held := func() bool {
				return strings.Contains(n.get("/metrics"), `sluice_ledger_events{account="held",agent="a1",node="a1"} 9000`)
			}
			until(t, "the channel holds what was put", held)
			// What was just put may still lie in memory, too.
			time.Sleep(300 * time.Millisecond) // the witness hears of it within 100 ms
			n.kill()
			n = l.start()
			n.mustBeReady()
			until(t, "the channel holds it again", held)
			kinds := filesIn(t, l.data())
			names := slices.Sorted(maps.Keys(kinds))
			kind := names[l.rnd.IntN(len(names))]
			if i%2 == 0 && kinds[".seg"] != nil {
				kind = ".seg"
			}
			file := kinds[kind][l.rnd.IntN(len(kinds[kind]))]
			what := fmt.Sprintf("%s: a bit was flipped while the agent ran", file)
			l.flip(filepath.Join(l.data(), file))
			undo()
			if l.goOnWith(n, what) {
				return
			}
			t.Logf("%s: harmless while it ran", what)
			if large && kind == ".seg" {
				t.Errorf("%s: nobody noticed that the events in it have changed", what)
			}
			if !l.goOn(what) {
				t.Logf("%s: harmless at the next start", what)
			}
		})
	}
}
