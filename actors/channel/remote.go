package channel

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/clientprops"
)

// Remote is a Kafka topic as what a channel holds, with the content that Flume's
// Kafka channel writes and reads. A put is over when the topic has acknowledged
// it. What a consumer group brings lies in memory for the sinks, as in a memory
// channel; what they have settled, with everything before it, is committed to
// the group, and what they have not comes again. Everything is at least once.
//
// Without a sink nothing is read, and without a source nothing is written.
type Remote struct {
	log       *slog.Logger
	topic     string
	flume     bool // values are Flume events
	partition int32
	header    string // that names a partition
	producing []kgo.Opt
	consuming []kgo.Opt

	want   sync.Once
	wanted chan struct{} // closed when a sink takes

	running  sync.Mutex // held while the channel runs
	mu       sync.Mutex
	end      context.CancelFunc // of the run
	producer *kgo.Client
}

// begin is for as long as the channel runs.
func (k *Remote) begin() context.Context {
	ctx, end := context.WithCancel(context.Background())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end = end
	return ctx
}

// stop ends the run; it does not wait for that.
func (k *Remote) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
}

// RemoteCapacity is how many records of a topic lie in memory for the sinks.
const RemoteCapacity = 10_000

// NewRemote makes the content of a Kafka channel from its settings.
func NewRemote(s topologies.Settings, log *slog.Logger) (*Remote, error) {
	k := &Remote{
		log: log, topic: s.String("kafka.topic"), flume: s.Bool("parseAsFlumeEvent"),
		partition: clientprops.AnyPartition, header: s.String("partitionIdHeader"), wanted: make(chan struct{}),
	}
	servers := s.String("kafka.bootstrap.servers")
	if servers == "" {
		s.Fail("kafka.bootstrap.servers", "want the brokers, host:port with commas")
	}
	if s.Has("defaultPartitionId") {
		k.partition = int32(s.Int("defaultPartitionId"))
	}
	reset := "earliest"
	if s.Has("readSmallestOffset") && !s.Bool("readSmallestOffset") {
		reset = "latest"
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	p, err := clientprops.Read(clientprops.Producer, clientprops.Of(s, "kafka.producer.",
		clientprops.Setting{Name: "bootstrap.servers", Value: servers}, clientprops.Setting{Name: "acks", Value: "all"}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	if p.TransactionalID != "" {
		return nil, fmt.Errorf("%s: kafka.producer.transactional.id: the channel commits by itself; leave it out", s.Name())
	}
	c, err := clientprops.Read(clientprops.Consumer, clientprops.Of(s, "kafka.consumer.",
		clientprops.Setting{Name: "bootstrap.servers", Value: servers}, clientprops.Setting{Name: "auto.offset.reset", Value: reset},
		clientprops.Setting{Name: "group.id", Value: s.String("kafka.consumer.group.id")}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	for _, r := range append(p.Remarks, c.Remarks...) {
		log.Warn("kafka setting", "remark", r)
	}
	k.producing = append(p.Options, kgo.RecordPartitioner(clientprops.Partitioner()), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(4))
	k.consuming = append(c.Options, kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(k.topic), kgo.AllowAutoTopicCreation(),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second), kgo.OnPartitionsRevoked(k.revoked))
	return k, nil
}

// putMax is how long the topic may take to acknowledge a batch.
const putMax = 30 * time.Second

// put returns when the topic has every record of s. After an error it may have
// some.
func (k *Remote) put(ctx context.Context, s *record.Slab) error {
	client, err := k.client()
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, s.Len())
	for i := range records {
		if records[i], err = k.record(s, i); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, putMax)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("produce to topic %s: %w", k.topic, err)
	}
	return nil
}

func (k *Remote) client() (*kgo.Client, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.producer != nil {
		return k.producer, nil
	}
	client, err := kgo.NewClient(k.producing...)
	k.producer = client
	return client, err
}

// record is event i as Flume's channel writes it.
func (k *Remote) record(s *record.Slab, i int) (*kgo.Record, error) {
	r := &kgo.Record{Topic: k.topic, Partition: k.partition, Timestamp: time.UnixMilli(s.Time())}
	if key, ok := s.Header(i, "key"); ok {
		r.Key = append([]byte{}, key...)
	}
	if k.header != "" {
		if text, ok := s.Header(i, k.header); ok {
			n, err := strconv.ParseInt(string(text), 10, 32)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("header %s=%q names no partition", k.header, text)
			}
			r.Partition = int32(n)
		}
	}
	if k.flume {
		r.Value = s.AppendFlumeEvent(nil, i)
	} else {
		r.Value = slices.Clone(s.Body(i))
	}
	return r, nil
}

// take has the topic read from now on.
func (k *Remote) take() { k.want.Do(func() { close(k.wanted) }) }

// run reads the topic into the channel until ctx ends, once a sink wants it.
func (k *Remote) run(ctx context.Context, to Ref) {
	k.running.Lock()
	defer k.running.Unlock()
	defer k.closeProducer()
	select {
	case <-k.wanted:
	case <-ctx.Done():
		return
	}
	client, err := kgo.NewClient(k.consuming...)
	if err != nil { // of the options alone
		k.log.Error("the topic of the channel cannot be read", "channel", to.Name(), "err", err)
		return
	}
	r := &remoteReader{Remote: k, client: client, to: to, asker: ask.NewAsker(to.system), settled: make(chan struct{}, 1)}
	defer r.asker.Close()
	stop := make(chan struct{})
	var committing sync.WaitGroup
	committing.Go(func() { r.commits(stop) })
	r.read(ctx)
	close(stop)
	committing.Wait()
	left, cancel := context.WithTimeout(context.Background(), leaveMax)
	defer cancel()
	_ = client.CommitMarkedOffsets(left)
	_ = client.LeaveGroupContext(left)
	client.Close()
}

// leaveMax is how long a channel that ends may take to leave its group.
const leaveMax = 3 * time.Second

func (k *Remote) closeProducer() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.producer != nil {
		k.producer.Close()
		k.producer = nil
	}
}

