package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/producer"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// broker has partitions of topics as a node has them.
type broker struct {
	t      *testing.T
	store  *persistence.Store
	tree   *supervise.Tree
	topics map[string]*localTopic
	number int64
}

type localTopic struct {
	id     byte
	refs   []partition.Ref
	config partition.Config
	down   atomic.Int32 // a partition that cannot be found; -1: none
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := persistence.Open(t.TempDir(), persistence.Options{Flush: persistence.Interval(time.Second), Log: quiet, MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, store: store, tree: supervise.NewTree(actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet })), quiet), topics: map[string]*localTopic{}}
	t.Cleanup(func() {
		for _, topic := range b.topics {
			for _, r := range topic.refs {
				b.tree.System().Root.Stop(r.PID())
				_ = b.tree.AwaitGone(context.Background(), r.PID().Id)
			}
		}
		b.tree.System().Shutdown()
		store.Close()
	})
	return b
}

// underGuardian spawns below the tree's guardian.
type underGuardian struct {
	root   *actor.RootContext
	system *actor.ActorSystem
}

func (s underGuardian) SpawnNamed(p *actor.Props, name string) (*actor.PID, error) {
	return s.root.SpawnNamed(p, name)
}
func (s underGuardian) ActorSystem() *actor.ActorSystem { return s.system }

