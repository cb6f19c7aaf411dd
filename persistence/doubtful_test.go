package persistence_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

func boot(id string) func(*persistence.Options) {
	return func(o *persistence.Options) { o.BootID = id }
}

var hourly = persistence.LogOptions{Flush: persistence.Interval(time.Hour)}

// stopped is a store of boot "first" as a power cut leaves it: log "lazy" has
// acknowledged 50 offsets, of which the disk has only so many, and the witness
// has heard of them; log "always" has 5.
func stopped(t *testing.T, onDisk int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	heard := &tap{op: persistence.OpWitness, ch: make(chan struct{})}
	s := open(t, dir, boot("first"), withFaults(heard))
	lazy, always := openLog(t, s, "lazy", hourly), openLog(t, s, "always", persistence.LogOptions{})
	submit(t, s, appendOf(always, 0, small, 5))
	path := segment.Path(segment.Dir(filepath.Join(dir, "segments"), 1), 1)
	var size int64
	for n := range 5 {
		if n == onDisk {
			size = sizeOfFile(t, path)
		}
		submit(t, s, appendOf(lazy, n, small, 10))
	}
	for range 3 { // see history
		submit(t, s, &persistence.Write{Sets: []persistence.KV{{Key: []byte{0x20, 1}, Value: []byte{1}}}})
		<-heard.ch
	}
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	closeStore(t, s)
	if onDisk < 5 { // the page cache is gone
		if err := os.Truncate(segment.Path(segment.Dir(filepath.Join(crashed, "segments"), 1), 1), size); err != nil {
			t.Fatal(err)
		}
	}
	return crashed
}

