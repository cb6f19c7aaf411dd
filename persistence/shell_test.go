package persistence_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Rule 6: what Linux could not write it forgets, so nothing is tried twice.
func TestTheFirstErrorOfTheDiskIsTheLast(t *testing.T) {
	for _, op := range []string{segment.OpWrite, segment.OpSync, segment.OpDir, persistence.OpCommit, persistence.OpWitness} {
		t.Run(op, func(t *testing.T) {
			g := newGate()
			dir := t.TempDir()
			fatal := make(chan error, 10)
			s := open(t, dir, withFaults(g), func(o *persistence.Options) {
				o.SegmentBytes = 100 << 10
				o.Fatal = func(err error) { fatal <- err }
			})
			l := openLog(t, s, "a", persistence.LogOptions{})
			submit(t, s, appendOf(l, 0, 80<<10, 1))
			boom := errors.New("the disk is gone")
			g.mu.Lock()
			g.fail[op] = boom
			g.mu.Unlock()
			w := appendOf(l, 1, 80<<10, 1)
			if err := try(s, w); op != persistence.OpWitness && !errors.Is(err, boom) {
				t.Fatalf("a write on a broken disk: %v", err)
			}
			if err := <-fatal; !errors.Is(err, boom) {
				t.Fatalf("fatal was told %v", err)
			}
			g.mu.Lock()
			delete(g.fail, op)
			g.mu.Unlock()
			g.forget()
			if err := try(s, appendOf(l, 2, 80<<10, 1)); !errors.Is(err, boom) {
				t.Fatalf("a write after the error: %v", err)
			}
			if steps := g.only(segment.OpWrite, segment.OpSync, segment.OpDir, persistence.OpCommit); len(steps) > 0 {
				t.Fatalf("%v after the error", steps)
			}
			if err := s.Close(); !errors.Is(err, boom) {
				t.Fatalf("close: %v", err)
			}
			s = open(t, dir) // the acknowledged one is there
			defer closeStore(t, s)
			if b := content(t, openLog(t, s, "a", persistence.LogOptions{})); len(b) == 0 || !bytes.Equal(b[0][8:], batch(0, 80<<10)[8:]) {
				t.Fatal("the acknowledged batch is gone")
			}
		})
	}
}

// Rule 23: the successor's state frame is on disk and the entries are gone
// before a segment is; who reads it goes on.
func TestASegmentGoesAfterItsEntries(t *testing.T) {
	g := newGate()
	dir := t.TempDir()
	s := open(t, dir, withFaults(g), func(o *persistence.Options) { o.SegmentBytes = 100 << 10 })
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 6 {
		submit(t, s, appendOf(l, n, 60<<10, 1))
	}
	first, err := firstEntry(l)
	if err != nil {
		t.Fatal(err)
	}
	g.forget()
	release := g.block(segment.OpUnlink)
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: 4}}})
	<-g.held
	if n := len(g.only(persistence.OpCommit)); n < 2 {
		t.Errorf("%d transactions before the unlink, want the trim and the deletion of entries", n)
	}
	if _, err := l.Read(first, nil); err != nil {
		t.Errorf("read while the segment is about to go: %v", err)
	}
	release()
	waitForStep(t, g, segment.OpDir, 1)
	if _, err := l.Read(first, nil); err == nil || !errors.Is(err, persistence.ErrTrimmed) {
		t.Errorf("read of a trimmed batch: %v, want %v", err, persistence.ErrTrimmed)
	}
	expect(t, l, []int{4, 5}, func(int) int { return 60 << 10 })
	ids, err := segment.List(segment.Dir(filepath.Join(dir, "segments"), 1))
	if err != nil || ids[0] < 5 {
		t.Errorf("segments %v %v", ids, err)
	}
}

func firstEntry(l *persistence.Log) (e persistence.Entry, err error) {
	err = l.Entries(0, func(x persistence.Entry) bool { e = x; return false })
	return e, err
}

// Rule 25: the gid of a deleted log is never used again, and nothing of it
// comes back.
func TestADeletedLogStaysDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 10 {
		submit(t, s, appendOf(l, n, mixed(n), 1))
	}
	if err := s.DeleteLog("a"); err != nil {
		t.Fatal(err)
	}
	if err := try(s, appendOf(l, 0, small, 1)); !errors.Is(err, persistence.ErrDeleted) {
		t.Errorf("append to a deleted log: %v", err)
	}
	if l = openLog(t, s, "a", persistence.LogOptions{}); l.Next() != 0 {
		t.Errorf("a new log of the same name begins at %d", l.Next())
	}
	submit(t, s, appendOf(l, 20, large, 1))
	closeStore(t, s)
	s = open(t, dir)
	defer closeStore(t, s)
	expect(t, openLog(t, s, "a", persistence.LogOptions{}), []int{20}, mixedLarge)
	if _, err := os.Stat(segment.Dir(filepath.Join(dir, "segments"), 2)); err != nil {
		t.Errorf("the new log has no number of its own: %v", err)
	}
}

// Rule 26.
func TestWritesAreRefusedBeforeTheVolumeIsFull(t *testing.T) {
	s := open(t, t.TempDir(), func(o *persistence.Options) { o.MinFree = 1 << 60 })
	l, err := s.OpenLog("a", persistence.LogOptions{})
	if !errors.Is(err, persistence.ErrNoSpace) {
		t.Fatalf("open a log: %v %v", l, err)
	}
	if err := s.Writable(); !errors.Is(err, persistence.ErrNoSpace) || !strings.Contains(err.Error(), "MiB") {
		t.Fatalf("writable: %v", err)
	}
	closeStore(t, s)
}

func TestASecondProcessIsRefusedByNameAndPidOfTheFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer closeStore(t, s)
	_, err := tryOpen(t, dir)
	if !errors.Is(err, persistence.ErrInUse) {
		t.Fatalf("second open: %v", err)
	}
	for _, want := range []string{fmt.Sprint(os.Getpid()), filepath.Base(os.Args[0])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// Hazard B9: a stop between creation and extension of a file of Badger.
func TestZeroLengthFilesOfBadgerDoNotStopTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	submit(t, s, appendOf(openLog(t, s, "a", persistence.LogOptions{}), 0, small, 1))
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	for _, name := range []string{"00007.mem", "000009.vlog"} {
		if err := os.WriteFile(filepath.Join(crashed, "badger", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, crashed)
	defer closeStore(t, s)
	expect(t, openLog(t, s, "a", persistence.LogOptions{}), []int{0}, func(int) int { return small })
}

// A flipped bit can make one version of another: without a checksum the store
// would be refused for ever, and repair as well.
func TestAStoreOfAnotherVersionIsToldFromADamagedOne(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, dir))
	path := filepath.Join(dir, "format")
	ours, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(ours) * 8 {
		flipped := bytes.Clone(ours)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := persistence.Check(dir, persistence.Options{Log: quiet})
		if err != nil || len(r.Doubts) == 0 {
			t.Fatalf("format %q: check finds %v, %v", flipped, r.Doubts, err)
		}
	}
	other := fmt.Appendf(nil, "sluice store 99 %08x\n", crc32.Checksum([]byte("sluice store 99"), segment.Table))
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	var d *persistence.ErrDamaged
	if _, err := tryOpen(t, dir); err == nil || errors.As(err, &d) || !strings.Contains(err.Error(), "format 99") {
		t.Fatalf("open: %v", err)
	}
}
