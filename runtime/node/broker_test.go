package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/load"
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

// topicFile reads a topology in YAML.
func topicFile(t *testing.T, text string) *topologies.Topology {
	t.Helper()
	top, faults, err := load.Read([]flume.File{{Name: "shop.yaml", Data: []byte("version: 1\n" + text)}}, load.Options{})
	if err != nil || topologies.Failed(faults, "") {
		t.Fatal(faults, err)
	}
	return top
}

func TestTopicsOfATopologyAreMadeAndChangedAndNeverShrunk(t *testing.T) {
	n := withKafka(t, t.TempDir())
	defer stop(t, n)
	deploy := func(text string) (string, error) {
		plan, err := n.Deploy(soon(t), topicFile(t, text))
		return plan.String(), err
	}
	if plan, err := deploy("topics: {orders: {partitions: 3, configs: {retention.ms: 1000, cleanup.policy: [compact, delete]}}, plain: }"); err != nil || plan != "+2 ~0 -0 =0" {
		t.Fatal(plan, err)
	}
	image := n.Broker().Controller().Image
	orders, _ := image().Topic("orders")
	plain, _ := image().Topic("plain")
	if len(orders.Partitions) != 3 || orders.Configs["retention.ms"] != "1000" || orders.Configs["cleanup.policy"] != "compact,delete" || len(plain.Partitions) != 4 {
		t.Fatalf("orders is %+v, plain is %+v", orders, plain)
	}
	// What somebody sets by hand stays; what the file had and has no more goes.
	value := "5"
	if _, err := kadm.NewClient(client(t, n)).AlterTopicConfigs(soon(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: &value}}, "orders"); err != nil {
		t.Fatal(err)
	}
	const second = "topics: {orders: {partitions: 5, configs: {cleanup.policy: delete}}}"
	p, err := n.Plan(topicFile(t, second))
	if err != nil || len(p.Changes) != 2 || p.Changes[0].Why != "3 partitions become 5, cleanup.policy changes, retention.ms changes" {
		t.Fatalf("plan %+v, %v", p, err)
	}
	if plan, err := deploy(second); err != nil || plan != "+0 ~1 -0 =1" {
		t.Fatal(plan, err)
	}
	orders, _ = image().Topic("orders")
	if _, still := orders.Configs["retention.ms"]; still || len(orders.Partitions) != 5 || orders.Configs["cleanup.policy"] != "delete" || orders.Configs["segment.ms"] != "5" {
		t.Errorf("orders is %+v", orders)
	}
	if _, there := image().Topic("plain"); !there {
		t.Error("a topic that was left out is gone, with its records")
	}
	for text, want := range map[string]string{
		"topics: {orders: {partitions: 2}, third: }": "shop.yaml:2:31: topic orders has 5 partitions, and 2 would be fewer: the records of the others would be lost",
		"topics: {orders: {replicas: 2}, third: }":   "topic orders has 1 replicas",
		"topics: {second: {replicas: 2}, third: }":   "a replication factor of 2 needs as many brokers",
		"topics: {or.ders: , or_ders: , third: }":    "differ in '.' and '_' only",
	} {
		if _, err := deploy(text); !errors.Is(err, admin.ErrBadConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, made := image().Topic("third"); made {
		t.Error("of a topology that was refused a topic was made")
	}
	stopped := withKafka(t, t.TempDir(), func(c *config.Node) { c.Kafka.Listen = "" })
	defer stop(t, stopped)
	if _, err := stopped.Deploy(soon(t), topicFile(t, second)); !errors.Is(err, admin.ErrBadConfig) || !strings.Contains(err.Error(), "--kafka") {
		t.Errorf("topics on a node that serves none: %v", err)
	}
}
