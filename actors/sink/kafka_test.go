package sink_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/persistence/record"
)

// TestMain is a Kafka cluster where a test has started it as a process of its
// own: its goroutines are none of the sink's.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_CLUSTER") == "" {
		os.Exit(m.Run())
	}
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.SeedTopics(4, "four"), kfake.SeedTopics(1, "other"))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(fake.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	os.Exit(0)
}

// cluster is a Kafka cluster with the topics t (1 partition), other (1) and
// four (4).
type cluster struct {
	t       *testing.T
	servers string
	cmd     *exec.Cmd
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), "TEST_CLUSTER=1")
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = c.cmd.Wait()
	})
	if _, err := fmt.Fscanln(stdout, &c.servers); err != nil {
		t.Fatal(err)
	}
	return c
}

// read is everything in a topic, in the order of partitions.
func (c *cluster) read(topic string) (all []*kgo.Record) {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.servers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for quiet := 0; quiet < 2; {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		got := cl.PollFetches(ctx).Records()
		cancel()
		if all = append(all, got...); len(got) > 0 {
			quiet = 0
		} else {
			quiet++
		}
	}
	return all
}

func TestKafkaKeepsThePromisesOfASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		c := newCluster(t)
		return sinktest.Target{
			New: maker("kafka", map[string]string{"kafka.bootstrap.servers": c.servers, "kafka.topic": "t", "kafka.producer.acks": "all"}),
			Read: func(*testing.T) (bodies []string) {
				for _, r := range c.read("t") {
					bodies = append(bodies, string(r.Value))
				}
				return bodies
			},
		}
	})
}

// send sends one event through a sink of these settings and answers what
// stands in the topics afterwards.
func send(t *testing.T, headers, settings map[string]string, topics ...string) ([]*kgo.Record, []string) {
	t.Helper()
	c := newCluster(t)
	settings["kafka.bootstrap.servers"] = c.servers
	var letters []string
	s, err := maker("kafka", settings)(sink.Env{Log: slog.New(slog.DiscardHandler), Agent: "a1", Name: "k1", Counters: &sink.Counters{},
		DeadLetter: func(_ *record.Slab, _ int, code, reason string) { letters = append(letters, code+": "+reason) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	slab := record.NewSlab(100)
	defer slab.Release()
	slab.SetTime(1000)
	slab.Append([]byte("body"))
	for k, v := range headers {
		slab.SetHeader(0, k, []byte(v))
	}
	if err := s.Deliver(context.Background(), &sink.Batch{Views: []record.View{slab.View()}, First: -1}); err != nil {
		t.Fatal(err)
	}
	var all []*kgo.Record
	for _, topic := range topics {
		all = append(all, c.read(topic)...)
	}
	return all, letters
}

func one(t *testing.T, rs []*kgo.Record) *kgo.Record {
	t.Helper()
	if len(rs) != 1 {
		t.Fatalf("%d records, want 1", len(rs))
	}
	return rs[0]
}

func TestAnEventBecomesARecordAsInFlume(t *testing.T) {
	headers := map[string]string{"key": "k", "part": "3", "ts": "77", "h": "v", "ignored": "x"}
	rs, _ := send(t, headers, map[string]string{"kafka.topic": "four", "partitionIdHeader": "part", "timestampHeader": "ts", "header.h": "kafka-h"}, "four")
	r := one(t, rs)
	if string(r.Key) != "k" || r.Partition != 3 || r.Timestamp.UnixMilli() != 77 || string(r.Value) != "body" ||
		len(r.Headers) != 1 || r.Headers[0].Key != "kafka-h" || string(r.Headers[0].Value) != "v" {
		t.Fatalf("%+v", r)
	}
	rs, _ = send(t, map[string]string{"h": "v"}, map[string]string{"kafka.topic": "four", "defaultPartitionId": "2", "useFlumeEventFormat": "true"}, "four")
	if r = one(t, rs); r.Partition != 2 || string(r.Value) != string([]byte{2, 2, 'h', 2, 'v', 0, 8, 'b', 'o', 'd', 'y'}) || r.Timestamp.UnixMilli() != 1000 {
		t.Fatalf("%+v", r)
	}
}

func TestTheTopicIsChosenAsInFlume(t *testing.T) {
	for name, c := range map[string]struct {
		headers, settings map[string]string
		want              string
	}{
		"the header":     {map[string]string{"topic": "other"}, map[string]string{"kafka.topic": "t"}, "other"},
		"another header": {map[string]string{"to": "other"}, map[string]string{"kafka.topic": "t", "topicHeader": "to"}, "other"},
		"no override":    {map[string]string{"topic": "other"}, map[string]string{"kafka.topic": "t", "allowTopicOverride": "false"}, "t"},
		"an escape":      {map[string]string{"where": "other"}, map[string]string{"kafka.topic": "%{where}"}, "other"},
		"the old name":   {nil, map[string]string{"topic": "other"}, "other"},
	} {
		rs, letters := send(t, c.headers, c.settings, "t", "other")
		if r := one(t, rs); r.Topic != c.want || len(letters) > 0 {
			t.Errorf("%s: topic %s, want %s; dead letters %v", name, r.Topic, c.want, letters)
		}
	}
}

// An event that names no partition will never be delivered: it does not stop
// the others.
func TestAnEventThatCannotBeARecordIsADeadLetter(t *testing.T) {
	for header, want := range map[string]string{"part": "partition:", "ts": "timestamp:"} {
		rs, letters := send(t, map[string]string{header: "x"}, map[string]string{"kafka.topic": "t", "partitionIdHeader": "part", "timestampHeader": "ts"}, "t")
		if len(rs) != 0 || len(letters) != 1 || !strings.HasPrefix(letters[0], want) {
			t.Errorf("%s=x: %d records, dead letters %q, want %s", header, len(rs), letters, want)
		}
	}
}

func TestAKafkaSinkThatCannotBeIsToldWhy(t *testing.T) {
	for _, s := range []map[string]string{
		{},
		{"kafka.bootstrap.servers": "localhost"},
		{"kafka.bootstrap.servers": "localhost:1", "kafka.producer.acks": "2"},
		{"kafka.bootstrap.servers": "localhost:1", "kafka.producer.transactional.id": "t"},
	} {
		made, err := maker("kafka", s)(sink.Env{Log: slog.New(slog.DiscardHandler), Counters: &sink.Counters{}})
		if err == nil {
			made.Close()
			t.Errorf("%v is taken", s)
		}
	}
}
