package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// exitDisk is the exit code of everything that the disk is to blame for.
const exitDisk = 74

// doubt is one line of what check and repair report.
type doubt struct {
	Log         string
	First, Next int
	What        string
}

const channelLog = "channel/a1/c1"

// covers says whether the doubts name the event with this offset.
func covers(doubts []doubt, offset int) bool {
	return slices.ContainsFunc(doubts, func(d doubt) bool {
		return d.Log == channelLog && d.First <= offset && offset < d.Next
	})
}

// goOn starts an agent to whose store something was done. Either it is as if
// nothing had happened, or the agent refuses, names what is in doubt and goes
// on after a repair, which names everything that does not come.
func (l *life) goOn(what string) (refused bool) {
	l.t.Helper()
	return l.goOnWith(l.start(), what)
}

// goOnWith is goOn with an agent that may already run.
func (l *life) goOnWith(n *node, what string) (refused bool) {
	l.t.Helper()
	why := ""
	if n.isReady() {
		why = l.untilOutOrNamed(n)
	} else {
		why = n.messages()
		if code := n.exitCode(); code != exitDisk {
			l.t.Errorf("%s: the agent ended with %v, want exit code %d\n%s", what, n.err, exitDisk, why)
		}
	}
	if why == "" {
		n.stop()
		if v := judge(l.t, l.feed.next, l.outs()...); !v.clean() {
			l.t.Errorf("%s: the agent started as if nothing were wrong, but %v\n%s", what, v, n.messages())
		}
		return false
	}
	if !strings.Contains(why, "damaged") && !strings.Contains(why, "in doubt") {
		l.t.Errorf("%s: refused without saying what is in doubt:\n%s", what, why)
	}
	doubts := l.repair(what)
	n = l.start()
	if !n.isReady() {
		l.t.Fatalf("%s: the agent does not start after the repair: %v\n%s", what, n.err, n.messages())
	}
	l.untilQuiet(n)
	n.stop()
	l.account(what, doubts)
	return true
}

// untilOutOrNamed waits until everything is out, or until the agent ends or
// says that it cannot go on: then it is why.
func (l *life) untilOutOrNamed(n *node) (why string) {
	l.t.Helper()
	until(l.t, "everything is out or the reason is told", func() bool {
		if l.isOut() {
			return true
		}
		select {
		case <-n.exited:
			why = n.messages()
			if code := n.exitCode(); code != exitDisk {
				l.t.Errorf("the agent ended by itself with %v, want exit code %d\n%s", n.err, exitDisk, why)
			}
			return true
		default:
		}
		if s := n.get("/readyz?verbose"); strings.Contains(s, "damaged") {
			why = s
			n.stop()
			return true
		}
		return false
	})
	return why
}

// repair makes the store one that opens again, and returns what it gave up.
func (l *life) repair(what string) []doubt {
	l.t.Helper()
	read := func(want int, args ...string) (doubts []doubt) {
		out, errs, code := call(l.t, append(args, "-o", "json")...)
		var report struct{ Doubts []doubt }
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != want || len(report.Doubts) == 0 {
			l.t.Errorf("%s: sluice %v: exit code %d, want %d; %v\n%s%s", what, args, code, want, err, out, errs)
		}
		return report.Doubts
	}
	read(exitDisk, "check", l.data())
	read(exitDisk, "repair", l.data())
	return read(0, "repair", l.data(), "--accept-loss")
}

// untilQuiet waits until the channel is empty and nothing comes out any more.
func (l *life) untilQuiet(n *node) {
	l.t.Helper()
	last, since := int64(-1), time.Now()
	until(l.t, "the channel is empty and all is quiet", func() bool {
		if sum := bytesIn(l.outs()...); sum != last || !strings.Contains(n.get("/metrics"), `sluice_ledger_events{account="held",agent="a1",node="a1"} 0`) {
			last, since = sum, time.Now()
		}
		return time.Since(since) > time.Second
	})
}

