package persistence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// gate lets a test stop, fail or watch every step that changes the disk.
type gate struct {
	mu    sync.Mutex
	steps []string
	hold  map[string]chan struct{} // closed: go on
	held  chan string
	fail  map[string]error
}

func newGate() *gate {
	return &gate{hold: map[string]chan struct{}{}, held: make(chan string, 1024), fail: map[string]error{}}
}

func (g *gate) Before(op, path string) error {
	g.mu.Lock()
	g.steps = append(g.steps, op+" "+filepath.Base(path))
	hold, err := g.hold[op], g.fail[op]
	if h := g.hold[op+" "+filepath.Base(filepath.Dir(path))]; h != nil {
		hold = h
	}
	g.mu.Unlock()
	if hold != nil {
		g.held <- op
		<-hold
	}
	return err
}

// block makes every op wait; the answer lets them go.
func (g *gate) block(op string) (release func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	g.hold[op] = ch
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		delete(g.hold, op)
		g.mu.Unlock()
		close(ch)
	}
}

func (g *gate) note(s string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps = append(g.steps, s)
}

// only are the steps among names, in order.
func (g *gate) only(names ...string) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.steps {
		op, _, _ := strings.Cut(s, " ")
		if slices.Contains(names, op) {
			out = append(out, op)
		}
	}
	return out
}

func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps = nil
}

func withFaults(f persistence.Faults) func(*persistence.Options) {
	return func(o *persistence.Options) { o.Faults = f }
}

// Rule 1: a small batch would overtake the large one before it, whose bytes
// are still being synced, and a reader would see a hole.
func TestASmallBatchWaitsForTheLargeOneBeforeIt(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g))
	defer closeStore(t, s)
	l, other := openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
	release := g.block(segment.OpSync)
	var c collect
	big, little := appendOf(l, 0, large, 1), appendOf(l, 1, small, 1)
	big.Done, little.Done = c.done(0), c.done(1)
	s.Submit(big)
	<-g.held
	s.Submit(little)
	submit(t, s, appendOf(other, 2, small, 1)) // another log does not wait
	if len(c.got) != 0 || l.Next() != 0 {
		t.Fatalf("acknowledged %v before the sync", c.got)
	}
	release()
	c.wg.Wait()
	if !slices.Equal(c.got, []int{0, 1}) {
		t.Fatalf("acknowledged in the order %v", c.got)
	}
}

// Rules 3 and 6: no transaction names bytes that are not synced, and no
// acknowledgement comes before the names of new files are on disk.
func TestASegmentIsSyncedThenItsFolderThenTheTransactionThenTheAck(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g), func(o *persistence.Options) { o.SegmentBytes = 100 << 10 })
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	submit(t, s, appendOf(l, 0, 80<<10, 1))
	g.forget()
	w := appendOf(l, 1, 80<<10, 1) // does not fit: a new segment
	done := make(chan struct{})
	w.Done = func(error) { g.note("ack"); close(done) }
	s.Submit(w)
	<-done
	got := g.only(segment.OpCreate, segment.OpWrite, segment.OpSync, segment.OpDir, persistence.OpCommit, "ack")
	want := []string{segment.OpWrite, segment.OpCreate, segment.OpWrite, segment.OpWrite, segment.OpSync, segment.OpSync, segment.OpDir, persistence.OpCommit, "ack"}
	if !slices.Equal(got, want) {
		t.Fatalf("steps %v, want %v", got, want)
	}
}

