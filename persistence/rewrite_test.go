package persistence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// stored is a batch as a reader finds it.
type stored struct {
	base, last record.Offset // of its entry
	seed       uint64
	size       int
}

// walk reads everything of l, entry by entry.
func walk(l *persistence.Log) (all []stored, err error) {
	var entries []persistence.Entry
	if err := l.Entries(0, func(e persistence.Entry) bool { entries = append(entries, e); return true }); err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := l.Read(e, nil)
		if err != nil {
			return nil, err
		}
		if stamp := record.Offset(binary.BigEndian.Uint64(b)); stamp < e.Base || stamp > e.Last {
			return nil, fmt.Errorf("the batch of %d to %d is stamped %d", e.Base, e.Last, stamp)
		}
		seed := binary.BigEndian.Uint64(b[8:])
		if !bytes.Equal(b[8:], batch(int(seed), len(b))[8:]) {
			return nil, fmt.Errorf("the batch of %d to %d is not whole", e.Base, e.Last)
		}
		all = append(all, stored{e.Base, e.Last, seed, len(b)})
	}
	return all, nil
}

func mustWalk(t testing.TB, l *persistence.Log) []stored {
	t.Helper()
	all, err := walk(l)
	if err != nil {
		t.Fatalf("read %s: %v", l.Name(), err)
	}
	return all
}

// rewriteBelow drops of the batches below to those whose seed is odd, but for the
// last, and makes the others those of seed + 1000 and half as large.
func rewriteBelow(l *persistence.Log, to record.Offset, sets ...persistence.KV) error {
	r, err := l.Rewrite(to)
	if err != nil {
		return err
	}
	if err := rewriteAll(l, r, to); err != nil {
		return errors.Join(err, r.Cancel())
	}
	return r.Finish(sets...)
}

func rewriteAll(l *persistence.Log, r *persistence.Rewrite, to record.Offset) error {
	var entries []persistence.Entry
	err := l.Entries(0, func(e persistence.Entry) bool {
		if e.Last < to {
			entries = append(entries, e)
		}
		return e.Last < to
	})
	for _, e := range entries {
		b, err := l.Read(e, nil)
		if err != nil {
			return err
		}
		seed := binary.BigEndian.Uint64(b[8:])
		if seed%2 == 1 && e.Last+1 < to {
			r.Drop(e)
			continue
		}
		out := batch(int(seed)+1000, max(len(b)/2, 64))
		copy(out, b[:8])
		e.MaxTime += 5
		if err := r.Keep(e, out); err != nil {
			return err
		}
	}
	return err
}

// after is what rewriteBelow makes of before.
func after(before []stored, to record.Offset) (all []stored) {
	base := record.Offset(-1)
	for _, b := range before {
		if b.last >= to {
			all = append(all, b)
			continue
		}
		if base < 0 {
			base = b.base
		}
		if b.seed%2 == 1 && b.last+1 < to {
			continue
		}
		all = append(all, stored{base, b.last, b.seed + 1000, max(b.size/2, 64)})
		base = -1
	}
	return all
}

// fillLog appends n batches of three records of all sizes, from seed on.
func fillLog(t testing.TB, s *persistence.Store, l *persistence.Log, seed, n int) {
	t.Helper()
	for i := range n {
		submit(t, s, appendOf(l, seed+i, mixed(seed+i), 3))
	}
}

func smallSegments(o *persistence.Options) {
	o.SegmentBytes, o.SkipChild = 100<<10, true
}

// Compaction replaces batches; the others, those behind, and all of them after a
// restart must be what they were.
func TestARewrittenLogReadsAsItWasRewritten(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, smallSegments)
			l := openLog(t, s, "a", persistence.LogOptions{Flush: policy})
			fillLog(t, s, l, 0, 30)
			want := mustWalk(t, l)
			for round, to := range []record.Offset{45, 60, 60, 90} {
				want = after(want, to)
				key := []byte{0x20, byte(round)}
				if err := rewriteBelow(l, to, persistence.KV{Key: key, Value: []byte{7}}); err != nil {
					t.Fatal(err)
				}
				if _, ok, err := s.Get(key); !ok || err != nil {
					t.Errorf("round %d: what belongs to it is %t %v", round, ok, err)
				}
				if got := mustWalk(t, l); !slices.Equal(got, want) || l.Rewritten() != to {
					t.Fatalf("round %d: up to %d\n%v, want\n%v", round, l.Rewritten(), got, want)
				}
				fillLog(t, s, l, 100*round+100, 10)
				want = append(want, mustWalk(t, l)[len(want):]...)
				if round%2 == 0 {
					continue
				}
				closeStore(t, s)
				s = open(t, dir, smallSegments)
				l = openLog(t, s, "a", persistence.LogOptions{Flush: policy})
				if got := mustWalk(t, l); !slices.Equal(got, want) || l.Rewritten() != to {
					t.Fatalf("round %d, opened again: up to %d\n%v, want\n%v", round, l.Rewritten(), got, want)
				}
			}
			closeStore(t, s)
		})
	}
}

