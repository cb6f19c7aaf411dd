package partition_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// BenchmarkAppend is a batch's way from Append to Done. Compare BenchmarkPut of
// the store: the same without a partition around it.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ partitions, flight, size int }{
		{1, 1, 1 << 10}, {1, 16, 1 << 10}, {128, 1, 1 << 10}, {12, 4, 12 << 10}, {12, 4, 64 << 10},
	} {
		b.Run(fmt.Sprintf("%dx%dx%dKiB", c.partitions, c.flight, c.size>>10), func(b *testing.B) {
			benchmarkAppend(b, persistence.Always, c.partitions, c.flight, c.size)
		})
	}
	b.Run("lazy/12x4x64KiB", func(b *testing.B) { benchmarkAppend(b, persistence.Interval(1e9), 12, 4, 64<<10) })
	b.Run("lazy/12x4x1KiB", func(b *testing.B) { benchmarkAppend(b, persistence.Interval(1e9), 12, 4, 1<<10) })
}

func benchmarkAppend(b *testing.B, flush persistence.Policy, partitions, flight, size int) {
	n := newNode(b, b.TempDir())
	refs := make([]partition.Ref, partitions)
	for i := range refs {
		refs[i] = n.begin(partition.ID{Topic: "bench", Index: int32(i)}, func(e *partition.Env) { e.Config.Flush = flush })
	}
	for _, r := range refs {
		if err := r.AwaitStart(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	value := string(bytes.Repeat([]byte("x"), size-100))
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, r := range refs {
		wg.Go(func() {
			type slot struct {
				partition.Append
			}
			free := make(chan *slot, flight)
			for range flight {
				s := &slot{}
				s.Append = partition.Append{Batch: batch(value), LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) {
					if a.Err != nil {
						b.Error(a.Err)
					}
					free <- s
				}}
				free <- s
			}
			for left.Add(-1) >= 0 {
				r.Append((<-free).Append)
			}
			for range flight {
				<-free
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkRead is a fetch of a mebibyte, from segments and from entries.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			n := newNode(b, b.TempDir())
			r := n.start(partition.ID{Topic: "bench"})
			value := string(bytes.Repeat([]byte("x"), size-100))
			var all answers
			for range (4 << 20) / size {
				all.append(r, batch(value))
			}
			all.wg.Wait()
			buf := record.GetBuffer(1 << 20)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			from := record.Offset(0)
			for b.Loop() {
				out, err := r.Read(from, r.HighWatermark(), 1<<20, buf[:0])
				if err != nil {
					b.Fatal(err)
				}
				var last record.Batch
				for rest := out; len(rest) > 0; {
					last, rest, _ = record.Split(rest)
				}
				if from = last.LastOffset() + 1; from+record.Offset((1<<20)/size) > r.HighWatermark() {
					from = 0
				}
			}
		})
	}
}