func sizeOfFile(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// Rules 12 and 13: a node that stands alone goes on, and says which offsets of
// which logs it has lost: no more, no less.
func TestALazyLogNamesWhatTheMachineHasLost(t *testing.T) {
	for onDisk := range 6 {
		t.Run(fmt.Sprint(onDisk, " of 5 batches on disk"), func(t *testing.T) {
			dir := stopped(t, onDisk)
			first := record.Offset(onDisk * 10)
			r, err := persistence.Check(dir, persistence.Options{Log: quiet, BootID: "second"})
			if err != nil || len(r.Doubts) > 0 {
				t.Fatalf("check: %v, %v; this is no damage", r.Doubts, err)
			}
			if len(r.Remarks) != 1 || r.Remarks[0].Log != "lazy" || r.Remarks[0].First != first || r.Remarks[0].Next != 50 {
				t.Errorf("check before the start remarks %v, want offsets %d to 49 of lazy", r.Remarks, first)
			}
			var said bytes.Buffer
			s := open(t, dir, boot("second"), func(o *persistence.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
			got := s.Doubts()
			if len(got) != 1 || got[0].Log != "lazy" || got[0].First != first || got[0].Next != 50 || !strings.Contains(got[0].What, "interval:1h") {
				t.Errorf("in doubt: %v, want offsets %d to 49 of lazy, and its policy", got, first)
			}
			if want := fmt.Sprintf("log=lazy first=%d next=50", first); !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), want) {
				t.Errorf("logged %q, want a warning with %s", &said, want)
			}
			expect(t, openLog(t, s, "lazy", hourly), seeds(onDisk), func(int) int { return small })
			closeStore(t, s)

			// It is still known later, and not in doubt any more.
			r, err = persistence.Check(dir, persistence.Options{Log: quiet, BootID: "second"})
			if err != nil || len(r.Doubts) > 0 || len(r.Remarks) != 1 || r.Remarks[0].First != first || r.Remarks[0].What != got[0].What {
				t.Errorf("check later: %+v, %v", r, err)
			}
			s = open(t, dir, boot("third"))
			defer closeStore(t, s)
			if got := s.Doubts(); len(got) > 0 {
				t.Errorf("after a clean stop in doubt: %v", got)
			}
		})
	}
}

// A killed process leaves its pages to the system: nothing is in doubt.
func TestALazyLogOfAKilledProcessIsNotInDoubt(t *testing.T) {
	dir := stopped(t, 5)
	s := open(t, dir, boot("first"))
	defer closeStore(t, s)
	if got := s.Doubts(); len(got) > 0 {
		t.Errorf("in doubt: %v", got)
	}
	l := openLog(t, s, "lazy", hourly)
	w := appendOf(l, 5, small, 10)
	submit(t, s, w)
	if w.Appends[0].Base != 50 {
		t.Errorf("goes on at %d, want 50", w.Appends[0].Base)
	}
}

// Rule 15: offsets that were acknowledged and lost with the machine are known
// to cursors and receivers; new records must not get them.
func TestALazyLogSkipsWhatTheMachineMayHaveLost(t *testing.T) {
	dir := stopped(t, 2)
	kept := []int{0, 1}
	next := record.Offset(50)
	for round := range 3 { // also when the machine stops again and again
		s := open(t, dir, boot(fmt.Sprint("later ", round)))
		lazy, always := openLog(t, s, "lazy", hourly), openLog(t, s, "always", persistence.LogOptions{})
		if always.Next() != 5 {
			t.Errorf("the log that is not lazy goes on at %d, want 5", always.Next())
		}
		w := appendOf(lazy, 100+round, small, 1)
		submit(t, s, w)
		if w.Appends[0].Base < next {
			t.Errorf("round %d: offset %d is given out again, want at least %d", round, w.Appends[0].Base, next)
		}
		next = w.Appends[0].Base + 1
		kept = append(kept, 100+round)
		expect(t, lazy, kept, func(int) int { return small }) // the gap is known, no damage
		if _, _, err := s.Get([]byte{0}); err != nil {        // brings everything to disk
			t.Fatal(err)
		}
		crashed := t.TempDir()
		copyTree(t, dir, crashed)
		closeStore(t, s)
		dir = crashed
	}
}

// Rule 15: what was acknowledged while the witness was being written counts too.
func TestALazyLogSkipsWhatTheWitnessHasNotHeardOf(t *testing.T) {
	dir := t.TempDir()
	g := newGate()
	s := open(t, dir, boot("first"), withFaults(g))
	l := openLog(t, s, "lazy", hourly)
	path := segment.Path(segment.Dir("segments", 1), 1)
	size := sizeOfFile(t, filepath.Join(dir, path))
	release := g.block(persistence.OpWitness)
	submit(t, s, appendOf(l, 0, small, 50))
	<-g.held
	submit(t, s, appendOf(l, 1, small, 1000))
	crashed := t.TempDir()
	copyTree(t, dir, crashed)
	release()
	closeStore(t, s)
	if err := os.Truncate(filepath.Join(crashed, path), size); err != nil {
		t.Fatal(err)
	}
	s = open(t, crashed, boot("second"))
	defer closeStore(t, s)
	if next := openLog(t, s, "lazy", hourly).Next(); next < 1050 {
		t.Errorf("goes on at %d and had acknowledged up to 1050", next)
	}
}

// A start that is itself interrupted leaves the doubt to the next one.
func TestDoubtOutlivesAnInterruptedStart(t *testing.T) {
	dir := stopped(t, 3)
	g := newGate()
	g.fail[persistence.OpCommit] = os.ErrDeadlineExceeded
	if _, err := tryOpen(t, dir, boot("second"), withFaults(g), func(o *persistence.Options) { o.Fatal = func(error) {} }); err == nil {
		t.Fatal("opened, though no transaction could be written")
	}
	s := open(t, dir, boot("second"))
	defer closeStore(t, s)
	if got := s.Doubts(); len(got) != 1 || got[0].First != 30 || got[0].Next != 50 {
		t.Errorf("in doubt: %v, want offsets 30 to 49", got)
	}
}
