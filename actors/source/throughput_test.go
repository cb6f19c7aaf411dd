package source_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
	"github.com/sluicehq/sluice/persistence/record"
)

// tally takes every batch and keeps only how many records came.
type tally struct {
	records atomic.Int64
	reached chan struct{}
	goal    int64
}

func (c *tally) Emit(ctx context.Context, batch *record.Slab, _ source.Checkpoint) error {
	return c.Store(ctx, batch)
}

func (c *tally) Store(_ context.Context, batch *record.Slab) error {
	n := int64(batch.Len())
	batch.Release()
	if now := c.records.Add(n); now >= c.goal && now-n < c.goal {
		close(c.reached)
	}
	return nil
}

// bodyOf is a line as the pipelines are measured with: 207 bytes on average.
func bodyOf(i int) string {
	s := fmt.Sprintf("INFO seq=%09d user=42 status=200 path=/api/v1/orders/7 msg=", i)
	return s + strings.Repeat("words ", 30)[:207-46-len(s)]
}

// Workload c: four connections that write 64 KiB at a time.
func BenchmarkSyslogTCP(b *testing.B) {
	var chunk strings.Builder
	lines := 0
	for chunk.Len() < 64<<10 {
		fmt.Fprintf(&chunk, "<134>1 2026-11-22T12:00:00.%03dZ web07 %s\n", lines%1000, bodyOf(lines))
		lines++
	}
	const clients = 4
	src := sourcetest.New(b, "syslogtcp", settings(), sourcetest.Env(b))
	out := &tally{reached: make(chan struct{}), goal: int64(clients * b.N * lines)}
	run := sourcetest.Start(b, src, out)
	b.ReportAllocs()
	b.SetBytes(int64(clients * chunk.Len()))
	b.ResetTimer()
	for range clients {
		conn := dial(b, src)
		go func() {
			for range b.N {
				if _, err := io.WriteString(conn, chunk.String()); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	<-out.reached
	b.StopTimer()
	b.ReportMetric(float64(out.goal)/b.Elapsed().Seconds(), "records/s")
	run.Stop()
}

// Workload d: four connections that send 100 events a request.
func BenchmarkHTTP(b *testing.B) {
	var events []string
	for i := range 100 {
		events = append(events, fmt.Sprintf(`{"headers":{"h":"a"},"body":%q}`, "2026-11-22T12:00:00.000Z web07 "+bodyOf(i)))
	}
	body := "[" + strings.Join(events, ",") + "]"
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	const clients = 4
	src := sourcetest.New(b, "http", settings(), sourcetest.Env(b))
	out := &tally{reached: make(chan struct{}), goal: int64(clients * b.N * 100)}
	run := sourcetest.Start(b, src, out)
	b.ReportAllocs()
	b.SetBytes(int64(clients * len(body)))
	b.ResetTimer()
	for range clients {
		conn := dial(b, src)
		go post(b, conn, request)
	}
	<-out.reached
	b.StopTimer()
	b.ReportMetric(float64(out.goal)/b.Elapsed().Seconds(), "records/s")
	run.Stop()
}

// post sends request b.N times and waits for each answer.
func post(b *testing.B, conn net.Conn, request string) {
	answer := make([]byte, 4096)
	for range b.N {
		if _, err := io.WriteString(conn, request); err != nil {
			b.Error(err)
			return
		}
		if n, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), fmt.Sprintf("HTTP/1.1 %d", http.StatusOK)) {
			b.Errorf("got %q, %v", answer[:n], err)
			return
		}
	}
}
