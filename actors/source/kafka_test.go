package source_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// cluster is a Kafka cluster of one broker with the topic "t".
type cluster struct {
	t       *testing.T
	servers string
}

// TestMain is a Kafka cluster where a test has started it as a process of its
// own: its goroutines are none of the source's.
func TestMain(m *testing.M) {
	if partitions, err := strconv.Atoi(os.Getenv("TEST_CLUSTER")); err == nil {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), "t"),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(fake.ListenAddrs()[0])
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newCluster(t *testing.T, partitions int) *cluster {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_CLUSTER="+strconv.Itoa(partitions))
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
	c := &cluster{t: t}
	if _, err := fmt.Fscanln(stdout, &c.servers); err != nil {
		t.Fatal(err)
	}
	return c
}

// do runs fn with a client of its own.
func (c *cluster) do(fn func(cl *kgo.Client) error) {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.servers), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	if err := fn(cl); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) produce(records ...*kgo.Record) {
	c.t.Helper()
	c.do(func(cl *kgo.Client) error { return cl.ProduceSync(context.Background(), records...).FirstErr() })
}

func (c *cluster) fill(partition int32, from, count int) {
	c.t.Helper()
	var records []*kgo.Record
	for i := range count {
		records = append(records, &kgo.Record{Partition: partition, Value: []byte(sourcetest.Line(from + i))})
	}
	c.produce(records...)
}

func (c *cluster) settings(more ...string) map[string]string {
	s := map[string]string{"kafka.bootstrap.servers": c.servers, "kafka.topics": "t", "batchSize": "10",
		"kafka.consumer.auto.offset.reset": "earliest", "kafka.consumer.fetch.max.wait.ms": "100"}
	for i := 0; i < len(more); i += 2 {
		s[more[i]] = more[i+1]
	}
	return s
}

// committed is the group's offset of partition 0; -1 is none.
func (c *cluster) committed() int64 {
	c.t.Helper()
	at := int64(-1)
	c.do(func(cl *kgo.Client) error {
		all, err := kadm.NewClient(cl).FetchOffsets(context.Background(), "flume")
		if o, ok := all.Lookup("t", 0); ok {
			at = o.At
		}
		return err
	})
	return at
}

func TestKafkaKeepsThePromisesOfASource(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{Kind: "kafka", Replays: true, Place: func(t *testing.T) sourcetest.Place {
		c := newCluster(t, 1)
		return sourcetest.Place{Settings: c.settings(), Feed: func(_ context.Context, _ source.Source, first, n int) error {
			c.fill(0, first, n)
			return nil
		}}
	}})
}

func TestAKafkaRecordBecomesAnEventWithFlumesHeaders(t *testing.T) {
	c := newCluster(t, 1)
	c.produce(&kgo.Record{Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(1000), Headers: []kgo.RecordHeader{{Key: "kafka-h", Value: []byte("x")}}},
		&kgo.Record{Value: nil, Timestamp: time.UnixMilli(2000)})
	out := &sourcetest.Out{}
	src := sourcetest.New(t, "kafka", c.settings("header.h", "kafka-h"), sourcetest.Env(t))
	run := sourcetest.Start(t, src, out)
	got := out.WaitRecords(t, 2)
	run.Stop()
	want := map[string]string{"timestamp": "1000", "topic": "t", "partition": "0", "offset": "0", "key": "k", "h": "x"}
	if got[0].Body != "v" || !maps.Equal(got[0].Headers, want) {
		t.Errorf("%q %v, want v %v", got[0].Body, got[0].Headers, want)
	}
	want = map[string]string{"timestamp": "2000", "topic": "t", "partition": "0", "offset": "1"}
	if got[1].Body != "" || !maps.Equal(got[1].Headers, want) {
		t.Errorf("a tombstone: %q %v, want no body and %v", got[1].Body, got[1].Headers, want)
	}
}

func TestAKafkaValueMayBeAFlumeEvent(t *testing.T) {
	c := newCluster(t, 1)
	c.produce(&kgo.Record{Value: []byte{2, 10, 't', 'o', 'p', 'i', 'c', 2, 'z', 0, 4, 'h', 'i'}}, &kgo.Record{Value: []byte("no event")})
	env, out := sourcetest.Env(t), &sourcetest.Out{}
	run := sourcetest.Start(t, sourcetest.New(t, "kafka", c.settings("useFlumeEventFormat", "true"), env), out)
	got := out.WaitRecords(t, 2)
	run.Stop()
	if got[0].Body != "hi" || got[0].Headers["topic"] != "z" {
		t.Errorf("%+v, want the event's own topic header", got[0])
	}
	if got[1].Body != "no event" || env.Counters.Malformed.Load() != 1 {
		t.Errorf("what is no event came as %q, malformed %d", got[1].Body, env.Counters.Malformed.Load())
	}
}

