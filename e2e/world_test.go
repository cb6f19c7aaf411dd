package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// untilReason waits until the node is not ready, and says so with the words.
func (n *node) untilReason(words ...string) {
	n.t.Helper()
	last := ""
	defer func() {
		if n.t.Failed() {
			n.t.Logf("the last answer of /readyz?verbose: %s", last)
		}
	}()
	until(n.t, "the reason is told: "+strings.Join(words, ", "), func() bool {
		last = n.get("/readyz?verbose")
		for _, w := range words {
			if !strings.Contains(last, w) {
				return false
			}
		}
		return true
	})
}

func (n *node) untilReady() {
	n.t.Helper()
	until(n.t, "the node is ready again", func() bool { return strings.HasPrefix(n.get("/readyz?verbose"), "200") })
}

// said counts how often the words are in the messages of all runs.
func (n *node) said(words string) int {
	text, _ := os.ReadFile(n.stderr)
	return strings.Count(string(text), words)
}

// put writes lines in some bursts.
func (l *life) put(lines int) {
	l.t.Helper()
	for ; lines > 0; lines -= 50 {
		if err := l.feed.lines(min(50, lines)); err != nil {
			l.t.Fatal(err)
		}
	}
}

// block puts a file where the sink's directory was; the answer undoes it.
func block(t *testing.T, dir string) (undo func()) {
	t.Helper()
	away := dir + "-away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatASinkCannotWriteWaitsUntilItCan(t *testing.T) {
	for i, channel := range []string{"file", "memory"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, choices(t, 400+i), lifeSettings{channel: channel, sinks: 1, roll: 1})
			undo := block(t, l.outs()[0])
			l.put(2000)
			n := l.start()
			n.mustBeReady()
			n.untilReason("503", "sink/k1", filepath.Base(l.outs()[0]))
			l.put(1000)
			undo()
			l.await(n)
			n.untilReady()

			// The same while it runs: no new file can be begun for a while.
			undo = block(t, l.outs()[0])
			for range 20 {
				l.put(50)
				time.Sleep(100 * time.Millisecond)
			}
			n.untilReason("503", "sink/k1")
			undo()
			l.mustBeWhole(l.finish(n))
		})
	}
}

// small is a volume of its own with little room.
func small(t *testing.T, dir, size string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small volume")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small volume here: %v %s", err, out)
	}
	t.Cleanup(func() {
		for range 200 {
			if exec.Command("umount", dir).Run() == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s cannot be unmounted", dir)
	})
}

// fill leaves at most the given number of bytes on the volume.
func fill(t *testing.T, dir string, left int64) (ballast string) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 1<<16)
	for n := int64(st.Bavail)*st.Bsize - left; n > 0; n -= int64(len(buf)) {
		if _, err := f.Write(buf[:min(n, int64(len(buf)))]); err != nil {
			break // full
		}
	}
	return ballast
}

func TestAFullVolumeOfTheStoreHoldsTheSourceUntilThereIsRoom(t *testing.T) {
	l := newLife(t, choices(t, 410), lifeSettings{channel: "file", sinks: 1})
	small(t, l.data(), "256m")
	n := l.start()
	n.mustBeReady()
	l.put(1000)
	l.await(n)
	ballast := fill(t, l.data(), 1<<20)
	for range 10 {
		l.put(200)
		time.Sleep(20 * time.Millisecond)
	}
	n.untilReason("503", "space")
	if !strings.Contains(n.get("/livez"), "ok") {
		t.Error("the node does not live on a full volume")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.await(n)
	n.untilReady()

	// Full again, and killed: it starts on a full volume, or says what is wrong.
	ballast = fill(t, l.data(), 1<<20)
	l.put(500)
	n.kill()
	n = l.start()
	if n.isReady() {
		n.untilReason("503", "space")
	} else if !strings.Contains(n.messages(), "space") {
		t.Errorf("refused on a full volume for another reason: %v\n%s", n.err, n.messages())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.exited:
		n = l.start()
	default:
	}
	l.mustBeWhole(l.finish(n))
}

func TestAFullVolumeOfASinkHoldsEverythingUntilThereIsRoom(t *testing.T) {
	for i, channel := range []string{"file", "memory"} {
		t.Run(channel, func(t *testing.T) {
			l := newLife(t, choices(t, 420+i), lifeSettings{channel: channel, sinks: 1, roll: 1})
			out := l.outs()[0]
			small(t, out, "32m")
			n := l.start()
			n.mustBeReady()
			l.put(1000)
			l.await(n)
			ballast := fill(t, out, 0)
			l.put(2000)
			n.untilReason("503", "sink/k1", "no space left")
			l.put(1000)
			if err := os.Truncate(ballast, 0); err != nil {
				t.Fatal(err)
			}
			l.await(n)
			n.untilReady()
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			l.mustBeWhole(l.finish(n))
		})
	}
}

func TestABadFileOrNoneLeavesTheOldConfigurationRunning(t *testing.T) {
	l := newLife(t, choices(t, 430), lifeSettings{channel: "file", sinks: 1, batch: 10})
	good, err := os.ReadFile(l.conf)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(l.conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.feed.begin()
	n := l.start()
	n.mustBeReady()
	moves := func(when string) {
		t.Helper()
		before := bytesIn(l.outs()...)
		until(t, "lines come out "+when, func() bool { return bytesIn(l.outs()...) > before+20_000 })
	}
	reloaded := func(result string) {
		t.Helper()
		until(t, "the reload shows as "+result, func() bool {
			return strings.Contains(n.get("/metrics"), `sluice_config_reload_success{node="a1",topology="flume"} `+result)
		})
	}
	moves("before")

	write(strings.Replace(string(good), "TAILDIR", "TAILDIRT", 1))
	n.untilReason("flume.conf", "TAILDIRT")
	reloaded("0")
	moves("with a bad file")

	write("")
	n.cmd.Process.Signal(syscall.SIGHUP)
	moves("with an empty file")

	if err := os.Remove(l.conf); err != nil {
		t.Fatal(err)
	}
	n.cmd.Process.Signal(syscall.SIGHUP)
	moves("without a file")

	// Good ones, one after the other, under load: parts come and go.
	for i := range times(3, 5, 50) {
		text := regexp.MustCompile(`(sources\.r1\.batchSize) = \d+`).ReplaceAllString(string(good), "$1 = 77")
		if i%2 == 1 {
			text = strings.Replace(string(good), "sink.rollInterval = ", "sink.rollInterval = 1", 1)
		}
		before := n.said("topology deployed")
		write(text)
		n.cmd.Process.Signal(syscall.SIGHUP)
		until(t, "the changed file is deployed", func() bool { return n.said("topology deployed") > before })
		reloaded("1")
		moves("with a changed file")
	}
	n.untilReady()
	l.feed.end(t)
	l.mustBeWhole(l.finish(n))
}

func TestStoppingInOrderLosesAndRepeatsNothing(t *testing.T) {
	for i, channel := range []string{"file", "memory"} {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, choices(t, 440+i), lifeSettings{channel: channel, sinks: 1 + i%2, rotates: true})
			l.feed.begin()
			for range times(3, 6, 60) {
				n := l.start()
				n.mustBeReady()
				time.Sleep(time.Duration(l.rnd.IntN(500)) * time.Millisecond)
				n.stop()
				if t.Failed() {
					return
				}
			}
			l.feed.end(t)
			l.mustBeWhole(l.finish(l.start()))
		})
	}
}