// AwaitEnd returns when a channel that was stopped has let go of its topic.
func (k *Remote) AwaitEnd() {
	k.running.Lock()
	defer k.running.Unlock()
}

// revoked commits what is settled of partitions that somebody else gets.
func (k *Remote) revoked(ctx context.Context, client *kgo.Client, _ map[string][]int32) {
	if err := client.CommitMarkedOffsets(ctx); err != nil {
		k.log.Warn("offsets not committed: events come again", "topic", k.topic, "err", err)
	}
}

// remoteReader is one run of a channel over its topic.
type remoteReader struct {
	*Remote
	client  *kgo.Client
	to      Ref
	asker   *ask.Asker
	settled chan struct{}
	bad     bool // it was told of a value that is no Flume event
}

const (
	remotePoll  = 1000            // records at once
	remotePause = 1 * time.Second // after an error
)

func (r *remoteReader) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := r.client.PollRecords(ctx, remotePoll)
		if ctx.Err() != nil {
			return
		}
		failed := false
		for _, e := range fetches.Errors() {
			failed = true
			r.log.Warn("the topic of a channel was not read", "topic", e.Topic, "partition", e.Partition, "err", e.Err, "retry", remotePause)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for rest := p.Records; len(rest) > 0 && ctx.Err() == nil; {
				n := min(len(rest), max(1, r.to.Capacity()/4))
				r.arrive(ctx, rest[:n])
				rest = rest[n:]
			}
		})
		if failed {
			select {
			case <-time.After(remotePause):
			case <-ctx.Done():
			}
		}
	}
}

// arrive puts records of one partition where the sinks take them.
func (r *remoteReader) arrive(ctx context.Context, records []*kgo.Record) {
	size := 0
	for _, x := range records {
		size += len(x.Value) + len(x.Key)
	}
	slab := record.NewSlab(size)
	slab.SetTime(time.Now().UnixMilli())
	for _, x := range records {
		r.add(slab, x)
	}
	bytes := room(slab)
	if err := r.to.reserve(ctx, r.asker, slab.Len(), bytes, 0); err != nil {
		slab.Release() // the channel has ended; it comes again
		return
	}
	last := records[len(records)-1]
	next := map[string]map[int32]kgo.EpochOffset{last.Topic: {last.Partition: {Epoch: last.LeaderEpoch, Offset: last.Offset + 1}}}
	r.to.spec.inbox.put(arrival{batch: slab, bytes: bytes, foreign: true, mark: &Mark{Settled: func(uint64) {
		r.client.MarkCommitOffsets(next)
		select {
		case r.settled <- struct{}{}:
		default:
		}
	}}})
	r.to.system.Root.Send(r.to.pid, Stored{})
}

// add makes an event of x as Flume's channel reads it. What is no Flume event
// is kept as it is: nothing is lost.
func (r *remoteReader) add(slab *record.Slab, x *kgo.Record) {
	i, err := slab.Len(), error(nil)
	if r.flume {
		i, err = slab.AddFlumeEvent(x.Value)
	}
	if !r.flume || err != nil {
		i = slab.Len()
		slab.Append(x.Value)
	}
	if err != nil && !r.bad {
		r.bad = true
		r.log.Warn("no Flume event: its value becomes the body; should parseAsFlumeEvent be false?",
			"topic", x.Topic, "partition", x.Partition, "offset", x.Offset, "err", err)
	}
	if x.Key != nil {
		slab.SetHeader(i, "key", x.Key)
	}
}

// commits commits what is settled to the group, as soon as it is.
func (r *remoteReader) commits(stop chan struct{}) {
	for {
		select {
		case <-r.settled:
		case <-stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), leaveMax)
		if err := r.client.CommitMarkedOffsets(ctx); err != nil {
			r.log.Warn("offsets not committed: tried again with the next events", "topic", r.topic, "err", err)
		}
		cancel()
	}
}
