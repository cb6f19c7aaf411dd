package persistence_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// quiet keeps the store's remarks out of the way of the tests'.
var quiet = slog.New(slog.DiscardHandler)

// open opens a store that fails the test instead of ending the process.
func open(t testing.TB, dir string, change ...func(*persistence.Options)) *persistence.Store {
	t.Helper()
	s, err := tryOpen(t, dir, change...)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func tryOpen(t testing.TB, dir string, change ...func(*persistence.Options)) (*persistence.Store, error) {
	t.Helper()
	o := persistence.Options{Log: quiet, MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }}
	for _, c := range change {
		c(&o)
	}
	return persistence.Open(dir, o)
}

func openLog(t testing.TB, s *persistence.Store, name string, o persistence.LogOptions) *persistence.Log {
	t.Helper()
	l, err := s.OpenLog(name, o)
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	return l
}

func closeStore(t testing.TB, s *persistence.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// submit hands w over and waits.
func submit(t testing.TB, s *persistence.Store, w *persistence.Write) {
	t.Helper()
	if err := try(s, w); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func try(s *persistence.Store, w *persistence.Write) error {
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	s.Submit(w)
	return <-done
}

// batch makes size bytes that only seed n could have made: room for the base
// offset, n, and noise.
func batch(n, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := 16; i < size; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], x)
		copy(b[i:], w[:])
	}
	return b
}

// appendOf is a write of one batch to l.
func appendOf(l *persistence.Log, n, size, count int) *persistence.Write {
	return &persistence.Write{Appends: []persistence.Append{{Log: l, Count: count, Payload: batch(n, size), MaxTime: int64(n)}}}
}

// content reads everything of l: the batches without their stamps.
func content(t testing.TB, l *persistence.Log) [][]byte {
	t.Helper()
	all, err := tryContent(l)
	if err != nil {
		t.Fatalf("read %s: %v", l.Name(), err)
	}
	return all
}

func tryContent(l *persistence.Log) (all [][]byte, err error) {
	var entries []persistence.Entry
	if err := l.Entries(0, func(e persistence.Entry) bool { entries = append(entries, e); return true }); err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := l.Read(e, nil)
		if err != nil {
			return nil, err
		}
		if got := record.Offset(binary.BigEndian.Uint64(b)); got != e.Base {
			return nil, fmt.Errorf("batch at %d is stamped %d", e.Base, got)
		}
		all = append(all, bytes.Clone(b))
	}
	return all, nil
}

// expect compares the content of l with the batches of seeds.
func expect(t testing.TB, l *persistence.Log, seeds []int, size func(n int) int) {
	t.Helper()
	got := content(t, l)
	if len(got) != len(seeds) {
		t.Fatalf("%s holds %d batches, want %d", l.Name(), len(got), len(seeds))
	}
	for i, n := range seeds {
		if !bytes.Equal(got[i][8:], batch(n, size(n))[8:]) {
			t.Fatalf("%s: batch %d is not the one of seed %d", l.Name(), i, n)
		}
	}
}

// collect returns a Done that notes what it is told under its number.
type collect struct {
	mu   sync.Mutex
	got  []int
	errs []error
	wg   sync.WaitGroup
}

func (c *collect) done(n int) func(error) {
	c.wg.Add(1)
	return func(err error) {
		c.mu.Lock()
		c.got, c.errs = append(c.got, n), append(c.errs, err)
		c.mu.Unlock()
		c.wg.Done()
	}
}

func seeds(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}
