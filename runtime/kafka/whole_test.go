package kafka

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/broker/brokertest"
	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// whole is a server with the broker behind it.
type whole struct {
	*Server
	t    testing.TB
	addr string
}

func startWhole(t testing.TB, change ...func(*Options)) *whole {
	t.Helper()
	b := brokertest.Start(t)
	o := Options{Broker: b}
	for _, c := range change {
		c(&o)
	}
	s := New(o)
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr.String())
	n, _ := strconv.Atoi(port)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Register(ctx, host, int32(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		// What was begun for a client that has gone is finished even so.
		whole := s.memory.take(s.limits.Memory, nil, 10*time.Second)
		if f := s.Figures(); !whole || f.Panics != 0 {
			t.Errorf("at the end: %+v", f)
		}
	})
	return &whole{s, t, addr.String()}
}

// topic makes a topic and returns its id.
func (w *whole) topic(name string, partitions int32, configs ...string) [16]byte {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	values := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		values[configs[i]] = &configs[i+1]
	}
	results, err := w.broker.Controller().CreateTopics(ctx, []controller.NewTopic{{Name: name, Partitions: partitions, Factor: 1, Configs: values}}, false)
	if err == nil {
		err = results[0].Err
	}
	if err == nil {
		err = w.broker.AwaitTopics(ctx, name)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return results[0].Topic.ID
}

// ask sends req in a version on a new connection and reads the answer.
func ask[R kmsg.Response](w *whole, version int16, req kmsg.Request) R {
	w.t.Helper()
	c := w.client()
	return on[R](c, version, req)
}

// client is a connection that speaks in requests.
type asker struct {
	*peer
	n int32
}

func (w *whole) client() *asker {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &asker{peer: newPeer(w.t, c)}
}

func (c *asker) write(version int16, req kmsg.Request) {
	c.t.Helper()
	req.SetVersion(version)
	c.n++
	c.ask(c.n, req)
}

func on[R kmsg.Response](c *asker, version int16, req kmsg.Request) R {
	c.t.Helper()
	c.write(version, req)
	return read[R](c, version, req)
}

func read[R kmsg.Response](c *asker, version int16, req kmsg.Request) R {
	c.t.Helper()
	resp := req.ResponseKind()
	resp.SetVersion(version)
	correlation, body := c.answer()
	if req.IsFlexible() && req.Key() != apiVersionsKey {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil || correlation != c.n {
		c.t.Fatalf("%s v%d: the answer to %d, want that to %d: %v", kmsg.NameForKey(req.Key()), version, correlation, c.n, err)
	}
	if again := resp.AppendTo(nil); len(again) != len(body) {
		c.t.Fatalf("%s v%d: %d bytes of answer, of which %d are understood", kmsg.NameForKey(req.Key()), version, len(body), len(again))
	}
	return resp.(R)
}

// produceRequest is one batch for one partition.
func produceRequest(topic string, id [16]byte, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// fetchRequest wants one partition from an offset on.
func fetchRequest(topic string, id [16]byte, partition int32, from int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 10_000, 1, 1<<20
	req.SessionEpoch = finalEpoch
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, 1<<20
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = -1, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// texts are the values of all records in batches with their offsets.
func texts(t testing.TB, batches []byte) (all []string) {
	t.Helper()
	for len(batches) > 0 {
		b, rest, err := record.Split(batches)
		if err == nil {
			err = b.Validate()
		}
		if err != nil {
			t.Fatal(err)
		}
		it := record.Iterate(b[record.HeaderSize:], b.Count())
		for it.Next() {
			all = append(all, fmt.Sprintf("%d %s", b.BaseOffset()+record.Offset(it.OffsetDelta()), it.Value()))
		}
		batches = rest
	}
	return all
}
