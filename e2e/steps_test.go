package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// whyNoStrace says why processes cannot be killed at a system call here.
func whyNoStrace() string {
	out, err := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync",
		"-e", "inject=fsync:signal=KILL:when=1", "true").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no strace that can inject signals: %v %s", err, out)
	}
	return ""
}

// steps are the system calls between which a disk has an old and a new state,
// and up to which call of a thread kills are tried.
var steps = []struct {
	calls string
	most  int
}{
	{"fsync", 10}, {"fdatasync", 8}, {"msync", 8}, {"rename,renameat,renameat2", 3}, {"unlink,unlinkat", 4}, {"ftruncate", 4},
}

// A kill between a file's creation and its first extension, or between a
// rename and the sync of its directory, leaves what no other kill leaves. The
// first kill of each life meets a store that is being made.
func TestAKillAtAnyStepOfTheDiskLosesNothingAndTheNextStartWorks(t *testing.T) {
	if why := whyNoStrace(); why != "" {
		t.Skip(why)
	}
	for i, step := range steps {
		for j := range times(1, 1, 25) {
			t.Run(fmt.Sprintf("%s/life%d", step.calls, j), func(t *testing.T) {
				t.Parallel()
				l := newLife(t, choices(t, 1000+100*i+j), lifeSettings{channel: "file", sinks: 1, rotates: true})
				l.feed.begin()
				hit := 0
				for range times(1, 4, 4) {
					if l.killAt(step.calls, 1+l.rnd.IntN(step.most)) {
						hit++
					}
					l.runAndKillReady()
				}
				l.feed.end(t)
				l.mustBeWhole(l.finish(l.start()))
				t.Logf("%d kills at the step", hit)
			})
		}
	}
}

// killAt runs the agent until a thread begins one of the calls for the nth
// time, kills it there, and says whether it came to that.
func (l *life) killAt(calls string, nth int) (hit bool) {
	l.t.Helper()
	l.wrap = []string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, nth)}
	n := l.start()
	l.wrap = nil
	l.kills++
	select {
	case <-n.exited:
		return true
	case <-time.After(2 * time.Second):
	}
	killChildren(n.cmd.Process.Pid)
	<-n.exited
	return false
}

// killChildren kills what a process has started.
func killChildren(pid int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
}

// runAndKillReady starts the agent, which must become ready, and kills it.
func (l *life) runAndKillReady() {
	l.t.Helper()
	n := l.start()
	n.mustBeReady()
	time.Sleep(time.Duration(l.rnd.IntN(300)) * time.Millisecond)
	n.kill()
	l.kills++
}
