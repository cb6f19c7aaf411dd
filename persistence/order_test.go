package persistence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Rule 1: a small batch would overtake the large one before it, whose bytes
// are still being synced, and a reader would see a hole.
func TestASmallBatchWaitsForTheLargeOneBeforeIt(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g))
	defer closeStore(t, s)
	l, other := openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
	release := g.block(segment.OpSync)
	var c collect
	big, little := appendOf(l, 0, 20<<10, 1), appendOf(l, 1, small, 1)
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

// Small batches lie in their entries as long as few of a log are on their way.
// Behind more than that one sync of the segment takes many of them.
func TestSmallBatchesOfABusyLogGoIntoItsSegmentInOrder(t *testing.T) {
	g := newGate()
	s := open(t, t.TempDir(), withFaults(g))
	defer closeStore(t, s)
	l, idle := openLog(t, s, "a", persistence.LogOptions{}), openLog(t, s, "b", persistence.LogOptions{})
	release := g.block(persistence.OpCommit)
	g.forget()
	var c collect
	n := 0
	put := func(l *persistence.Log) {
		w := appendOf(l, n, small, 1)
		w.Done = c.done(n)
		s.Submit(w)
		n++
	}
	for range 30 {
		put(l)
	}
	<-g.held
	if got := g.only(segment.OpWrite); len(got) > 0 {
		t.Fatalf("%d writes to segments while 30 KiB are on their way", len(got))
	}
	for range 30 {
		put(l)
	}
	waitForStep(t, g, segment.OpSync, 1)
	put(idle)
	release()
	c.wg.Wait()
	steps := g.only(segment.OpWrite)
	if len(steps) == 0 || len(steps) > 27 {
		t.Errorf("%d writes for 27 batches of a busy log", len(steps))
	}
	idleOne := n - 1 // another log's: it may be anywhere in the order
	busy := slices.DeleteFunc(slices.Clone(c.got), func(i int) bool { return i == idleOne })
	if !slices.IsSorted(busy) {
		t.Errorf("acknowledged in the order %v", busy)
	}
	expect(t, l, seeds(60), func(int) int { return small })
	g.forget()
	put(l)
	c.wg.Wait()
	if got := g.only(segment.OpWrite); len(got) > 0 {
		t.Errorf("%v for a small batch of a log that has calmed down", got)
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

// A sync that is under way when the store is closed must not keep what was
// acknowledged after it began from being stored.
func TestWhatIsAcknowledgedDuringASyncIsStoredWhenTheStoreIsClosed(t *testing.T) {
	g := newGate()
	dir := t.TempDir()
	s := open(t, dir, withFaults(g))
	l := openLog(t, s, "a", persistence.LogOptions{Flush: persistence.Interval(time.Hour)})
	submit(t, s, appendOf(l, 0, small, 1))
	release := g.block(segment.OpSync)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		s.Get([]byte{0x20, 1}) // has the log flushed; the store may be closed when it reads
	}()
	<-g.held
	submit(t, s, appendOf(l, 1, small, 1))
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for try(s, &persistence.Write{}) == nil { // until it is being closed
	}
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	<-asked
	s = open(t, dir)
	defer closeStore(t, s)
	expect(t, openLog(t, s, "a", persistence.LogOptions{Flush: persistence.Interval(time.Hour)}), seeds(2), func(int) int { return small })
}
