package channel_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// TestMain is a Kafka cluster where a test has started it as a process of its
// own.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_CLUSTER") == "" {
		persistence.MaybeStoreCheck()
		os.Exit(m.Run())
	}
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flume-channel"), kfake.SeedTopics(4, "four"))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(fake.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	os.Exit(0)
}

// cluster is a Kafka cluster with the topics flume-channel (1 partition) and
// four (4).
type cluster struct {
	t       *testing.T
	servers string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c, cmd := &cluster{t: t}, exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_CLUSTER=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(stdout, &c.servers); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.servers))...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// read is the first n records of a topic.
func (c *cluster) read(topic string, n int) (all []*kgo.Record) {
	c.t.Helper()
	cl := c.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("topic %s has %d records, want %d", topic, len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func (c *cluster) spec(name string, settings map[string]string) *channel.Spec {
	c.t.Helper()
	all := map[string]string{"kafka.bootstrap.servers": c.servers}
	for k, v := range settings {
		all[k] = v
	}
	remote, err := channel.NewRemote(topologies.SettingsOf(kinds.Channel, "kafka", all), slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	return &channel.Spec{Agent: "a1", Name: name, Capacity: channel.RemoteCapacity, Remote: remote}
}

// puts puts one event after the other.
func puts(t *testing.T, n *channeltest.Node, to channel.Ref, fill func(s *record.Slab)) error {
	t.Helper()
	s := record.NewSlab(100)
	s.SetTime(1000)
	fill(s)
	a := ask.NewAsker(n.System)
	defer a.Close()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := channel.Put(ctx, a, n.Store, []channel.Share{{To: to, Batch: s}}, 0, func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

// What Flume's channel writes into the topic, to the byte; and no sink: nothing
// is read.
func TestATopicHasWhatFlumesChannelWrites(t *testing.T) {
	c := newCluster(t)
	n := channeltest.Open(t, t.TempDir())
	defer n.Close()
	avro := n.Spawn(c.spec("avro", map[string]string{"kafka.topic": "four", "partitionIdHeader": "part", "defaultPartitionId": "2"}))
	plain := n.Spawn(c.spec("plain", map[string]string{"topic": "flume-channel", "parseAsFlumeEvent": "false"}))
	for _, err := range []error{
		puts(t, n, avro, func(s *record.Slab) {
			s.Append([]byte("one"))
			s.SetHeader(0, "part", []byte("3"))
			s.Append([]byte("two"))
			s.SetHeader(1, "key", []byte("k"))
		}),
		puts(t, n, plain, func(s *record.Slab) {
			s.Append([]byte("three"))
			s.SetHeader(0, "key", []byte("k3"))
			s.SetHeader(0, "lost", []byte("x"))
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := c.read("four", 2)
	slices.SortFunc(got, func(a, b *kgo.Record) int { return int(b.Partition - a.Partition) })
	want := []string{string([]byte{2, 8, 'p', 'a', 'r', 't', 2, '3', 0, 6, 'o', 'n', 'e'}), string([]byte{2, 6, 'k', 'e', 'y', 2, 'k', 0, 6, 't', 'w', 'o'})}
	if string(got[0].Value) != want[0] || got[0].Partition != 3 || got[0].Key != nil {
		t.Errorf("with a partition: %+v", got[0])
	}
	if string(got[1].Value) != want[1] || got[1].Partition != 2 || string(got[1].Key) != "k" {
		t.Errorf("with a key: %+v", got[1])
	}
	if r := c.read("flume-channel", 1)[0]; string(r.Value) != "three" || string(r.Key) != "k3" || len(r.Headers) != 0 {
		t.Errorf("plain: %+v", r)
	}
	if err := puts(t, n, avro, func(s *record.Slab) {
		s.Append([]byte("x"))
		s.SetHeader(0, "part", []byte("none"))
	}); err == nil {
		t.Error("a header that names no partition: the put is taken")
	}
	if s := n.Inspect(avro); s.Put != 2 || s.Held != 0 || s.Carried+s.Put != s.Delivered+s.Dead+s.Held {
		t.Errorf("counted: %+v", s)
	}
}

// taking takes records for one sink until it has n of them.
type taking struct {
	t     *testing.T
	taker *channel.Taker
	asker *ask.Asker
	ref   channel.Ref
}

func take(t *testing.T, n *channeltest.Node, ref channel.Ref) *taking {
	return &taking{t, ref.Taker("k1"), ask.NewAsker(n.System), ref}
}

func (k *taking) close() {
	k.taker.Close()
	k.asker.Close()
}

// one takes the next record; settle says what becomes of it.
func (k *taking) one(settle bool) (body string, headers map[string]string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	for {
		if err := k.taker.Await(ctx); err != nil {
			k.t.Fatal(err)
		}
		l, err := k.taker.Take(1)
		if err != nil {
			k.t.Fatal(err)
		}
		if l == nil {
			continue
		}
		v, headers := l.Views[0], map[string]string{}
		for name, value := range v.Slab.Headers(v.First) {
			headers[name] = string(value)
		}
		body := string(v.Slab.Body(v.First))
		l.Release()
		if !settle {
			k.taker.Rollback(l)
		} else if err := k.ref.Commit(ctx, k.asker, &channel.Commit{Life: l.Life, Leases: []uint64{l.ID}}); err != nil {
			k.t.Fatal(err)
		}
		return body, headers
	}
}

func TestWhatFlumeWroteIsTakenOnceItIsCommitted(t *testing.T) {
	c := newCluster(t)
	p := c.client(kgo.DefaultProduceTopic("flume-channel"))
	for i := range 10 {
		value := append([]byte{2, 2, 'h', 2, byte('0' + i), 0, 4}, fmt.Sprintf("e%d", i)...)
		if i == 7 {
			value = []byte("e7") // no Flume event
		}
		if err := p.ProduceSync(t.Context(), &kgo.Record{Key: []byte{'k'}, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	n := channeltest.Open(t, t.TempDir())
	defer n.Close()
	spec := c.spec("c1", nil)
	ref := n.Spawn(spec)
	k := take(t, n, ref)
	for i := range 4 {
		for again := range 2 { // what is rolled back comes again, in its place
			body, headers := k.one(again == 1)
			if body != fmt.Sprintf("e%d", i) || headers["h"] != fmt.Sprint(i) || headers["key"] != "k" {
				t.Fatalf("event %d: %q %v", i, body, headers)
			}
		}
	}
	body, _ := k.one(false)
	if body != "e4" {
		t.Fatalf("the fifth is %s", body)
	}
	k.close()
	n.Stop(ref.PID())
	spec.Remote.AwaitEnd()
	offsets, err := kadm.NewClient(p).FetchOffsets(t.Context(), "flume")
	if o, _ := offsets.Lookup("flume-channel", 0); err != nil || o.At < 0 || o.At > 4 {
		t.Fatalf("the group is at %d, want at most 4: %v", o.At, err)
	}

	// The next one has what the first one had not settled as a whole batch.
	two := c.spec("c2", nil)
	ref = n.Spawn(two)
	k = take(t, n, ref)
	defer two.Remote.AwaitEnd()
	defer n.Stop(ref.PID())
	defer k.close()
	seen := map[string]bool{}
	for !seen["e9"] {
		body, headers := k.one(true)
		seen[body] = true
		if body == "e7" && headers["h"] != "" {
			t.Errorf("no Flume event: %v", headers)
		}
	}
	for i := 4; i < 10; i++ {
		if !seen[fmt.Sprintf("e%d", i)] {
			t.Errorf("event %d is lost", i)
		}
	}
	// All of it is settled, so the group comes to the end.
	admin := kadm.NewClient(p)
	n.Until("the group is at the end", func() bool {
		offsets, err := admin.FetchOffsets(t.Context(), "flume")
		o, _ := offsets.Lookup("flume-channel", 0)
		return err == nil && o.At == 10
	})
}

func TestAKafkaChannelThatCannotBeIsToldWhy(t *testing.T) {
	for _, s := range []map[string]string{
		{},
		{"kafka.bootstrap.servers": "localhost"},
		{"kafka.bootstrap.servers": "localhost:1", "kafka.producer.acks": "2"},
		{"brokerList": "localhost:1", "kafka.producer.transactional.id": "t"},
		{"brokerList": "localhost:1", "kafka.consumer.auto.offset.reset": "sometimes"},
	} {
		if _, err := channel.NewRemote(topologies.SettingsOf(kinds.Channel, "kafka", s), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%v is taken", s)
		}
	}
}

// A channel without a server stops at once.
func TestAKafkaChannelWithoutAClusterEndsInOrder(t *testing.T) {
	c := &cluster{t: t, servers: "127.0.0.1:1"}
	n := channeltest.Open(t, t.TempDir())
	defer n.Close()
	spec := c.spec("c1", nil)
	ref := n.Spawn(spec)
	taker := ref.Taker("k1")
	var waits sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	waits.Go(func() { _ = taker.Await(ctx) })
	waits.Wait()
	taker.Close()
	n.Stop(ref.PID())
	spec.Remote.AwaitEnd()
}
