package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/producer"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// kafkaHere writes events to topics of its own node: batches go to the
// partitions without a socket.
//
// Where it alone takes from a durable channel it does so exactly once. It is a
// feeder then: with each batch stands the position in the channel of its last
// record, and a partition remembers the last one for ever. After a crash the
// sink asks each partition how far it is and leaves out what is there. For that,
// three things must hold. Within a partition records are appended in the order
// of the channel: a batch waits for the one before. An event that comes again
// goes where it went before: so what has no key is spread by position, and a
// topic's new partitions count only for positions behind all that were begun
// (see plan). And what is there of the sink stands for the same way of finding
// the partition: with other settings it becomes another feeder.
type kafkaHere struct {
	route *kafkaRoute
	env   Env
	codec record.Codec
	loops loopWarning

	feeder   int64 // its id; nobody: at least once
	begun    bool
	topics   map[string]*fedTopic
	sent     []*feed // in this delivery
	wait     sync.WaitGroup
	turn     producer.Partitioner
	delivery int
	event    kafkaEvent
	headers  []record.RecordHeader
}

// nobody is the producer id of a batch that is not told from a repeat.
const nobody = -1

func newKafkaHere(route *kafkaRoute, compression string, env Env) (Sink, error) {
	codec, err := record.ParseCodec(strings.ToLower(strings.TrimSpace(compression)))
	if compression != "" && err != nil {
		return nil, fmt.Errorf("kafka.producer.compression.type: %w", err)
	}
	if env.State == nil {
		env.State = State{}
	}
	env.Counters.ConnectionCreated.Add(1)
	return &kafkaHere{route: route, env: env, codec: codec, feeder: nobody, topics: map[string]*fedTopic{}}, nil
}

// Close has nothing to end: nothing is on its way between two calls of Deliver.
func (k *kafkaHere) Close() error {
	k.env.Counters.ConnectionClosed.Add(1)
	return nil
}

// Deliver appends batch to the partitions and returns when all of it is
// committed there. It does not return before it is known of each append whether
// it is, also when ctx ends: the next delivery may be cut otherwise.
func (k *kafkaHere) Deliver(ctx context.Context, batch *Batch) error {
	k.delivery++
	err := k.begin(ctx, batch)
	for n := range batch.Views {
		if err != nil {
			break
		}
		err = k.view(ctx, batch.Views[n], int64(batch.Place(n)))
	}
	if err == nil {
		for _, f := range k.sent {
			if err = k.send(f); err != nil {
				break
			}
		}
	}
	k.wait.Wait()
	for _, f := range k.sent {
		err = errors.Join(err, f.settle())
		f.drop()
	}
	k.sent = k.sent[:0]
	if err != nil && ctx.Err() == nil {
		k.env.Counters.EventWriteFail.Add(1)
	}
	return err
}

// fedAs is what a sink keeps of being a feeder.
type fedAs struct {
	Number  int64
	Channel string
	Route   string
}

const fedAsName = "feeder" // in the sink's state

// begin makes the sink a feeder, where it may be one.
func (k *kafkaHere) begin(ctx context.Context, batch *Batch) error {
	if k.begun {
		return nil
	}
	if !k.env.Sole || batch.First < 0 {
		k.begun = true
		if batch.First >= 0 {
			k.env.Log.Warn("other sinks take from the same channel: events arrive at least once, not exactly once", "channel", batch.Channel)
		}
		return nil
	}
	var was fedAs
	if kept := k.env.State[fedAsName]; kept != nil {
		if err := json.Unmarshal(kept, &was); err != nil {
			return fmt.Errorf("the state of sink %s: %w", k.env.Name, err)
		}
	}
	if route := k.route.String(); was.Channel != batch.Channel || was.Route != route {
		number, err := k.env.Topics.Feeder(ctx)
		if err != nil {
			return fmt.Errorf("a number for feeder %s: %w", k.env.Name, err)
		}
		was = fedAs{number, batch.Channel, route}
		if err := k.keep(ctx, fedAsName, was); err != nil {
			return err
		}
	}
	k.feeder, k.begun = partitionlog.FeederID(was.Number), true
	return nil
}

func (k *kafkaHere) keep(ctx context.Context, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := k.env.Keep(ctx, State{name: text}); err != nil {
		return fmt.Errorf("keep the state of sink %s: %w", k.env.Name, err)
	}
	k.env.State[name] = text
	return nil
}

