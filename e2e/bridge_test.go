package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bridge is an agent that writes the lines of a log into a topic of its own
// process, over a file channel.
type bridge struct {
	*life
	kafka string // its port, the same in each run
}

func newBridge(t *testing.T, part int, channel string) *bridge {
	b := &bridge{life: newLife(t, choices(t, part), lifeSettings{channel: channel, sinks: 1, rotates: part%2 == 0})}
	b.kafka = freeAddr(t)
	text, err := os.ReadFile(b.conf)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, ".sinks.k1.") || strings.Contains(line, ".sinks.k1.channel") {
			kept = append(kept, line)
		}
	}
	conf := strings.Join(kept, "") + fmt.Sprintf(`
a1.sinks.k1.type = org.apache.flume.sink.kafka.KafkaSink
a1.sinks.k1.kafka.bootstrap.servers = %s
a1.sinks.k1.kafka.topic = lines
a1.sinks.k1.flumeBatchSize = %d
`, b.kafka, 1+b.rnd.IntN(200))
	if err := os.WriteFile(b.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bridge) run() *node {
	b.t.Helper()
	n := b.start("--kafka", b.kafka, "--auto-create-topics")
	n.mustBeReady()
	return n
}

// lines counts how often each line is in the topic.
func (b *bridge) lines(n *node, sent int, opts ...kgo.Opt) []int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), stillMax)
	defer cancel()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(n.kafka), kgo.ConsumeTopics("lines"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, "lines")
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	var all, got int64
	ends.Each(func(o kadm.ListedOffset) { all += o.Offset })
	seen := make([]int, sent)
	for got < all {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			b.t.Fatalf("%d of %d records: %v", got, all, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			id, ok := idOf(string(r.Value) + "\n")
			if !ok || id >= sent {
				b.t.Errorf("partition %d at %d: %.80q was never sent", r.Partition, r.Offset, r.Value)
				return
			}
			seen[id]++
		})
	}
	return seen
}

// isRead says that the source has settled the log to its end.
func (b *bridge) isRead() bool {
	text, err := os.ReadFile(filepath.Join(b.dir, "positions.json"))
	if err != nil {
		return false
	}
	var places []struct{ Pos int64 }
	if json.Unmarshal(text, &places) != nil {
		return false
	}
	read := int64(0)
	for _, p := range places {
		read += p.Pos
	}
	return read >= b.feed.bytes
}

func (b *bridge) mustBeOnce(n *node) {
	b.t.Helper()
	until(b.t, "every line has left the channel", func() bool {
		metrics := n.get("/metrics")
		return strings.Contains(metrics, `sluice_ledger_events{account="held",agent="a1",node="a1"} 0`) && b.isRead()
	})
	for name, opts := range map[string][]kgo.Opt{"plain": nil, "read_committed": {kgo.FetchIsolationLevel(kgo.ReadCommitted())}} {
		var lost, twice []int
		for id, times := range b.lines(n, b.feed.next, opts...) {
			switch {
			case times == 0:
				lost = append(lost, id)
			case times > 1:
				twice = append(twice, id)
			}
		}
		if len(lost)+len(twice) > 0 {
			b.t.Errorf("%s: of %d lines %d are lost, %d more than once\nlost: %s\ntwice: %s", name, b.feed.next, len(lost), len(twice), ranges(lost), ranges(twice))
		}
	}
}

// What neither Flume nor Kafka Connect has.
func TestEveryLineIsOnceInATopicOverAFileChannelThatIsKilled(t *testing.T) {
	for i := range times(1, 4, 40) {
		t.Run(fmt.Sprintf("life%d", i), func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, 900+i, "file")
			b.feed.begin()
			for range killsPerLife {
				n := b.run()
				time.Sleep(time.Duration(50+b.rnd.IntN(1200)) * time.Millisecond)
				n.kill()
			}
			n := b.run()
			b.feed.end(t)
			b.mustBeOnce(n)
			n.stop()
		})
	}
}
