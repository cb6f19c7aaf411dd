package persistence_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

// BenchmarkPut is a put's way from Submit to Done, acknowledged on disk:
// writers with so many batches in flight each, to a log of their own.
// SLUICE_THRESHOLD tries another border between entry and segment.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ writers, flight, size int }{
		{1, 1, 1 << 10}, {128, 1, 1 << 10}, {12, 1, 16 << 10}, {12, 4, 12 << 10}, {12, 4, 24 << 10}, {12, 4, 64 << 10},
	} {
		b.Run(fmt.Sprintf("%dx%dx%dKiB", c.writers, c.flight, c.size>>10), func(b *testing.B) {
			benchmarkPut(b, persistence.Always, c.writers, c.flight, c.size)
		})
	}
	b.Run("lazy/12x4x64KiB", func(b *testing.B) { benchmarkPut(b, persistence.Interval(1e9), 12, 4, 64<<10) })
}

func benchmarkPut(b *testing.B, flush persistence.Policy, writers, flight, size int) {
	threshold, _ := strconv.Atoi(os.Getenv("SLUICE_THRESHOLD"))
	s := open(b, b.TempDir(), func(o *persistence.Options) { o.Threshold = threshold })
	defer closeStore(b, s)
	logs := make([]*persistence.Log, writers)
	for i := range logs {
		logs[i] = openLog(b, s, fmt.Sprint(i), persistence.LogOptions{Flush: flush})
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, l := range logs {
		wg.Go(func() {
			free := make(chan *persistence.Write, flight)
			for range flight {
				w := appendOf(l, 0, size, 1)
				w.Done = func(err error) {
					if err != nil {
						b.Error(err)
					}
					free <- w
				}
				free <- w
			}
			for left.Add(-1) >= 0 {
				s.Submit(<-free)
			}
			for range flight {
				<-free
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkBorder puts batches around the border between entry and segment:
// compare SLUICE_THRESHOLD=1 with a large one.
func BenchmarkBorder(b *testing.B) {
	for _, writers := range []int{12, 128} {
		for _, size := range []int{3 << 10, 6 << 10, 12 << 10, 24 << 10, 48 << 10} {
			b.Run(fmt.Sprintf("%dx%dKiB", writers, size>>10), func(b *testing.B) {
				benchmarkPut(b, persistence.Always, writers, 48/min(writers, 48), size)
			})
		}
	}
}

// BenchmarkRead is one batch out of a segment, checked.
func BenchmarkRead(b *testing.B) {
	s := open(b, b.TempDir())
	defer closeStore(b, s)
	l := openLog(b, s, "a", persistence.LogOptions{})
	for n := range 64 {
		submit(b, s, appendOf(l, n, 64<<10, 1))
	}
	var entries []persistence.Entry
	if err := l.Entries(0, func(e persistence.Entry) bool { entries = append(entries, e); return true }); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 64<<10)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := l.Read(entries[i%64], buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens and closes a small store that was closed.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	l := openLog(b, s, "a", persistence.LogOptions{})
	for n := range 100 {
		submit(b, s, appendOf(l, n, mixed(n), 1))
	}
	closeStore(b, s)
	for b.Loop() {
		s := open(b, dir)
		b.StopTimer()
		closeStore(b, s)
		b.StartTimer()
	}
}