// Rule 4: under a lazy policy the acknowledgement follows the write; sync and
// transaction come later, in this order, and readers are served meanwhile.
func TestALazyLogAcknowledgesAfterTheWriteAndServesWhatItHas(t *testing.T) {
	g := newGate()
	dir := t.TempDir()
	s := open(t, dir, withFaults(g))
	l := openLog(t, s, "a", persistence.LogOptions{Flush: persistence.Interval(time.Hour), State: [][]byte{{0x30, 'a'}}})
	g.forget()
	for n := range 10 {
		w := appendOf(l, n, mixed(n), 1)
		w.Sets = []persistence.KV{{Key: []byte{0x30, 'a', 1}, Value: []byte{byte(n)}}}
		submit(t, s, w)
	}
	submit(t, s, &persistence.Write{Sets: []persistence.KV{{Key: []byte{0x30, 'a', 2}, Value: []byte{7}}}})
	if got := g.only(segment.OpSync, persistence.OpCommit); len(got) != 0 {
		t.Fatalf("%v before the interval was over", got)
	}
	expect(t, l, seeds(10), mixed)
	crashed := t.TempDir()
	copyTree(t, dir, crashed)

	v, ok, err := s.Get([]byte{0x30, 'a', 2}) // asks for everything to be in Badger
	if err != nil || !ok || v[0] != 7 {
		t.Fatalf("state %v %v %v", v, ok, err)
	}
	if got := g.only(segment.OpSync, persistence.OpCommit); len(got) < 2 || got[0] != segment.OpSync {
		t.Fatalf("steps %v, want the sync first", got)
	}
	closeStore(t, s)

	s = open(t, crashed) // a killed process loses nothing, also of the state
	defer closeStore(t, s)
	expect(t, openLog(t, s, "a", persistence.LogOptions{}), seeds(10), mixed)
	for key, want := range map[byte]byte{1: 9, 2: 7} {
		if v, ok, err := s.Get([]byte{0x30, 'a', key}); err != nil || !ok || v[0] != want {
			t.Errorf("state %d is %v %v %v, want %d", key, v, ok, err, want)
		}
	}
}

func TestALazyLogIsSyncedWithinItsInterval(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g))
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{Flush: persistence.Interval(10 * time.Millisecond)})
	release := g.block(persistence.OpCommit)
	submit(t, s, appendOf(l, 0, small, 1))
	if op := <-g.held; op != persistence.OpCommit { // comes without being asked for
		t.Fatalf("held %s", op)
	}
	release()
}

// Rule 5: a put to several logs is acknowledged after its transaction under
// every policy, and so are the puts behind it.
func TestAPutToSeveralLogsIsCommittedBeforeItsAckAlsoWhenLazy(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g))
	defer closeStore(t, s)
	lazy := persistence.LogOptions{Flush: persistence.Interval(time.Hour)}
	a, b := openLog(t, s, "a", lazy), openLog(t, s, "b", lazy)
	release := g.block(persistence.OpCommit)
	var c collect
	both := appendOf(a, 0, small, 1)
	both.Appends = append(both.Appends, persistence.Append{Log: b, Count: 1, Payload: batch(0, small)})
	both.Done = c.done(0)
	behind := appendOf(b, 1, small, 1)
	behind.Done = c.done(1)
	s.Submit(both)
	s.Submit(behind)
	<-g.held
	c.mu.Lock()
	if len(c.got) != 0 {
		t.Errorf("acknowledged %v before the transaction", c.got)
	}
	c.mu.Unlock()
	release()
	c.wg.Wait()
	if !slices.Equal(c.got, []int{0, 1}) {
		t.Fatalf("acknowledged in the order %v", c.got)
	}
}

// Rules 5 and 9: a crash between the syncs of two logs leaves a share without
// its partner. It must not appear, now or at any later start.
func TestAShareWithoutItsPartnerNeverAppears(t *testing.T) {
	g := newGate()
	dir := t.TempDir()
	s := open(t, dir, withFaults(g))
	a, b := openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
	for n := range 3 {
		submit(t, s, appendOf(a, n, large, 1))
		submit(t, s, appendOf(b, n, large, 1))
	}
	// b's worker does not come to write.
	release := g.block(segment.OpWrite + " " + filepath.Base(segment.Dir("", 2)))
	committed := g.block(persistence.OpCommit)
	w := appendOf(a, 3, large, 1)
	w.Appends = append(w.Appends, persistence.Append{Log: b, Count: 1, Payload: batch(3, large)})
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	s.Submit(w)
	<-g.held
	waitForStep(t, g, segment.OpSync, 7)
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	release()
	committed()
	<-done
	closeStore(t, s)

	for range 2 {
		s = open(t, crashed)
		a, b = openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
		expect(t, a, []int{0, 1, 2}, mixedLarge)
		again := t.TempDir()
		copyTree(t, crashed, again)
		closeStore(t, s)
		crashed = again
	}
	// The partner's offset is written by another put: the old share must not
	// take it for its own.
	s = open(t, crashed)
	a, b = openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
	submit(t, s, appendOf(b, 9, large, 1))
	again := t.TempDir()
	copyTree(t, crashed, again)
	closeStore(t, s)
	s = open(t, again)
	defer closeStore(t, s)
	expect(t, openLog(t, s, "a", persistence.LogOptions{}), []int{0, 1, 2}, mixedLarge)
	expect(t, openLog(t, s, "b", persistence.LogOptions{}), []int{0, 1, 2, 9}, mixedLarge)
}

