package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
)

// withKafka starts a node with Kafka's port in dir.
func withKafka(t testing.TB, dir string, change ...func(*config.Node)) *node.Node {
	t.Helper()
	cfg := config.Node{Name: "n1", Dir: dir, Flush: "always", Kafka: config.Kafka{Listen: "127.0.0.1:0", NumPartitions: 4, AutoCreateTopics: true}}
	for _, c := range change {
		c(&cfg)
	}
	n, err := node.Start(node.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func client(t testing.TB, n *node.Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.KafkaAddr())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAnOrdinaryClientProducesAndConsumesAcrossARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	one := withKafka(t, dir)
	if _, err := kadm.NewClient(client(t, one)).CreateTopic(soon(t), 3, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	p := client(t, one, kgo.DefaultProduceTopic("orders"))
	for i := range 100 {
		if err := p.ProduceSync(soon(t), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	id := one.ClusterID()
	stop(t, one)

	two := withKafka(t, dir)
	defer stop(t, two)
	if two.ClusterID() != id || id == "" {
		t.Errorf("cluster %q became %q", id, two.ClusterID())
	}
	c := client(t, two, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]bool{}
	for ctx := soon(t); len(seen) < 100; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
}

func TestClientsAreToldTheAdvertisedAddress(t *testing.T) {
	n := withKafka(t, t.TempDir(), func(c *config.Node) {
		c.Name, c.Kafka.Advertise, c.Kafka.Rack = "n3", "kafka.example:1234", "here"
	})
	defer stop(t, n)
	m, err := kadm.NewClient(client(t, n)).BrokerMetadata(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Brokers) != 1 || m.Brokers[0].NodeID != 3 || m.Brokers[0].Host != "kafka.example" || m.Brokers[0].Port != 1234 || *m.Brokers[0].Rack != "here" {
		t.Errorf("clients are told %+v", m.Brokers)
	}
	if m.Controller != 3 {
		t.Errorf("the controller is %d", m.Controller)
	}
}

// The switch is a config of brokers, and a flag is only what it begins with.
func TestAutoCreationIsSwitchedWhileTheNodeRuns(t *testing.T) {
	n := withKafka(t, t.TempDir(), func(c *config.Node) { c.Kafka.AutoCreateTopics = false })
	defer stop(t, n)
	admin := kadm.NewClient(client(t, n))
	produce := func(topic string) error {
		c := client(t, n, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
		return c.ProduceSync(soon(t), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	if err := produce("first"); err == nil {
		t.Error("a topic came into being though that is switched off")
	}
	on := "true"
	if _, err := admin.AlterBrokerConfigs(soon(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "auto.create.topics.enable", Value: &on}}); err != nil {
		t.Fatal(err)
	}
	if err := produce("second"); err != nil {
		t.Errorf("switched on: %v", err)
	}
	topics, err := admin.ListTopics(soon(t))
	if err != nil || len(topics["second"].Partitions) != 4 || topics.Has("first") {
		t.Errorf("there are %v, %v", topics.Names(), err)
	}
}

func TestStatusAndTheTreeShowTopicsAndTheirActors(t *testing.T) {
	n := withKafka(t, t.TempDir())
	defer stop(t, n)
	if _, err := kadm.NewClient(client(t, n)).CreateTopic(soon(t), 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	if err := client(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(soon(t),
		&kgo.Record{Topic: "orders", Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	st := n.Status()
	if st.Kafka == nil || st.Kafka.Cluster != n.ClusterID() || len(st.Kafka.Topics) != 1 {
		t.Fatalf("status: %+v", st.Kafka)
	}
	topic := st.Kafka.Topics[0]
	if topic.Name != "orders" || len(topic.Partitions) != 2 {
		t.Fatalf("topic: %+v", topic)
	}
	if p := topic.Partitions[1]; p.HighWatermark != 1 || p.LastStable != 1 || p.LogStart != 0 || p.Size == 0 || p.Leader != 1 || p.InSync != 1 {
		t.Errorf("partition 1: %+v", p)
	}
	if !st.Ready() {
		t.Errorf("not ready: %v", st.Reasons())
	}
	tree := n.ActorTree()
	for _, path := range []string{"broker", "broker/controller", "broker/partition/orders-1"} {
		if _, ok := tree.Find(path); !ok {
			t.Errorf("the tree has no %s", path)
		}
	}
	if b, _ := tree.Find("broker"); len(b.Children) < 4 {
		t.Errorf("below the broker are %d actors", len(b.Children))
	}
}

func TestANodeWithoutAPortServesNoTopics(t *testing.T) {
	n := withKafka(t, t.TempDir(), func(c *config.Node) { c.Kafka.Listen = "" })
	defer stop(t, n)
	if n.KafkaAddr() != "" || n.ClusterID() != "" || n.Broker() != nil || n.Status().Kafka != nil {
		t.Error("a broker runs")
	}
	if _, ok := n.ActorTree().Find("broker"); ok {
		t.Error("the tree has a broker")
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	one := withKafka(t, t.TempDir())
	defer stop(t, one)
	_, err := node.Start(node.Options{Config: config.Node{Name: "n1", Dir: t.TempDir(), Flush: "always", Kafka: config.Kafka{Listen: one.KafkaAddr()}}})
	if err == nil || !strings.Contains(err.Error(), one.KafkaAddr()) {
		t.Errorf("a port in use: %v", err)
	}
}

func BenchmarkStartWithKafka(b *testing.B) {
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		n := withKafka(b, filepath.Join(dir, fmt.Sprint(i)))
		b.StopTimer()
		if err := n.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