// What a rewriting has replaced is given back: entries, segments and folders.
func TestWhatWasRewrittenGivesItsSpaceBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, smallSegments)
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 20 {
		submit(t, s, appendOf(l, 2*n, 4*large, 1)) // a fourth of it is still large
	}
	segments := func() (all []string) {
		err := filepath.WalkDir(filepath.Join(dir, "segments"), func(path string, d os.DirEntry, err error) error {
			if filepath.Ext(path) == ".seg" {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := len(segments())
	for range 3 {
		if err := rewriteBelow(l, 18); err != nil {
			t.Fatal(err)
		}
		fillLog(t, s, l, 100, 1)
	}
	// A trim has the rest swept.
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: 3}}})
	closeStore(t, s)
	s = open(t, dir, smallSegments)
	l = openLog(t, s, "a", persistence.LogOptions{})
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: 4}}})
	if err := s.TendForTest(); err != nil {
		t.Fatal(err)
	}
	left := segments()
	if n := len(left); n >= before/2 {
		t.Errorf("%d segments of %d are left: %v", n, before, left)
	}
	folders, err := filepath.Glob(filepath.Join(dir, "segments", "*", "g*"))
	if err != nil || len(folders) != 1 {
		t.Errorf("folders of generations: %v %v", folders, err)
	}
	if got := mustWalk(t, l); got[0].base != 4 || len(got) != 16+3 {
		t.Errorf("%d batches from %d", len(got), got[0].base)
	}
	closeStore(t, s)
}

// copier copies the store at every step that changes the disk, as a process
// that was killed then would have left it.
type copier struct {
	mu     sync.Mutex
	t      *testing.T
	from   string
	root   string
	on     bool
	steps  []string
	copies []string
}

func (c *copier) Before(op, path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on || op == persistence.OpWitness {
		return nil
	}
	to := filepath.Join(c.root, fmt.Sprintf("%03d", len(c.copies)))
	copyTree(c.t, c.from, to)
	c.copies, c.steps = append(c.copies, to), append(c.steps, op+" "+filepath.Base(path))
	return nil
}