// exact says that repeats are left out.
func (k *kafkaHere) exact() bool { return k.feeder != nobody }

// view gives each event of v to its partition; place is the first one's
// position.
func (k *kafkaHere) view(ctx context.Context, v record.View, place int64) error {
	for n := range v.Count {
		i, at := v.First+n, place+int64(n)
		err := k.add(ctx, v.Slab, i, at)
		var never *undeliverable
		if errors.As(err, &never) {
			k.env.DeadLetter(v.Slab, i, never.code, never.reason)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *kafkaHere) add(ctx context.Context, s *record.Slab, i int, at int64) error {
	e := &k.event
	if err := k.route.event(s, i, e); err != nil {
		return err
	}
	t, err := k.topic(ctx, e.topic)
	if err != nil {
		return err
	}
	if !bool(k.loops) {
		k.loops.warn(k.route, k.env, s, i, t.name)
	}
	f, err := k.feed(ctx, t, k.partitionFor(t, e, at))
	if err != nil {
		return err
	}
	if k.exact() && at <= f.last {
		return nil // it is there since before the crash, or the failure
	}
	value := k.route.value(s, i)
	k.headers = k.headers[:0]
	for _, h := range k.route.headers {
		if v, ok := s.Header(i, h[0]); ok {
			k.headers = append(k.headers, record.RecordHeader{Name: h[1], Value: v})
		}
	}
	return k.pack(f, e, value, at)
}

// pack adds an event to the batch of f. Where that would be too large for the
// topic it goes first.
func (k *kafkaHere) pack(f *feed, e *kafkaEvent, value []byte, at int64) error {
	config := f.ref.Config()
	if err := allowed(&config, e); err != nil {
		return err
	}
	need, limit := f.packer.Need(e.key, value, k.headers), min(config.MaxMessageBytes, batchBytesMax)
	if f.packer.Count() > 0 && f.packer.Size()+need > limit {
		if err := k.send(f); err != nil {
			return err
		}
		k.wait.Wait()
		if err := f.settle(); err != nil {
			return err
		}
	}
	f.packer.Add(e.key, value, k.headers, e.time)
	f.upto = at
	if f.packer.Count() > 1 || record.HeaderSize+need <= limit {
		return nil
	}
	b, err := f.packer.Batch(k.codec, nobody, -1, -1)
	if err == nil && len(b) > config.MaxMessageBytes {
		f.packer.Reset()
		return &undeliverable{"size", fmt.Sprintf("%d bytes, topic %s takes %d (max.message.bytes)", len(b), f.id.Topic, config.MaxMessageBytes)}
	}
	return err
}

// batchBytesMax bounds what is appended to a partition at once.
const batchBytesMax = 1 << 20

// partitionFor is the partition of the event at position at.
func (k *kafkaHere) partitionFor(t *fedTopic, e *kafkaEvent, at int64) int32 {
	n := t.topic.Partitions
	if k.exact() {
		n = t.plan.count(at)
	}
	switch {
	case e.partition != anyPartition:
		return e.partition
	case e.key != nil:
		return producer.ForKey(e.key, int(n))
	case k.exact():
		return int32(at / stickyRun % int64(n))
	}
	if t.turned != k.delivery {
		t.turned, t.turn = k.delivery, k.turn.ForBatch(int(n))
	}
	return t.turn
}

// stickyRun is how many events without a key, at positions that follow each
// other, go to one partition.
const stickyRun = 256

// send hands over what f has packed. After the wait comes settle.
func (k *kafkaHere) send(f *feed) error {
	if f.packer.Count() == 0 {
		return nil
	}
	producer, epoch, sequence := int64(nobody), int16(-1), int32(-1)
	if k.exact() {
		if f.upto > partitionlog.PositionMax {
			return fmt.Errorf("position %d of the channel is beyond what a feeder can tell", f.upto)
		}
		producer = k.feeder
		epoch, sequence = partitionlog.FeederSequence(f.upto)
		f.of.begun = max(f.of.begun, f.upto)
	}
	b, err := f.packer.Batch(k.codec, producer, epoch, sequence)
	if err != nil {
		return err
	}
	f.flying = true
	k.wait.Add(1)
	f.ref.Append(partition.Append{Batch: b, Origin: partition.Sink, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1, Done: f.done})
	return nil
}