// waitForStep returns when op was begun n times and nothing holds it.
func waitForStep(t *testing.T, g *gate, op string, n int) {
	t.Helper()
	for len(g.only(op)) < n {
		select {
		case <-t.Context().Done():
			t.Fatalf("%s was begun %d times, want %d", op, len(g.only(op)), n)
		case <-time.After(time.Millisecond):
		}
	}
}

// Rules 2 and 9: frames behind the position are taken once, up to the first
// that is damaged, and what comes behind that never comes back.
func TestFramesBehindADamagedOneNeverComeBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	l := openLog(t, s, "a", persistence.LogOptions{Flush: persistence.Interval(time.Hour)})
	for n := range 10 {
		submit(t, s, appendOf(l, n, small, 1))
	}
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	seg := segment.Path(segment.Dir(filepath.Join(crashed, "segments"), 1), 1)
	if err := rewrite(seg, func(b []byte) []byte { b[len(b)-5*small] ^= 1; return b }); err != nil {
		t.Fatal(err)
	}
	var kept []int
	for round := range 3 {
		s = open(t, crashed)
		l = openLog(t, s, "a", persistence.LogOptions{})
		if round == 0 {
			kept = seeds(int(l.Next()))
			if len(kept) < 4 || len(kept) > 6 {
				t.Fatalf("%d frames survive, want those before the damage", len(kept))
			}
		}
		expect(t, l, kept, func(int) int { return small })
		submit(t, s, appendOf(l, 100+round, small, 1))
		kept = append(kept, 100+round)
		again := t.TempDir()
		copyTree(t, crashed, again)
		closeStore(t, s)
		crashed = again
	}
}

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

// Rule 15: offsets that were acknowledged and lost with the machine are known
// to cursors and receivers; new records must not get them.
func TestALazyLogSkipsWhatTheMachineMayHaveLost(t *testing.T) {
	dir := t.TempDir()
	boot := func(id string) func(*persistence.Options) {
		return func(o *persistence.Options) { o.BootID = id }
	}
	s := open(t, dir, boot("first"))
	lazy := openLog(t, s, "lazy", persistence.LogOptions{Flush: persistence.Interval(time.Hour)})
	always := openLog(t, s, "always", persistence.LogOptions{})
	submit(t, s, appendOf(always, 0, small, 5))
	empty := segment.Path(segment.Dir(filepath.Join(dir, "segments"), 1), 1)
	st, err := os.Stat(empty)
	if err != nil {
		t.Fatal(err)
	}
	submit(t, s, appendOf(lazy, 0, small, 50))
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	// The page cache is gone.
	if err := os.Truncate(segment.Path(segment.Dir(filepath.Join(crashed, "segments"), 1), 1), st.Size()); err != nil {
		t.Fatal(err)
	}
	s = open(t, crashed, boot("second"))
	defer closeStore(t, s)
	lazy, always = openLog(t, s, "lazy", persistence.LogOptions{}), openLog(t, s, "always", persistence.LogOptions{})
	if lazy.Next() < 50 {
		t.Errorf("the lazy log goes on at %d and had acknowledged up to 50", lazy.Next())
	}
	if always.Next() != 5 {
		t.Errorf("the other log goes on at %d, want 5", always.Next())
	}
	w := appendOf(lazy, 1, small, 1)
	submit(t, s, w)
	expect(t, lazy, []int{1}, func(int) int { return small }) // the gap is known, no damage
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

func TestAStoreOfAnotherVersionIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("sluice store 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir); err == nil || !strings.Contains(err.Error(), "sluice store 99") {
		t.Fatalf("open: %v", err)
	}
}

