package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/clientprops"
)

// kafka writes events to topics of a Kafka cluster through franz-go. A batch
// counts when every record of it is acknowledged; otherwise all of it comes
// again.
type kafka struct {
	route  *kafkaRoute
	client *kgo.Client
	env    Env
	loops  loopWarning
}

func newKafka(s topologies.Settings, env Env) (Sink, error) {
	route, err := newKafkaRoute(s)
	if err != nil {
		return nil, err
	}
	c, err := clientprops.Read(clientprops.Producer, clientprops.Of(s, "kafka.producer.",
		clientprops.Setting{Name: "bootstrap.servers", Value: route.servers},
		clientprops.Setting{Name: "acks", Value: route.acks}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	for _, r := range c.Remarks {
		env.Log.Warn("kafka setting", "remark", r)
	}
	if c.TransactionalID != "" {
		return nil, fmt.Errorf("%s: kafka.producer.transactional.id: the sink commits by itself; leave it out", s.Name())
	}
	if env.Topics != nil && env.Topics.Here(route.servers) {
		return newKafkaHere(route, s.String("kafka.producer.compression.type"), env)
	}
	client, err := kgo.NewClient(append(c.Options, kgo.RecordPartitioner(clientprops.Partitioner()),
		kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(4))...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	env.Counters.ConnectionCreated.Add(1)
	return &kafka{route: route, client: client, env: env}, nil
}

// Deliver writes batch and waits until each record is acknowledged.
func (k *kafka) Deliver(ctx context.Context, batch *Batch) error {
	records := make([]*kgo.Record, 0, batch.Len())
	err := batch.Each(func(s *record.Slab, i int) error {
		r, err := k.route.record(s, i)
		var never *undeliverable
		if errors.As(err, &never) {
			k.env.DeadLetter(s, i, never.code, never.reason)
			return nil
		}
		if err == nil {
			k.loops.warn(k.route, k.env, s, i, r.Topic)
			records = append(records, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range k.client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			k.env.Counters.EventWriteFail.Add(1)
			return fmt.Errorf("produce to %s: %w", r.Record.Topic, r.Err)
		}
	}
	return nil
}

// Close ends the client; nothing is on its way between two calls of Deliver.
func (k *kafka) Close() error {
	k.client.Close()
	k.env.Counters.ConnectionClosed.Add(1)
	return nil
}

// loopWarning tells once of Flume's documented trap: a Kafka source writes the
// header that this sink obeys, and events go round in circles.
type loopWarning bool

func (given *loopWarning) warn(route *kafkaRoute, env Env, s *record.Slab, i int, topic string) {
	if bool(*given) || !route.override || topic == route.topic {
		return
	}
	if _, offset := s.Header(i, "offset"); offset {
		*given = true
		env.Log.Warn("an event goes back to the topic that a Kafka source read it from; set allowTopicOverride = false, or the source's setTopicHeader = false",
			slog.String("topic", topic))
	}
}

// anyPartition marks an event whose key decides where it goes.
const anyPartition = clientprops.AnyPartition

// kafkaRoute says what record an event becomes.
type kafkaRoute struct {
	servers, acks   string
	topic           string
	escapes         *escaper // of the topic; nil: it holds none
	override        bool
	topicHeader     string
	partitionHeader string
	partition       int32 // anyPartition: none is set
	timestampHeader string
	headers         [][2]string // event header, Kafka header
	flumeFormat     bool

	plainTopic, expanded, encoded []byte // memory of event and value
}

func newKafkaRoute(s topologies.Settings) (*kafkaRoute, error) {
	r := &kafkaRoute{
		servers: s.String("kafka.bootstrap.servers"), acks: s.String("kafka.producer.acks"),
		topic: s.String("kafka.topic"), override: s.Bool("allowTopicOverride"), topicHeader: s.String("topicHeader"),
		partitionHeader: s.String("partitionIdHeader"), partition: anyPartition, timestampHeader: s.String("timestampHeader"),
		flumeFormat: s.Bool("useFlumeEventFormat"),
	}
	r.plainTopic = []byte(r.topic)
	if r.servers == "" {
		s.Fail("kafka.bootstrap.servers", "want the brokers, host:port with commas")
	}
	if s.Has("defaultPartitionId") {
		r.partition = int32(s.Int("defaultPartitionId"))
	}
	for _, name := range s.Keys("header.") {
		r.headers = append(r.headers, [2]string{name, s.String("header." + name)})
	}
	if strings.Contains(r.topic, "%") {
		e, err := newEscaper(r.topic, escapeOptions{})
		if err != nil {
			s.Fail("kafka.topic", err.Error())
		}
		r.escapes = e
	}
	return r, s.Err()
}

// String is all of the route that says where an event goes.
func (r *kafkaRoute) String() string {
	return fmt.Sprintf("%q %t %q %q %d", r.topic, r.override, r.topicHeader, r.partitionHeader, r.partition)
}

// undeliverable is an event that no retry will deliver.
type undeliverable struct{ code, reason string }

func (u *undeliverable) Error() string { return u.reason }

// kafkaEvent is where an event goes. Its bytes are the slab's or the route's.
type kafkaEvent struct {
	topic     []byte
	key       []byte // nil: none
	partition int32  // or anyPartition
	time      int64  // ms
}

// event says where record i goes.
func (k *kafkaRoute) event(s *record.Slab, i int, e *kafkaEvent) error {
	*e = kafkaEvent{topic: k.plainTopic, partition: k.partition, time: s.Time()}
	if named, ok := s.Header(i, k.topicHeader); ok && k.override && len(named) > 0 {
		e.topic = named
	} else if k.escapes != nil {
		topic, err := k.escapes.expand(k.expanded[:0], s, i, time.Now())
		if err != nil {
			return &undeliverable{"topic", err.Error()}
		}
		k.expanded, e.topic = topic, topic
	}
	if key, ok := s.Header(i, "key"); ok {
		if e.key = key; key == nil {
			e.key = []byte{}
		}
	}
	if k.partitionHeader != "" {
		if text, ok := s.Header(i, k.partitionHeader); ok {
			n, err := strconv.ParseInt(string(text), 10, 32)
			if err != nil || n < 0 {
				return &undeliverable{"partition", fmt.Sprintf("header %s=%q names no partition", k.partitionHeader, text)}
			}
			e.partition = int32(n)
		}
	}
	if k.timestampHeader != "" {
		if text, ok := s.Header(i, k.timestampHeader); ok {
			ms, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil {
				return &undeliverable{"timestamp", fmt.Sprintf("header %s=%q is not a time in ms", k.timestampHeader, text)}
			}
			e.time = ms
		}
	}
	return nil
}

// value is that of record i, good until the next call.
func (k *kafkaRoute) value(s *record.Slab, i int) []byte {
	if !k.flumeFormat {
		return s.Body(i)
	}
	k.encoded = s.AppendFlumeEvent(k.encoded[:0], i)
	return k.encoded
}

// record is record i for franz-go, which keeps it for a while.
func (k *kafkaRoute) record(s *record.Slab, i int) (*kgo.Record, error) {
	var e kafkaEvent
	if err := k.event(s, i, &e); err != nil {
		return nil, err
	}
	r := &kgo.Record{
		Topic: string(e.topic), Partition: e.partition, Timestamp: time.UnixMilli(e.time),
		Key: slices.Clone(e.key), Value: slices.Clone(k.value(s, i)),
	}
	for _, h := range k.headers {
		if v, ok := s.Header(i, h[0]); ok {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[1], Value: slices.Clone(v)})
		}
	}
	return r, nil
}
