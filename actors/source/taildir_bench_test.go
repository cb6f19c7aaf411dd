package source_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/persistence/record"
)

// counting drops what it is given and ends the run after so many bytes.
type counting struct {
	bytes, batches, records int
	end                     int
	done                    context.CancelFunc
}

func (c *counting) Emit(ctx context.Context, batch *record.Slab, _ source.Checkpoint) error {
	c.bytes += batch.BodyBytes() + batch.Len()
	c.records += batch.Len()
	c.batches++
	batch.Release()
	if c.bytes >= c.end {
		c.done()
	}
	return nil
}

func (c *counting) Store(context.Context, *record.Slab) error { panic("taildir emits") }

func BenchmarkTaildir(b *testing.B) {
	dir := b.TempDir()
	size := writeLines(b, filepath.Join(dir, "a.log"), 256<<20)
	for _, batch := range []int{100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			batches := 0
			for range b.N {
				batches += readAll(b, dir, batch, size)
			}
			b.ReportMetric(float64(batches)/float64(b.N), "batches/op")
		})
	}
}

func readAll(b *testing.B, dir string, batch, size int) (batches int) {
	env := source.Env{Log: slog.New(slog.DiscardHandler), Dir: b.TempDir(), Counters: new(source.Counters)}
	src, err := newSource("taildir", map[string]string{
		"filegroups":   "g",
		"filegroups.g": filepath.Join(dir, `.*\.log`),
		"positionFile": filepath.Join(env.Dir, "position.json"),
		"batchSize":    fmt.Sprint(batch),
	}, env)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	out := &counting{end: size, done: cancel}
	if err := src.Run(ctx, out); err != nil || out.bytes != size {
		b.Fatalf("read %d of %d bytes: %v", out.bytes, size, err)
	}
	return out.batches
}

// writeLines writes lines of 200 bytes.
func writeLines(b *testing.B, path string, size int) int {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	n := 0
	for i := 0; n < size; i++ {
		line := fmt.Sprintf("2026-11-22T12:00:00.000Z web07 INFO seq=%09d %s\n", i, strings.Repeat("m", 149))
		n += len(line)
		w.WriteString(line)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkSpooldir(b *testing.B) {
	dir := b.TempDir()
	size := writeLines(b, filepath.Join(dir, "a.log"), 256<<20)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	batches := 0
	b.ResetTimer() // the file is written
	for range b.N {
		env := source.Env{Log: slog.New(slog.DiscardHandler), Dir: b.TempDir(), Counters: new(source.Counters)}
		src, err := newSource("spooldir", map[string]string{"spoolDir": dir, "batchSize": "1000"}, env)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		out := &counting{end: size, done: cancel}
		if err := src.Run(ctx, out); err != nil || out.bytes != size {
			b.Fatalf("read %d of %d bytes: %v", out.bytes, size, err)
		}
		cancel()
		batches += out.batches
	}
	b.ReportMetric(float64(batches)/float64(b.N), "batches/op")
}