// account fails the test unless everything that is lost was named. What was
// already delivered may come again after a repair.
func (l *life) account(what string, doubts []doubt) {
	l.t.Helper()
	v := judge(l.t, l.feed.next, l.outs()...)
	l.t.Logf("%s: after the repair: sent %d, lost %d, twice %d", what, v.sent, len(v.lost), len(v.twice))
	// A file of which the store has lost all memory is never cut: a line that was
	// being written when the agent was killed stays as it is.
	if len(v.wrong) > v.torn {
		l.t.Errorf("%s: %v", what, v)
	}
	if l.feed.rotates { // events do not lie in the channel by their numbers
		named := 0
		for _, d := range doubts {
			if d.Log == channelLog {
				named += d.Next - d.First
			}
		}
		if len(v.lost) > named {
			l.t.Errorf("%s: %d lines are lost, %d events were named: %v", what, len(v.lost), named, doubts)
		}
		return
	}
	unnamed := slices.DeleteFunc(v.lost, func(id int) bool { return covers(doubts, id) })
	if len(unnamed) > 0 {
		l.t.Errorf("%s: lost without being named: %s; named: %v", what, ranges(unnamed), doubts)
	}
}

// copyDir copies a directory; zeros at the end of a file stay a hole.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		if !d.Type().IsRegular() {
			return nil // a socket
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, trimZeros(b), 0o600); err != nil {
			return err
		}
		return os.Truncate(dst, int64(len(b)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trimZeros is bytes.TrimRight for very many zeros.
func trimZeros(b []byte) []byte {
	zeros := make([]byte, 4<<10)
	for len(b) > len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

func replaceDir(t *testing.T, dir, by string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, by, dir)
}

// harms are what a disk or a person does to a file.
var harms = []struct {
	name string
	do   func(rnd *rand.Rand, used []byte) []byte
}{
	{"a flipped bit", func(rnd *rand.Rand, used []byte) []byte {
		used[rnd.IntN(len(used))] ^= 1 << rnd.IntN(8)
		return used
	}},
	{"cut off", func(rnd *rand.Rand, used []byte) []byte { return used[:rnd.IntN(len(used))] }},
	{"zeros", func(rnd *rand.Rand, used []byte) []byte {
		at := rnd.IntN(len(used))
		clear(used[at:min(len(used), at+4096)])
		return used
	}},
	{"deleted", func(*rand.Rand, []byte) []byte { return nil }},
}

// harm does number h of the harms to the part of the file that is in use.
func harm(t *testing.T, rnd *rand.Rand, path string, h int) {
	t.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := trimZeros(all)
	if len(used) == 0 {
		used = all
	}
	if len(used) == 0 || harms[h].name == "deleted" {
		err = os.Remove(path)
	} else if out := harms[h].do(rnd, used); len(out) < len(used) {
		err = os.WriteFile(path, out, 0o600)
	} else {
		err = os.WriteFile(path, all, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// filesIn lists the files below dir that hold something, by kind.
func filesIn(t *testing.T, dir string) map[string][]string {
	t.Helper()
	kinds := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.EqualFold(d.Name(), "lock") {
			return err
		}
		kind := filepath.Ext(d.Name())
		if kind == "" {
			kind = d.Name()
		}
		rel, err := filepath.Rel(dir, path)
		kinds[kind] = append(kinds[kind], rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// restoredOrFlipped puts the older copy in place of Badger's directory, or
// flips a bit in it when there is none.
func (l *life) restoredOrFlipped(older string) (what string) {
	l.t.Helper()
	badger := filepath.Join(l.data(), "badger")
	if older != "" {
		replaceDir(l.t, badger, older)
		return "an older copy of Badger"
	}
	kinds := filesIn(l.t, badger)
	names := slices.Sorted(maps.Keys(kinds))
	kind := names[l.rnd.IntN(len(names))]
	if l.rnd.IntN(2) == 0 && kinds[".mem"] != nil {
		kind = ".mem" // where everything new is
	}
	file := kinds[kind][l.rnd.IntN(len(kinds[kind]))]
	harm(l.t, l.rnd, filepath.Join(badger, file), 0)
	return "a flipped bit in " + file
}

// rest is a store at rest, with events in its channel, to which many things
// can be done one after the other.
type rest struct {
	*life
	sizes     map[string]int64 // of delivered files
	positions []byte
}

// newRest makes the store: some events delivered and the agent stopped, then
// as many put while the sink cannot write, and the agent stopped or killed.
func newRest(t *testing.T, rnd *rand.Rand, clean bool, batch int) *rest {
	t.Helper()
	l := newLife(t, rnd, lifeSettings{channel: "file", sinks: 1, batch: batch})
	put := func() {
		for range 20 {
			if err := l.feed.lines(75); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()
	n := l.start()
	n.mustBeReady()
	l.await(n)
	n.stop()

	out, away := l.outs()[0], filepath.Join(l.dir, "away")
	if err := os.Rename(out, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put()
	n = l.start("--drain", "1s")
	n.mustBeReady()
	until(t, "the channel holds what was put", func() bool {
		return strings.Contains(n.get("/metrics"), `sluice_ledger_events{account="held",agent="a1",node="a1"} 1500`)
	})
	if clean {
		n.stop()
	} else {
		time.Sleep(300 * time.Millisecond) // the witness hears of it within 100 ms
		n.kill()
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, out); err != nil {
		t.Fatal(err)
	}
	r := &rest{life: l, sizes: map[string]int64{}}
	for _, file := range filesBelow(t, out) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		r.sizes[file] = info.Size()
	}
	copyDir(t, l.data(), r.copy())
	var err error
	if r.positions, err = os.ReadFile(filepath.Join(l.dir, "positions.json")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rest) copy() string { return filepath.Join(r.dir, "copy") }

// reset brings everything back to where it was. Files of the sink keep their
// inodes, by which they are known.
func (r *rest) reset() {
	r.t.Helper()
	replaceDir(r.t, r.data(), r.copy())
	for _, file := range filesBelow(r.t, r.outs()[0]) {
		var err error
		if size, ok := r.sizes[file]; ok {
			err = os.Truncate(file, size)
		} else {
			err = os.Remove(file)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "positions.json"), r.positions, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Whatever happens to a file of the store while nothing runs: what the channel
// held is delivered, or named as in doubt.
func TestDamageAtRestIsHarmlessOrNamed(t *testing.T) {
	part := 0
	for _, clean := range []bool{true, false} {
		for _, batch := range []int{10, 1000} { // batches within Badger, and in segments
			part++
			t.Run(fmt.Sprintf("clean=%t,batch=%d", clean, batch), func(t *testing.T) {
				t.Parallel()
				rnd := choices(t, 100+part)
				r := newRest(t, rnd, clean, batch)
				kinds := filesIn(t, r.copy())
				names := slices.Sorted(maps.Keys(kinds))
				t.Logf("kinds of files: %v", names)
				refused, harmless := 0, 0
				every := len(names) * len(harms)
				for i := range times(3, 8, 2*every) {
					r.reset()
					kind, h := names[rnd.IntN(len(names))], rnd.IntN(len(harms))
					switch {
					case times(0, 0, 1) > 0: // every harm to every kind
						kind, h = names[i/len(harms)%len(names)], i%len(harms)
					case i%2 == 0: // where most of it is
						kind = []string{".mem", ".seg", ".sst"}[i/2%3]
					case i == 1: // what tells the position file from one that Flume wrote
						kind = ".sha256"
					}
					if kinds[kind] == nil {
						kind = "witness"
					}
					file := kinds[kind][rnd.IntN(len(kinds[kind]))]
					what := fmt.Sprintf("%s: %s", file, harms[h].name)
					harm(t, rnd, filepath.Join(r.data(), file), h)
					if r.goOn(what) {
						refused++
					} else {
						harmless++
						t.Logf("%s: harmless", what)
					}
				}
				t.Logf("refused %d, harmless %d", refused, harmless)
			})
		}
	}
}
