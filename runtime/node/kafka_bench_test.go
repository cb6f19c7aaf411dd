package node_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/runtime/config"
)

// The whole of a broker with a real client in the same process: values of
// 1 KiB into twelve partitions. e2e/bench/brokers has the figures that count.
func BenchmarkProduce(b *testing.B) {
	for _, flush := range []string{"always", "os"} {
		b.Run("flush="+flush, func(b *testing.B) {
			n := withKafka(b, b.TempDir(), func(c *config.Node) { c.Flush = flush })
			b.Cleanup(func() { _ = n.Stop(context.Background()) })
			fill(b, n.KafkaAddr(), b.N, func() { b.ResetTimer() })
		})
	}
}

func fill(b *testing.B, addr string, records int, ready func()) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(64<<10), kgo.MaxBufferedBytes(64<<20), kgo.RecordPartitioner(kgo.StickyPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(b.Context(), 12, 1, nil, "t"); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 1024)
	b.SetBytes(1024)
	ready()
	for range records {
		cl.Produce(b.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkConsume(b *testing.B) {
	n := withKafka(b, b.TempDir(), func(c *config.Node) { c.Flush = "os" })
	b.Cleanup(func() { _ = n.Stop(context.Background()) })
	fill(b, n.KafkaAddr(), b.N, func() {})
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	b.ResetTimer()
	for read := 0; read < b.N; {
		fs := cl.PollFetches(b.Context())
		if err := fs.Err0(); err != nil {
			b.Fatal(err)
		}
		read += fs.NumRecords()
	}
}
