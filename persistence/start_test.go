package persistence_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/segment"
)

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

// An older copy of Badger is found out even if the process was killed right
// after its start, before the witness had to hear of any write.
func TestABadgerFromBeforeTheLastOpeningIsRefused(t *testing.T) {
	dir, _ := history(t, false)
	g := newGate()
	s := open(t, dir, withFaults(g))
	closeStore(t, s)
	older := t.TempDir()
	copyTree(t, filepath.Join(dir, "badger"), older)
	s = open(t, dir, withFaults(g))
	release := g.block(persistence.OpWitness) // it hears nothing more
	submit(t, s, appendOf(openLog(t, s, "a", persistence.LogOptions{}), 1, small, 1))
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	release()
	closeStore(t, s)
	if err := os.RemoveAll(filepath.Join(crashed, "badger")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, older, filepath.Join(crashed, "badger"))
	var d *persistence.ErrDamaged
	if _, err := tryOpen(t, crashed); !errors.As(err, &d) || !strings.Contains(err.Error(), "are lost") {
		t.Errorf("opened with %v, want a refusal that names what is lost", err)
	}
}

// What Badger loses on its way is missed at the next start, though the stop
// before was clean.
func TestAnEndThatBadgerHasLostIsDamageAlsoAfterACleanStop(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	l := openLog(t, s, "a", persistence.LogOptions{})
	for n := range 5 {
		submit(t, s, appendOf(l, n, small, 10))
	}
	if err := s.DropLastEntryForTest(l); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	var d *persistence.ErrDamaged
	if _, err := tryOpen(t, dir); !errors.As(err, &d) || !strings.Contains(err.Error(), "log a, offsets 40 to 49: Badger has lost them") {
		t.Errorf("opened with %v, want a refusal that names offsets 40 to 49", err)
	}
}

// A stop does not declare whole what was damaged while the store was open.
func TestATableThatIsDamagedInUseIsRefusedAtTheNextStart(t *testing.T) {
	dir, acks := history(t, true)
	tables := filesOf(t, dir)[".sst"]
	if len(tables) == 0 {
		t.Fatal("there is no table")
	}
	s := open(t, dir)
	f, err := os.OpenFile(tables[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[0] ^ 1}, 100); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	var d *persistence.ErrDamaged
	if _, err := tryOpen(t, dir); !errors.As(err, &d) {
		t.Fatalf("opened with %v, want a refusal", err)
	}
	r, err := persistence.Repair(dir, true, persistence.Options{Log: quiet, MinFree: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer closeStore(t, s)
	at, _ := present(t, s)
	if lost := unnamed(at, acks, r.Doubts); len(lost) > 0 {
		t.Errorf("%d batches are gone and not named, first %v; named: %v", len(lost), lost[0], r.Doubts)
	}
}

// A start that was killed leaves a whole copy of Badger aside. When the Badger
// in use is replaced by an older one then, check says what open says, and a
// repair loses nothing.
func TestARepairPutsAWholeBadgerBackThatWasSetAside(t *testing.T) {
	dir, acks := history(t, false)
	older := t.TempDir()
	s := open(t, dir)
	copyTree(t, filepath.Join(dir, "badger"), older)
	a := openLog(t, s, "a", persistence.LogOptions{})
	w := appendOf(a, 1000, sizeOf(1000), 1)
	submit(t, s, w)
	closeStore(t, s)
	s = open(t, dir) // a process that is killed when the next one has begun
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	copyTree(t, filepath.Join(crashed, "badger"), filepath.Join(crashed, "aside"))
	if err := os.RemoveAll(filepath.Join(crashed, "badger")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, older, filepath.Join(crashed, "badger"))
	var d *persistence.ErrDamaged
	if _, err := tryOpen(t, crashed); !errors.As(err, &d) {
		t.Fatalf("opened with %v, want a refusal", err)
	}
	if r, err := persistence.Check(crashed, persistence.Options{Log: quiet}); err != nil || len(r.Doubts) == 0 {
		t.Errorf("check: %v, %v; want what open has said", r.Doubts, err)
	}
	if r, err := persistence.Repair(crashed, true, persistence.Options{Log: quiet, MinFree: 1 << 20}); err != nil || r.Kept == "" {
		t.Fatalf("repair: %+v, %v", r, err)
	}
	s = open(t, crashed)
	defer closeStore(t, s)
	at, doubts := present(t, s)
	acks = append(acks, ack{"a", 1000, int64(w.Appends[0].Base)})
	if lost := unnamed(at, acks, doubts); len(lost) > 0 || len(doubts) > 0 {
		t.Errorf("%d batches are gone, in doubt: %v", len(lost), doubts)
	}
}

// Rule 2: a transaction says up to where the frames of its logs are accounted
// for, so that no start takes them, or the state in them, a second time.
func TestWhatATransactionHoldsIsNotTakenAgain(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			l := openLog(t, s, "a", persistence.LogOptions{Flush: policy, State: [][]byte{{0x30, 'a'}}})
			for n := range 3 {
				submit(t, s, appendOf(l, n, large, 1))
				submit(t, s, &persistence.Write{Sets: []persistence.KV{{Key: []byte{0x30, 'a'}, Value: []byte{byte(n)}}}})
			}
			if _, _, err := s.Get([]byte{0}); err != nil { // brings everything into Badger
				t.Fatal(err)
			}
			crashed := t.TempDir()
			copyTree(t, dir, crashed)
			closeStore(t, s)
			s = open(t, crashed)
			defer closeStore(t, s)
			expect(t, openLog(t, s, "a", persistence.LogOptions{}), seeds(3), mixedLarge)
			ids, err := segment.List(segment.Dir(filepath.Join(crashed, "segments"), 1))
			if err != nil || len(ids) != 1 {
				t.Errorf("segments %v, %v; want no copy of frames that Badger knows", ids, err)
			}
		})
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

// No entry points into a segment that was just begun; without it the next
// append would end the node.
func TestAMissingNewestSegmentIsDamageAlsoWhenItHeldNoBatch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	openLog(t, s, "a", persistence.LogOptions{})
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	path := segment.Path(segment.Dir(filepath.Join(crashed, "segments"), 1), 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := tryOpen(t, crashed)
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) || !strings.Contains(err.Error(), path+" is missing") {
		t.Fatalf("open: %v", err)
	}
	if _, err := persistence.Repair(crashed, true, persistence.Options{Log: quiet, MinFree: 1 << 20}); err != nil {
		t.Fatalf("repair: %v", err)
	}
	s = open(t, crashed)
	defer closeStore(t, s)
	submit(t, s, appendOf(openLog(t, s, "a", persistence.LogOptions{}), 0, large, 1))
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