// Rule 24: killed at any step, the log is what it was before or what it is
// after, and nothing else; and it can be rewritten then.
func TestALogKilledWhileItIsRewrittenIsTheOldOneOrTheNewOne(t *testing.T) {
	c := &copier{t: t, from: t.TempDir(), root: t.TempDir()}
	s := open(t, c.from, smallSegments, withFaults(c))
	l := openLog(t, s, "a", persistence.LogOptions{})
	const to = 30
	fillLog(t, s, l, 0, 16)
	if err := rewriteBelow(l, 6); err != nil { // there is a generation already
		t.Fatal(err)
	}
	before := mustWalk(t, l)
	want := after(before, to)
	c.mu.Lock()
	c.on = true
	c.mu.Unlock()
	key := []byte{0x20, 1}
	if err := rewriteBelow(l, to, persistence.KV{Key: key, Value: []byte{7}}); err != nil {
		t.Fatal(err)
	}
	if err := s.TendForTest(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.on = false
	c.mu.Unlock()
	closeStore(t, s)
	olds, news := 0, 0
	for i, dir := range c.copies {
		s, err := tryOpen(t, dir, smallSegments)
		if err != nil {
			t.Fatalf("killed before step %d, %s: %v", i, c.steps[i], err)
		}
		l := openLog(t, s, "a", persistence.LogOptions{})
		got := mustWalk(t, l)
		_, done, err := s.Get(key)
		switch {
		case err != nil:
			t.Fatal(err)
		case slices.Equal(got, before) && !done:
			olds++
			got = want
			if err := rewriteBelow(l, to); err != nil {
				t.Fatalf("killed before step %d, %s: again: %v", i, c.steps[i], err)
			}
		case slices.Equal(got, want) && done:
			news++
		default:
			t.Fatalf("killed before step %d, %s: with what belongs to it: %t\n%v\nwas\n%v\nbecomes\n%v", i, c.steps[i], done, got, before, want)
		}
		submit(t, s, appendOf(l, 500, large, 1))
		if err := s.TendForTest(); err != nil {
			t.Fatal(err)
		}
		if now := mustWalk(t, l); !slices.Equal(now[:len(got)], got) || len(now) != len(got)+1 {
			t.Fatalf("killed before step %d, %s: later\n%v\nwant\n%v", i, c.steps[i], now, got)
		}
		if folders, _ := filepath.Glob(filepath.Join(dir, "segments", "*", "g*")); len(folders) > 1 {
			t.Errorf("killed before step %d, %s: left %v", i, c.steps[i], folders)
		}
		closeStore(t, s)
	}
	if olds < 5 || news < 3 {
		t.Errorf("%d copies have the old generation, %d the new one: %v", olds, news, c.steps)
	}
}

// A reader sees one generation or the other, never a hole.
func TestReadersNeverSeeAHoleWhileALogIsRewritten(t *testing.T) {
	s := open(t, t.TempDir(), smallSegments)
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	fillLog(t, s, l, 0, 40)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	read := func(once func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	end := l.Next()
	read(func() error {
		var entries []persistence.Entry
		if err := l.Entries(0, func(e persistence.Entry) bool { entries = append(entries, e); return true }); err != nil {
			return err
		}
		at := record.Offset(0)
		for _, e := range entries {
			if e.Base != at {
				return fmt.Errorf("no entry from %d to %d", at, e.Base)
			}
			at = e.Last + 1
			b, err := l.Read(e, nil)
			if err != nil {
				return err
			}
			// It may be the one behind, if that of e was dropped meanwhile.
			if stamp := record.Offset(binary.BigEndian.Uint64(b)); stamp < e.Base || !bytes.Equal(b[8:], batch(int(binary.BigEndian.Uint64(b[8:])), len(b))[8:]) {
				return fmt.Errorf("the batch of %d to %d is stamped %d, or not whole", e.Base, e.Last, stamp)
			}
		}
		return nil
	})
	read(func() error {
		at := record.Offset(0)
		for at < end {
			b, err := l.ReadBatches(at, end, 100<<10, nil)
			if err != nil || len(b) == 0 {
				return fmt.Errorf("read from %d: %d bytes, %v", at, len(b), err)
			}
			record.PutBuffer(b)
			err = l.Entries(at, func(e persistence.Entry) bool { at = e.Last + 1; return false })
			if err != nil {
				return err
			}
		}
		return nil
	})
	for n := range count(6, 60) {
		if err := rewriteBelow(l, record.Offset(30+3*min(n, 25))); err != nil {
			t.Error(err)
			break
		}
		if err := s.TendForTest(); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
}

func TestARewritingThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	g := newGate()
	dir := t.TempDir()
	s := open(t, dir, smallSegments, withFaults(g))
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	fillLog(t, s, l, 0, 20)
	want := mustWalk(t, l)
	for name, end := range map[string]func(r *persistence.Rewrite) error{
		"canceled":            func(r *persistence.Rewrite) error { return r.Cancel() },
		"without its last":    func(r *persistence.Rewrite) error { r.Drop(persistence.Entry{}); return r.Finish() },
		"too large to finish": func(r *persistence.Rewrite) error { return r.Finish(persistence.KV{}) },
	} {
		r, err := l.Rewrite(30)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := l.Rewrite(30); !errors.Is(err, persistence.ErrRewriting) {
			t.Errorf("a second one at the same time: %v", err)
		}
		if err := rewriteAll(l, r, 30); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := end(r); (err == nil) != (name == "canceled") {
			t.Errorf("%s: %v", name, err)
		}
		if got := mustWalk(t, l); !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", name, got, want)
		}
		if folders, _ := filepath.Glob(filepath.Join(dir, "segments", "*", "g*")); len(folders) > 0 {
			t.Errorf("%s: left %v", name, folders)
		}
	}
	for _, to := range []record.Offset{0, 60, 61} {
		if _, err := l.Rewrite(to); err == nil {
			t.Errorf("rewrite up to %d of 60 offsets", to)
		}
	}
	// A disk that refuses to write is no reason to stop: one that refuses to
	// sync is.
	g.mu.Lock()
	g.fail[segment.OpWrite] = errors.New("no space")
	g.mu.Unlock()
	if err := rewriteBelow(l, 30); err == nil {
		t.Error("rewritten on a full disk")
	}
	g.mu.Lock()
	delete(g.fail, segment.OpWrite)
	g.mu.Unlock()
	if err := rewriteBelow(l, 30); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestARewrittenLogCanBeTrimmedAndDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, smallSegments)
	l := openLog(t, s, "a", persistence.LogOptions{})
	fillLog(t, s, l, 0, 20)
	if err := rewriteBelow(l, 45); err != nil {
		t.Fatal(err)
	}
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: 31}}})
	if err := s.TendForTest(); err != nil {
		t.Fatal(err)
	}
	want := mustWalk(t, l)
	if want[0].last < 31 || want[0].base > 31 {
		t.Fatalf("trimmed to 31: %v", want)
	}
	closeStore(t, s)
	s = open(t, dir, smallSegments)
	l = openLog(t, s, "a", persistence.LogOptions{})
	if got := mustWalk(t, l); !slices.Equal(got, want) {
		t.Fatalf("opened again: %v, want %v", got, want)
	}
	submit(t, s, &persistence.Write{Trims: []persistence.Trim{{Log: l, To: l.Next()}}})
	if got := mustWalk(t, l); len(got) != 0 {
		t.Errorf("all of it trimmed: %v", got)
	}
	if err := s.DeleteLog("a"); err != nil {
		t.Fatal(err)
	}
	if err := s.TendForTest(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, dir, smallSegments)
	defer closeStore(t, s)
	if got := mustWalk(t, openLog(t, s, "a", persistence.LogOptions{})); len(got) != 0 {
		t.Errorf("deleted and made again: %v", got)
	}
}
