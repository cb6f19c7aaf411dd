package partition_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// BenchmarkThousand starts a thousand partitions, leaves them idle for a while
// and starts them again: time of both, memory each, processor time while idle.
func BenchmarkThousand(b *testing.B) {
	const partitions = 1000
	for b.Loop() {
		n := newNode(b, b.TempDir())
		before := memory()
		begin := time.Now()
		startAll(b, n, partitions)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/create")
		b.ReportMetric(float64(memory()-before)/partitions, "B/partition")
		used, idle := processorTime(), time.Now()
		<-time.After(2 * time.Second)
		b.ReportMetric(100*float64(processorTime()-used)/float64(time.Since(idle)), "%core-idle")
		begin = time.Now()
		n.close()
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/close")
		begin = time.Now()
		n.open()
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/open")
		begin = time.Now()
		startAll(b, n, partitions)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/start")
		n.close()
	}
}

func startAll(b *testing.B, n *node, partitions int) {
	b.Helper()
	var refs []partition.Ref
	for i := range partitions {
		refs = append(refs, n.begin(partition.ID{Topic: "bench", Index: int32(i)}, func(e *partition.Env) { e.TendEvery = 0 }))
	}
	for _, r := range refs {
		if err := r.AwaitStart(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// memory is what the heap and the stacks hold.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpen is the start of a node with a partition of 512 MiB, after a
// clean stop and after a kill. The store and the partition count alike.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			n := newNode(b, b.TempDir())
			id := partition.ID{Topic: "bench"}
			lazy := func(e *partition.Env) { e.Config.Flush = persistence.Interval(time.Second) }
			r := n.start(id, lazy)
			value := string(bytes.Repeat([]byte("x"), size-100))
			var all answers
			for i := range (512 << 20) / size {
				all.append(r, by(batch(value), 7, 0, int32(i)))
				if i%64 == 0 {
					all.wg.Wait()
				}
			}
			all.wg.Wait()
			<-time.After(2 * time.Second) // a copy is like a kill only while nothing is written
			killed := &node{t: b, dir: b.TempDir()}
			if err := os.CopyFS(killed.dir, os.DirFS(n.dir)); err != nil {
				b.Fatal(err)
			}
			n.close()
			for b.Loop() {
				for what, n := range map[string]*node{"closed": n, "killed": killed} {
					begin := time.Now()
					n.open()
					n.start(id, lazy)
					b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/"+what)
					n.close()
				}
			}
		})
	}
}

// BenchmarkSteady is a thousand partitions that take ten batches of 1 KiB a
// second each, acknowledged on disk: how long an acknowledgement takes.
func BenchmarkSteady(b *testing.B) {
	const partitions, rounds, every = 1000, 50, 100 * time.Millisecond
	for b.Loop() {
		n := newNode(b, b.TempDir())
		var refs []partition.Ref
		for i := range partitions {
			refs = append(refs, n.begin(partition.ID{Topic: "bench", Index: int32(i)}))
		}
		for _, r := range refs {
			if err := r.AwaitStart(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		value := string(bytes.Repeat([]byte("x"), 1<<10-100))
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		begin, used := time.Now(), processorTime()
		for round := range rounds {
			for i, r := range refs { // spread over the round
				if wait := time.Until(begin.Add(time.Duration(round)*every + time.Duration(i)*every/partitions)); wait > time.Millisecond {
					<-time.After(wait)
				}
				all.Add(1)
				at := time.Now()
				r.Append(partition.Append{Batch: batch(value), LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) {
					if a.Err != nil {
						b.Error(a.Err)
					}
					mu.Lock()
					took = append(took, time.Since(at))
					mu.Unlock()
					all.Done()
				}})
			}
		}
		all.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/p50")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
		b.ReportMetric(float64(len(took))/time.Since(begin).Seconds(), "batches/s")
		b.ReportMetric(100*float64(processorTime()-used)/float64(time.Since(begin)), "%core")
		n.close()
	}
}
