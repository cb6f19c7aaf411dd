package e2e

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sluicehq/sluice/e2e/check"
)

// syncBuffer is a buffer that may be read while a process writes to it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eosFault is what is done to the node while transactions are written.
type eosFault struct {
	name string
	// proxied: a proxy between clients and node repeats, delays and loses
	// Produce and EndTxn.
	proxied bool
	// killNode: the node is killed -9 when one EndTxn in so many is answered:
	// its decision is on disk, its markers may not be.
	killNode int
	// killActor: likewise the coordinators.
	killActor int
	// plain: clients as they were before every transaction had its own epoch.
	plain bool
	share int // of the transactions, in percent
}

// A plain client has nothing that tells a late request from one in time, so
// nothing is late where there are any.
var eosFaults = []eosFault{
	{name: "quiet", share: 10},
	{name: "proxy", proxied: true, share: 40},
	{name: "actors", proxied: true, killActor: 40, share: 20},
	{name: "node", proxied: true, killNode: 60, share: 20},
	{name: "plain", plain: true, killNode: 60, share: 10},
}

// Of each transaction everything is visible or nothing, whatever is done to the
// node and to the requests meanwhile; and nothing hangs.
func TestTransactionsAreWholeUnderFaults(t *testing.T) {
	total := times(1_000, 2_000, 100_000)
	for i, f := range eosFaults {
		t.Run(f.name, func(t *testing.T) {
			rnd := choices(t, 800+i)
			e := newEOS(t, f, rnd.Uint64())
			n := total * f.share / 100
			w := check.Workload{
				Seeds: []string{e.clients}, Topic: "eos", Partitions: 5, Writers: times(6, 6, 16), Transactions: n,
				RecordsMax: 6, Abort: 0.25, Timeout: 20 * time.Second, Seed: rnd.Uint64(),
			}
			if !f.proxied {
				w.Ended = func(int) { e.ended() }
			}
			if f.plain {
				w.Options = append(w.Options, kgo.MaxVersions(kversion.V3_9_0()))
			}
			e.node.createTopic(w.Topic, w.Partitions)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(times(5, 8, 50))*time.Minute)
			defer cancel()
			from := time.Now()
			h, err := check.Run(ctx, w)
			if err != nil {
				t.Fatalf("after %v: %v\n%s", time.Since(from), err, e.node.messages())
			}
			took := time.Since(from)
			e.calm()
			settle, done := context.WithTimeout(ctx, 3*w.Timeout)
			defer done()
			if err := check.Settle(settle, w); err != nil {
				t.Errorf("hangs: %v\n%s", err, e.node.messages())
			}
			reads, err := check.Read(ctx, w)
			if err != nil {
				t.Fatalf("%v\n%s", err, e.node.messages())
			}
			r := check.Judge(h, reads)
			t.Logf("%v: %s%s", took.Round(time.Millisecond), r, e.faults())
			if !r.OK() {
				t.Errorf("promises were broken\n%s", e.node.messages())
			}
			if r.Transactions != n || r.Committed < n/4 {
				t.Errorf("%d transactions, %d of them committed, want %d", r.Transactions, r.Committed, n)
			}
			e.node.stop()
		})
	}
}
