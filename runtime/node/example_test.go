package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
)

// A test that needs Kafka starts a broker in its own process, on a free port and
// in a folder of its own; that takes some 40 ms. In a test the folder is
// t.TempDir() and Stop a t.Cleanup.
func ExampleStart_kafka() {
	dir, err := os.MkdirTemp("", "broker-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	n, err := node.Start(node.Options{Config: config.Node{
		Name: "n1", Dir: filepath.Join(dir, "data"), Flush: "always",
		Kafka: config.Kafka{Listen: "127.0.0.1:0", AutoCreateTopics: true, NumPartitions: 1},
	}})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer n.Stop(ctx)

	// From here on any client of Kafka will do.
	client, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("greetings"))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "greetings", Value: []byte("hello")}).FirstErr(); err != nil {
		panic(err)
	}
	client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		fmt.Printf("%s-%d@%d: %s\n", r.Topic, r.Partition, r.Offset, r.Value)
	})
	// Output: greetings-0@0: hello
}