// grow gives a topic partitions until it has n.
func (b *broker) grow(name string, n int, config partition.Config) *localTopic {
	b.t.Helper()
	topic := b.topics[name]
	if topic == nil {
		topic = &localTopic{id: byte(len(b.topics) + 1), config: config}
		topic.down.Store(-1)
		b.topics[name] = topic
	}
	system := b.tree.System()
	for i := len(topic.refs); i < n; i++ {
		r, err := partition.Start(underGuardian{system.Root.WithGuardian(b.tree.Guardian()), system}, partition.Env{
			Store: b.store, Tree: b.tree, Log: slog.New(slog.DiscardHandler), Node: 1, ID: partition.ID{Topic: name, Index: int32(i)},
			TopicID: [16]byte{topic.id}, Config: topic.config, TendEvery: time.Hour,
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if err := r.AwaitStart(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		b.awaitLeader(r)
		topic.refs = append(topic.refs, r)
	}
	return topic
}

func (b *broker) awaitLeader(r partition.Ref) {
	moved := make(chan struct{}, 100)
	w := &partition.Watcher{Wake: func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}}
	r.Watch(w)
	defer r.Unwatch(w)
	for !r.Leading() {
		<-moved
	}
}

func (b *broker) Here(servers string) bool { return servers == "here:1" }

func (b *broker) Topic(_ context.Context, name string) (sink.Topic, error) {
	t := b.topics[name]
	if t == nil {
		return sink.Topic{}, fmt.Errorf("topic %q: %w", name, sink.ErrNoTopic)
	}
	return sink.Topic{ID: [16]byte{t.id}, Partitions: int32(len(t.refs))}, nil
}

var errDown = errors.New("down for the test")

func (b *broker) Partition(id partition.ID) (partition.Ref, error) {
	t := b.topics[id.Topic]
	if t.down.Load() == id.Index {
		return partition.Ref{}, errDown
	}
	return t.refs[id.Index], nil
}

func (b *broker) Feeder(context.Context) (int64, error) {
	b.number++
	return b.number, nil
}

// stored is a record as it stands in a partition.
type stored struct {
	partition int
	key       string
	value     string
	at        int64
	headers   int
}

func (b *broker) read(name string) (all []stored) {
	b.t.Helper()
	for i, r := range b.topics[name].refs {
		buf, err := r.Read(r.LogStart(), r.HighWatermark(), 1<<30, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		for len(buf) > 0 {
			batch, rest, err := record.Split(buf)
			if err == nil {
				err = batch.Validate()
			}
			if err != nil {
				b.t.Fatal(err)
			}
			buf = rest
			payload, _, err := batch.Payload(record.DefaultLimits)
			if err != nil {
				b.t.Fatal(err)
			}
			it := record.Iterate(payload, batch.Count())
			for it.Next() {
				key := "-"
				if it.Key() != nil {
					key = string(it.Key())
				}
				all = append(all, stored{i, key, string(it.Value()), batch.BaseTimestamp() + it.TimestampDelta(), it.HeaderCount()})
			}
		}
	}
	return all
}

func (b *broker) maker(settings map[string]string) func(sink.Env) (sink.Sink, error) {
	settings["kafka.bootstrap.servers"] = "here:1"
	return func(env sink.Env) (sink.Sink, error) {
		env.Topics = b
		return maker("kafka", settings)(env)
	}
}

// Also stopped at each of its steps, and though it is not a Durable sink.
func TestKafkaIntoTopicsOfItsNodeKeepsThePromisesOfASink(t *testing.T) {
	b, n := newBroker(t), 0
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		n++
		name := fmt.Sprintf("t%d", n)
		topic := b.grow(name, 1, partition.Defaults())
		return sinktest.Target{
			New: b.maker(map[string]string{"kafka.topic": name}),
			Read: func(*testing.T) (bodies []string) {
				for _, r := range b.read(name) {
					bodies = append(bodies, r.value)
				}
				return bodies
			},
			Break: func(*testing.T) func() {
				topic.down.Store(0)
				return func() { topic.down.Store(-1) }
			},
			Once: true,
		}
	})
}

// A channel of events, some with keys, goes into a topic while everything that
// may happen happens: batches that are appended in part, cuts at other places,
// partitions that start anew, a sink that is killed with everything it knew, and
// a topic that gets more partitions.
func TestEveryEventIsOnceInATopicOfTheNodeWhateverHappens(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := newBroker(t)
	for round := range 4 {
		config := partition.Defaults()
		config.MaxMessageBytes = 400 // a batch goes in several pieces
		name := fmt.Sprintf("round%d", round)
		topic := b.grow(name, 3, config)
		w := &feeding{t: t, rnd: rnd, state: sink.State{}, make: b.maker(map[string]string{
			"kafka.topic": name, "kafka.producer.compression.type": []string{"none", "lz4", "gzip", "none"}[round],
		})}
		w.open()
		const events = 3000
		for w.settled < events {
			switch rnd.IntN(12) {
			case 0:
				w.open() // killed
			case 1:
				topic.down.Store(int32(rnd.IntN(len(topic.refs))))
			case 2:
				r := topic.refs[rnd.IntN(len(topic.refs))]
				b.tree.System().Root.Send(r.PID(), supervise.Restart{})
			case 3:
				if len(topic.refs) < 6 && rnd.IntN(20) == 0 {
					b.grow(name, len(topic.refs)+1+rnd.IntN(2), config)
				}
			default:
				topic.down.Store(-1)
			}
			if w.deliver(events) && rnd.IntN(3) > 0 {
				w.settled = w.taken
			}
		}
		w.sink.Close()
		seen, byKey := make([]int, events), map[string]int{}
		for _, r := range b.read(name) {
			var n int
			if _, err := fmt.Sscanf(r.value, "%d", &n); err != nil {
				t.Fatal(err)
			}
			seen[n]++
			key := fmt.Sprint(r.partition, r.key)
			if before, ok := byKey[key]; ok && before >= n {
				t.Errorf("event %d stands behind %d, which has the same key and partition", n, before)
			}
			byKey[key] = n
		}
		for n, times := range seen {
			if times != 1 {
				t.Errorf("event %d stands %d times in the topic", n, times)
			}
		}
	}
}

// feeding is a channel and its sink.
type feeding struct {
	t              *testing.T
	rnd            *rand.Rand
	state          sink.State
	make           func(sink.Env) (sink.Sink, error)
	sink           sink.Sink
	settled, taken int
}

// open starts a sink that knows what was kept, and nothing else.
func (w *feeding) open() {
	w.t.Helper()
	state := sink.State{}
	for k, v := range w.state {
		state[k] = slices.Clone(v)
	}
	var err error
	w.sink, err = w.make(sink.Env{
		Log: slog.New(slog.DiscardHandler), Agent: "a1", Name: "k1", State: state, Sole: true, Replays: true, Counters: &sink.Counters{},
		Keep: func(_ context.Context, s sink.State) error {
			for k, v := range s {
				w.state[k] = slices.Clone(v)
			}
			return nil
		},
		DeadLetter: func(_ *record.Slab, i int, code, reason string) {
			w.t.Errorf("record %d is a dead letter: %s: %s", i, code, reason)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.taken = w.settled
}

// deliver gives the sink some of the events up to end, and says whether it took
// them.
func (w *feeding) deliver(end int) bool {
	s := record.NewSlab(100)
	defer s.Release()
	s.SetTime(time.Now().UnixMilli())
	count := min(1+w.rnd.IntN(60), end-w.taken)
	if count <= 0 {
		return true
	}
	for i := range count {
		n := w.taken + i
		s.Append(fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%50)))
		if n%3 != 0 {
			s.SetHeader(i, "key", fmt.Appendf(nil, "k%d", n%17))
		}
	}
	// The channel has a gap, as after a repair.
	first := record.Offset(w.taken)
	half := count / 2
	batch := &sink.Batch{Channel: "c1", First: gapped(first), Views: []record.View{{Slab: s, Count: half}, {Slab: s, First: half, Count: count - half}},
		Places: []record.Offset{gapped(first), gapped(first + record.Offset(half))}}
	if first < gapAt && first+record.Offset(half) > gapAt || first+record.Offset(half) < gapAt && first+record.Offset(count) > gapAt {
		batch.Views = batch.Views[:0]
		batch.Places = batch.Places[:0]
		for i := range count {
			batch.Views = append(batch.Views, record.View{Slab: s, First: i, Count: 1})
			batch.Places = append(batch.Places, gapped(first+record.Offset(i)))
		}
	}
	if err := w.sink.Deliver(w.t.Context(), batch); err != nil {
		return false
	}
	w.taken += count
	return true
}

const gapAt = 1500

func gapped(o record.Offset) record.Offset {
	if o >= gapAt {
		return o + 1<<33
	}
	return o
}

func (b *broker) send(headers, settings map[string]string, env sink.Env) (letters []string, err error) {
	b.t.Helper()
	env.Log, env.Agent, env.Name, env.Counters = slog.New(slog.DiscardHandler), "a1", "k1", &sink.Counters{}
	env.Keep = func(context.Context, sink.State) error { return nil }
	env.DeadLetter = func(_ *record.Slab, _ int, code, _ string) { letters = append(letters, code) }
	s, err := b.maker(settings)(env)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	slab := record.NewSlab(100)
	defer slab.Release()
	slab.SetTime(1000)
	slab.Append([]byte("body"))
	for k, v := range headers {
		slab.SetHeader(0, k, []byte(v))
	}
	return letters, s.Deliver(context.Background(), &sink.Batch{Views: []record.View{slab.View()}, First: 5, Channel: "c1"})
}

func TestAnEventBecomesARecordOfTheNodeAsInFlume(t *testing.T) {
	b := newBroker(t)
	b.grow("four", 4, partition.Defaults())
	for _, sole := range []bool{true, false} {
		headers := map[string]string{"key": "k", "part": "3", "ts": "77", "h": "v", "ignored": "x"}
		if letters, err := b.send(headers, map[string]string{"kafka.topic": "four", "partitionIdHeader": "part", "timestampHeader": "ts", "header.h": "kafka-h"}, sink.Env{Sole: sole}); err != nil || len(letters) > 0 {
			t.Fatal(letters, err)
		}
	}
	if letters, err := b.send(map[string]string{"key": "abc", "topic": "four"}, map[string]string{"kafka.topic": "x", "useFlumeEventFormat": "true"}, sink.Env{}); err != nil || len(letters) > 0 {
		t.Fatal(letters, err)
	}
	where := int(producer.ForKey([]byte("abc"), 4))
	flume := string([]byte{4, 6, 'k', 'e', 'y', 6, 'a', 'b', 'c', 10, 't', 'o', 'p', 'i', 'c', 8, 'f', 'o', 'u', 'r', 0, 8, 'b', 'o', 'd', 'y'})
	want := []stored{{3, "k", "body", 77, 1}, {3, "k", "body", 77, 1}, {where, "abc", flume, 1000, 0}}
	got := b.read("four")
	slices.SortFunc(got, func(a, b stored) int { return strings.Compare(b.key, a.key) })
	slices.SortFunc(want, func(a, b stored) int { return strings.Compare(b.key, a.key) })
	for i := range got {
		if got[i].key == "abc" && len(got[i].value) == len(flume) { // the order of a map
			got[i].value = flume
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("in the topic stand\n%v, want\n%v", got, want)
	}
}

func TestWhatATopicOfTheNodeNeverTakesIsADeadLetter(t *testing.T) {
	b := newBroker(t)
	compacted, small, dated := partition.Defaults(), partition.Defaults(), partition.Defaults()
	compacted.Compact, small.MaxMessageBytes, dated.TimestampBefore = true, 70, time.Hour
	b.grow("compacted", 1, compacted)
	b.grow("small", 1, small)
	b.grow("dated", 1, dated)
	for topic, want := range map[string]string{"compacted": "key", "small": "size", "dated": "timestamp", "missing": "topic"} {
		letters, err := b.send(nil, map[string]string{"kafka.topic": topic}, sink.Env{Sole: true})
		if err != nil || !slices.Equal(letters, []string{want}) {
			t.Errorf("%s: dead letters %v, %v; want %s", topic, letters, err, want)
		}
	}
}

// With other settings an event may go elsewhere: what a partition knows of the
// sink says nothing about it then. Nor does it of another channel.
func TestASinkWithAnotherWayToThePartitionsIsAnotherFeeder(t *testing.T) {
	b := newBroker(t)
	b.grow("t", 1, partition.Defaults())
	state := sink.State{}
	send := func(channel string, settings map[string]string) {
		t.Helper()
		w := &feeding{t: t, state: state, make: b.maker(settings)}
		w.open()
		s := record.NewSlab(10)
		defer s.Release()
		s.Append([]byte("x"))
		if err := w.sink.Deliver(t.Context(), &sink.Batch{Channel: channel, First: 9, Views: []record.View{s.View()}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		channel  string
		settings map[string]string
		want     int
	}{
		{"c1", map[string]string{"kafka.topic": "t"}, 1},
		{"c1", map[string]string{"kafka.topic": "t"}, 1},
		{"c1", map[string]string{"kafka.topic": "t", "kafka.producer.acks": "all"}, 1},
		{"c1", map[string]string{"kafka.topic": "t", "defaultPartitionId": "0"}, 2},
		{"c2", map[string]string{"kafka.topic": "t", "defaultPartitionId": "0"}, 3},
	} {
		send(c.channel, c.settings)
		if got := len(b.read("t")); got != c.want {
			t.Errorf("%d: %d records, want %d", i, got, c.want)
		}
	}
}
