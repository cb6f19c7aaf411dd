package broker_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// node is a broker over a store in a directory, and what must be stopped.
type node struct {
	*broker.Broker
	store *persistence.Store
	tree  *supervise.Tree
	once  sync.Once
}

func start(t testing.TB, dir string) *node {
	t.Helper()
	store, err := persistence.Open(dir, persistence.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	n := &node{store: store, tree: supervise.NewTree(system, quiet)}
	n.Broker, err = broker.Start(t.Context(), broker.Env{Store: store, Tree: n.tree, Log: quiet, Settings: broker.Settings{
		Node: 1, Settings: controller.Settings{NumPartitions: 4, Factor: 1}, OffsetsPartitions: 2, TransactionsPartitions: 2,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Register(t.Context(), "localhost", 9092); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.once.Do(func() {
		n.Broker.Stop()
		n.tree.System().Shutdown()
		n.store.Close()
	})
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func create(t testing.TB, n *node, topics ...controller.NewTopic) {
	t.Helper()
	results, err := n.Controller().CreateTopics(within(t), topics, false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		names = append(names, r.Topic.Name)
	}
	if err := n.AwaitTopics(within(t), names...); err != nil {
		t.Fatal(err)
	}
}

// write appends one record and answers its offset.
func write(t testing.TB, n *node, topic string, index int32, text string) record.Offset {
	t.Helper()
	ref, err := n.Partition(partition.ID{Topic: topic, Index: index})
	if err != nil {
		t.Fatalf("%s-%d: %v", topic, index, err)
	}
	s := record.NewSlab(len(text))
	defer s.Release()
	s.SetTime(time.Now().UnixMilli())
	s.Append([]byte(text))
	batch, err := s.Encode(nil, record.None)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan partition.Appended, 1)
	ref.Append(partition.Append{Batch: batch, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: func(a partition.Appended) { done <- a }})
	a := <-done
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	return a.Base
}

// read is the text of all records of a partition.
func read(t testing.TB, n *node, topic string, index int32) string {
	t.Helper()
	ref, err := n.Partition(partition.ID{Topic: topic, Index: index})
	if err != nil {
		t.Fatalf("%s-%d: %v", topic, index, err)
	}
	data, err := ref.Read(ref.LogStart(), ref.HighWatermark(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for len(data) > 0 {
		b, rest, err := record.Split(data)
		if err != nil {
			t.Fatal(err)
		}
		slab, err := record.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range slab.Len() {
			out = append(out, string(slab.Body(i)))
		}
		slab.Release()
		data = rest
	}
	return strings.Join(out, " ")
}

func newTopic(name string, partitions int32) controller.NewTopic {
	return controller.NewTopic{Name: name, Partitions: partitions, Factor: 1}
}

func TestATopicIsServedFromItsCreationOnAndAfterARestart(t *testing.T) {
	dir := t.TempDir()
	one := start(t, dir)
	create(t, one, newTopic("orders", 3))
	write(t, one, "orders", 0, "a")
	if base := write(t, one, "orders", 0, "b"); base != 1 {
		t.Errorf("the second record is at %d", base)
	}
	write(t, one, "orders", 2, "c")
	one.stop()

	two := start(t, dir)
	if err := two.AwaitAll(within(t)); err != nil {
		t.Fatal(err)
	}
	if a, b, c := read(t, two, "orders", 0), read(t, two, "orders", 1), read(t, two, "orders", 2); a != "a b" || b != "" || c != "c" {
		t.Errorf("after a restart the partitions hold %q, %q and %q", a, b, c)
	}
	if base := write(t, two, "orders", 0, "d"); base != 2 {
		t.Errorf("the third record is at %d", base)
	}
}

func TestMorePartitionsAreThereAtOnceAndEmpty(t *testing.T) {
	n := start(t, t.TempDir())
	create(t, n, newTopic("orders", 1))
	write(t, n, "orders", 0, "a")
	before, _ := n.Partition(partition.ID{Topic: "orders"})
	if _, err := n.Partition(partition.ID{Topic: "orders", Index: 1}); !errors.Is(err, broker.ErrUnknownPartition) {
		t.Errorf("a partition that is not there: %v", err)
	}
	r, err := n.Controller().CreatePartitions(within(t), []controller.MorePartitions{{Name: "orders", Count: 5}}, false)
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	if err := n.AwaitTopics(within(t), "orders"); err != nil {
		t.Fatal(err)
	}
	if base := write(t, n, "orders", 4, "z"); base != 0 {
		t.Errorf("the first record of a new partition is at %d", base)
	}
	if after, _ := n.Partition(partition.ID{Topic: "orders"}); before != after {
		t.Error("a partition that was there was started anew")
	}
}

// A topic that is made again must not show the records of the one before.
func TestADeletedTopicLeavesNothing(t *testing.T) {
	n := start(t, t.TempDir())
	create(t, n, newTopic("orders", 2))
	write(t, n, "orders", 0, "old")
	was, _ := n.Controller().Image().Topic("orders")
	remove(t, n, "orders")
	if err := n.AwaitTopics(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Partition(partition.ID{Topic: "orders"}); !errors.Is(err, broker.ErrUnknownPartition) {
		t.Errorf("a partition of a deleted topic: %v", err)
	}
	create(t, n, newTopic("orders", 2))
	if base := write(t, n, "orders", 0, "new"); base != 0 {
		t.Errorf("the first record of the new topic is at %d", base)
	}
	if got := read(t, n, "orders", 0); got != "new" {
		t.Errorf("the new topic holds %q", got)
	}
	gone(t, n, was.ID)
}

// gone fails unless the logs of a topic are deleted sooner or later.
func gone(t *testing.T, n *node, id controller.TopicID) {
	t.Helper()
	ctx := within(t)
	for slices.ContainsFunc(n.store.Logs(), func(name string) bool { return strings.Contains(name, id.Hex()) }) {
		if ctx.Err() != nil {
			t.Fatalf("logs of topic %s are still there: %v", id, n.store.Logs())
		}
		runtime.Gosched()
	}
}

func remove(t *testing.T, n *node, name string) {
	t.Helper()
	r, err := n.Controller().DeleteTopics(within(t), []controller.TopicRef{{Name: name}})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
}

// The node may stop between the decision to delete a topic and the deletion.
func TestLogsOfTopicsThatAreGoneAreDeletedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	one := start(t, dir)
	create(t, one, newTopic("orders", 1))
	write(t, one, "orders", 0, "a")
	topic, _ := one.Controller().Image().Topic("orders")
	one.StopFollowing()
	remove(t, one, "orders")
	one.stop()

	two := start(t, dir)
	gone(t, two, topic.ID)
}

func TestChangedConfigsReachThePartitionsThatRun(t *testing.T) {
	n := start(t, t.TempDir())
	create(t, n, newTopic("orders", 1))
	ref, err := n.Partition(partition.ID{Topic: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ref.Config(); got.MaxMessageBytes != 1048588 || got.TimestampAfter != time.Hour || got.Retention.Age != 7*24*time.Hour {
		t.Errorf("a topic with no configs has %+v", got)
	}
	set := func(kind controller.ResourceKind, resource, name, value string) {
		t.Helper()
		r, err := n.Controller().AlterConfigs(within(t), []controller.Alteration{{
			Resource: controller.Resource{Kind: kind, Name: resource}, Ops: []controller.ConfigOp{{Name: name, Value: &value}},
		}}, false)
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
		if err := n.AwaitTopics(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := ref.AwaitStart(within(t)); err != nil { // behind what it was told
			t.Fatal(err)
		}
	}
	set(controller.TopicResource, "orders", "max.message.bytes", "100")
	if got := ref.Config().MaxMessageBytes; got != 100 {
		t.Errorf("max.message.bytes is %d, was set to 100", got)
	}
	set(controller.BrokerResource, "", "log.retention.ms", "5000")
	if got := ref.Config().Retention.Age; got != 5*time.Second {
		t.Errorf("retention is %v where brokers have 5 s for all topics", got)
	}
	set(controller.TopicResource, "orders", "retention.ms", "9000")
	if got := ref.Config().Retention.Age; got != 9*time.Second {
		t.Errorf("retention is %v where the topic has 9 s of its own", got)
	}
}

// What killed the supervisor killed everything below it.
func TestABrokerThatFailsStartsAllItsPartsAnew(t *testing.T) {
	n := start(t, t.TempDir())
	create(t, n, newTopic("orders", 2))
	write(t, n, "orders", 1, "a")
	was, _ := n.Partition(partition.ID{Topic: "orders", Index: 1})
	seen := make(chan int, 100)
	defer n.Controller().Watch(func(i *controller.Image) { seen <- len(i.Topics()) })()
	if err := n.tree.Kill("broker", "for the test"); err != nil {
		t.Fatal(err)
	}
	ctx := within(t)
	for {
		is, err := n.Partition(partition.ID{Topic: "orders", Index: 1})
		if err == nil && is != was && is.Leading() {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the partition did not come back: %v", err)
		}
	}
	if got := read(t, n, "orders", 1); got != "a" {
		t.Errorf("it came back with %q", got)
	}
	create(t, n, newTopic("more", 1))
	for topics := range seen { // who watched before watches on
		if topics == 2 {
			break
		}
	}
}

// Large changes make the log of the metadata long enough to be cut behind a
// snapshot, so the second start reads what the snapshot says.
func TestLargeChangesOfTheMetadataSurviveRestarts(t *testing.T) {
	dir := t.TempDir()
	one := start(t, dir)
	create(t, one, newTopic("orders", 3))
	var text string
	for round := range 3 {
		noise := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{byte(round)}).Read(noise)
		text = base64.StdEncoding.EncodeToString(noise)
		if err := one.Controller().DeployTopology(within(t), "shop", text); err != nil {
			t.Fatal(err)
		}
	}
	one.stop()
	for range 2 {
		n := start(t, dir)
		if got := n.Controller().Image().Deployed()["shop"]; got != text {
			t.Errorf("of %d bytes %d came back, or others", len(text), len(got))
		}
		if orders, ok := n.Controller().Image().Topic("orders"); !ok || len(orders.Partitions) != 3 {
			t.Errorf("orders came back as %+v", orders)
		}
		n.stop()
	}
}

func TestACoordinatorIsChosenAsKafkaDoes(t *testing.T) {
	// What Java's hashCode of the name gives, by 50.
	for id, want := range map[string]int{"": 0, "a": 47, "group-1": 49, "polygenelubricants": 0, "grüße": 23, "😀": 49} {
		if got := broker.Slot(id, 50); got != want {
			t.Errorf("%q belongs to partition %d, want %d", id, got, want)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for _, partitions := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("%d partitions", partitions), func(b *testing.B) {
			dir := b.TempDir()
			n := start(b, dir)
			begin := time.Now()
			for i := range partitions / 1000 {
				create(b, n, newTopic(fmt.Sprintf("topic-%d", i), 1000))
			}
			created := time.Since(begin)
			n.stop()
			b.ReportAllocs()
			for b.Loop() {
				n := start(b, dir)
				if err := n.AwaitAll(within(b)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				n.stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(created.Milliseconds()), "created-ms")
		})
	}
}

// Nobody has to make the topics of coordinators.
func TestTheFirstQuestionForACoordinatorMakesItsTopic(t *testing.T) {
	n := start(t, t.TempDir())
	if _, there := n.Controller().Image().Topic("__transaction_state"); there {
		t.Fatal("the topic is there before anybody asked")
	}
	first, err := n.Txn("t1")
	if !errors.Is(err, broker.ErrCoordinatorLoading) {
		t.Fatalf("the first question: %v", err)
	}
	ctx := within(t)
	for err != nil {
		if first, err = n.Txn("t1"); ctx.Err() != nil || err != nil && !errors.Is(err, broker.ErrCoordinatorLoading) {
			t.Fatal(err)
		}
	}
	topic, _ := n.Controller().Image().Topic("__transaction_state")
	if !topic.Internal || len(topic.Partitions) != 2 || topic.Configs["cleanup.policy"] != "compact" {
		t.Errorf("the topic is %+v", topic)
	}
	if int(first.Index()) != broker.Slot("t1", 2) {
		t.Errorf("t1 is coordinated in partition %d", first.Index())
	}
	if again, err := n.Txn("t1"); err != nil || again != first {
		t.Errorf("asked again, it is another: %v", err)
	}
	if got := len(n.Txns()); got != 2 {
		t.Errorf("%d coordinators run for 2 partitions", got)
	}
}