func TestBadWritesAreRefusedInOrderAndWhole(t *testing.T) {
	s := open(t, t.TempDir())
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	var c collect
	for n := range 6 {
		w := appendOf(l, n, large, 1)
		switch n {
		case 1:
			w.Appends[0].Count = 0
		case 3:
			w.Sets = []persistence.KV{{Key: []byte{0x20}, Value: make([]byte, 2<<20)}}
		}
		w.Done = c.done(n)
		s.Submit(w)
	}
	c.wg.Wait()
	if !slices.Equal(c.got, seeds(6)) {
		t.Fatalf("answered in the order %v", c.got)
	}
	for n, err := range c.errs {
		if (err != nil) != (n == 1 || n == 3) {
			t.Errorf("write %d: %v", n, err)
		}
	}
	if !errors.Is(c.errs[3], persistence.ErrTooLarge) {
		t.Errorf("write 3: %v", c.errs[3])
	}
	expect(t, l, []int{0, 2, 4, 5}, mixedLarge)
	if l.Next() != 4 {
		t.Errorf("next %d, want 4: refused batches take no offsets", l.Next())
	}
}

// Rule 16.
func TestWithoutBadgerTheSegmentsTellMost(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	l := openLog(t, s, "orders", persistence.LogOptions{State: [][]byte{persistence.ChannelKey("agent", "c", "")}})
	submit(t, s, &persistence.Write{Sets: []persistence.KV{{Key: persistence.ChannelKey("agent", "c", "cursor"), Value: []byte{1}}}})
	for n := range 9 {
		w := appendOf(l, n, mixed(n), 10)
		w.Sets = []persistence.KV{{Key: checkpoint("orders", 1), Value: []byte{byte(n)}}}
		submit(t, s, w)
	}
	closeStore(t, s)
	if err := os.RemoveAll(filepath.Join(dir, "badger")); err != nil {
		t.Fatal(err)
	}
	_, err := tryOpen(t, dir)
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) {
		t.Fatalf("open without Badger: %v", err)
	}
	for _, want := range []string{"orders, offsets 0 to 19", "orders, offsets 30 to 49", "orders, offsets 60 to 79"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := persistence.Repair(dir, true, persistence.Options{Log: quiet, MinFree: 1 << 20}); err != nil {
		t.Fatalf("repair: %v", err)
	}
	s = open(t, dir)
	defer closeStore(t, s)
	l = openLog(t, s, "orders", persistence.LogOptions{})
	expect(t, l, []int{2, 5, 8}, mixed)
	if v, ok, err := s.Get(checkpoint("orders", 1)); err != nil || !ok || v[0] != 8 {
		t.Errorf("checkpoint %v %v %v, want that of the last frame", v, ok, err)
	}
	w := appendOf(l, 100, small, 1)
	submit(t, s, w)
	if w.Appends[0].Base < 90 {
		t.Errorf("the next offset is %d, below what was handed out", w.Appends[0].Base)
	}
}

// A lost middle can hide behind a newest end: Badger cuts each memtable's log
// by itself. Rule 10: the numbers of the transactions show it.
func TestAGapInTheTransactionsIsDamage(t *testing.T) {
	dir, _ := history(t, false)
	s, err := tryOpen(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DropSequenceForTest(2); err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	_, err = tryOpen(t, crashed)
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) || !strings.Contains(err.Error(), "transactions") {
		t.Fatalf("open: %v", err)
	}
}

func TestEntriesBeginWithTheBatchThatHoldsTheOffset(t *testing.T) {
	s := open(t, t.TempDir())
	defer closeStore(t, s)
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 30 {
		submit(t, s, appendOf(l, n, mixed(n), 10))
	}
	for _, from := range []record.Offset{0, 1, 9, 10, 155, 299, 300, 1000} {
		var got []record.Offset
		if err := l.Entries(from, func(e persistence.Entry) bool { got = append(got, e.Base); return len(got) < 2 }); err != nil {
			t.Fatal(err)
		}
		if want := from / 10 * 10; from < 300 && (len(got) == 0 || got[0] != want) || from >= 300 && len(got) != 0 {
			t.Errorf("from %d: %v", from, got)
		}
	}
	e := persistence.Entry{Base: 20, Last: 29} // made by hand
	b, err := l.Read(e, nil)
	if err != nil || binary.BigEndian.Uint64(b) != 20 || !bytes.Equal(b[8:], batch(2, mixed(2))[8:]) {
		t.Errorf("read of an entry made by hand: %v", err)
	}
}