// The group's offset follows what is settled, so that other tools see the lag.
func TestOffsetsAreCommittedToTheGroupWhenSettled(t *testing.T) {
	c := newCluster(t, 1)
	c.fill(0, 0, 25)
	out := &sourcetest.Out{}
	src := sourcetest.New(t, "kafka", c.settings(), sourcetest.Env(t))
	run := sourcetest.Start(t, src, out)
	out.WaitRecords(t, 25)
	if at := c.committed(); at > 0 {
		t.Fatalf("%d is committed and nothing settled", at)
	}
	out.Settle(src, -1)
	run.Stop()
	if at := c.committed(); at != 25 {
		t.Fatalf("committed %d, want 25", at)
	}
}

// The checkpoint moves with the channel's put, the group's offset behind it: a
// crash in between must repeat nothing.
func TestARestartGoesOnAtTheCheckpointWhenTheGroupIsBehind(t *testing.T) {
	c := newCluster(t, 1)
	c.fill(0, 0, 30)
	env, out := sourcetest.Env(t), &sourcetest.Out{}
	run := sourcetest.Start(t, sourcetest.New(t, "kafka", c.settings(), env), out)
	out.WaitRecords(t, 30)
	run.Stop() // nothing was settled, so nothing is committed
	batches := out.Batches()
	env.Checkpoints = out.Checkpoints(len(batches) - 1)
	left := len(batches[len(batches)-1].Records)
	again := &sourcetest.Out{}
	run = sourcetest.Start(t, sourcetest.New(t, "kafka", c.settings(), env), again)
	got := again.WaitRecords(t, left)
	run.Stop()
	if len(got) != left || got[0].Body != sourcetest.Line(30-left) {
		t.Fatalf("%d records from %q on, want %d", len(got), got[0].Body, left)
	}
}

// Somebody who resets the group's offset wants to read again.
func TestAGroupThatWasMovedHoldsAgainstTheCheckpoint(t *testing.T) {
	c := newCluster(t, 1)
	c.fill(0, 0, 20)
	env, out := sourcetest.Env(t), &sourcetest.Out{}
	src := sourcetest.New(t, "kafka", c.settings(), env)
	run := sourcetest.Start(t, src, out)
	out.WaitRecords(t, 20)
	out.Settle(src, -1)
	run.Stop()
	env.Checkpoints = out.Checkpoints(len(out.Batches()))
	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, 5, -1)
	c.do(func(cl *kgo.Client) error {
		return kadm.NewClient(cl).CommitAllOffsets(context.Background(), "flume", offsets)
	})
	again := &sourcetest.Out{}
	run = sourcetest.Start(t, sourcetest.New(t, "kafka", c.settings(), env), again)
	got := again.WaitRecords(t, 15)
	run.Stop()
	if got[0].Body != sourcetest.Line(5) {
		t.Fatalf("goes on at %q, want %q", got[0].Body, sourcetest.Line(5))
	}
}

func TestKafkaSourceTakesOldNamesAndPatterns(t *testing.T) {
	c := newCluster(t, 4)
	for p := range 4 {
		c.produce(&kgo.Record{Partition: int32(p), Value: []byte(strconv.Itoa(p))})
	}
	for i, s := range []map[string]string{
		{"topic": "t", "groupId": "g1"},
		{"kafka.topics.regex": "t|u", "kafka.consumer.group.id": "g2"},
	} {
		s["kafka.bootstrap.servers"], s["kafka.consumer.auto.offset.reset"] = c.servers, "earliest"
		out := &sourcetest.Out{}
		run := sourcetest.Start(t, sourcetest.New(t, "kafka", s, sourcetest.Env(t)), out)
		out.WaitRecords(t, 4)
		run.Stop()
		if out.Len() != 4 {
			t.Errorf("case %d: %d records, want 4", i, out.Len())
		}
	}
}

func TestAKafkaSourceThatCannotBeIsToldWhy(t *testing.T) {
	for _, s := range []map[string]string{
		{"kafka.topics": "t"},
		{"kafka.bootstrap.servers": "localhost:1"},
		{"kafka.bootstrap.servers": "localhost", "kafka.topics": "t"},
		{"kafka.bootstrap.servers": "localhost:1", "kafka.topics.regex": "("},
		{"kafka.bootstrap.servers": "localhost:1", "kafka.topics": "t", "kafka.consumer.isolation.level": "x"},
	} {
		if _, err := newSource("kafka", s, sourcetest.Env(t)); err == nil {
			t.Errorf("%v is taken", s)
		} else {
			t.Log(err)
		}
	}
}
