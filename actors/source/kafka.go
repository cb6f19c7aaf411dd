package source

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/clientprops"
)

// kafka reads topics as a member of a consumer group, through franz-go. Its
// checkpoints are offsets, stored with the channel's put; they are committed to
// the group behind that. A restart goes on at the checkpoint when the group's
// offset is still what this source committed last, and at the group's offset
// when somebody else has moved it since.
type kafka struct {
	opt     kafkaOptions
	options []kgo.Opt
	env     Env
	offsets groupOffsets
}

type kafkaOptions struct {
	batchSize   int
	flumeFormat bool
	setTopic    bool
	topicHeader string
	headers     map[string]string // by Kafka header: event header
}

func newKafka(s topologies.Settings, env Env) (Source, error) {
	k := &kafka{env: env}
	k.offsets.init(env)
	k.opt = kafkaOptions{batchSize: s.Int("batchSize"), flumeFormat: s.Bool("useFlumeEventFormat"), setTopic: s.Bool("setTopicHeader"),
		topicHeader: s.String("topicHeader"), headers: map[string]string{}}
	for _, name := range s.Keys("header.") {
		k.opt.headers[s.String("header."+name)] = name
	}
	servers := s.String("kafka.bootstrap.servers")
	topics, pattern := splitCommas(s.String("kafka.topics")), s.String("kafka.topics.regex")
	switch {
	case servers == "":
		s.Fail("kafka.bootstrap.servers", "want the brokers, host:port with commas")
	case pattern != "":
		if _, err := regexp.Compile(pattern); err != nil {
			s.Fail("kafka.topics.regex", err.Error())
		}
		topics = []string{"^(?:" + pattern + ")$"}
		k.options = append(k.options, kgo.ConsumeRegex())
	case len(topics) == 0:
		s.Fail("kafka.topics", "want the topics, with commas, or kafka.topics.regex")
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	c, err := clientprops.Read(clientprops.Consumer, clientprops.Of(s, "kafka.consumer.",
		clientprops.Setting{Name: "bootstrap.servers", Value: servers},
		clientprops.Setting{Name: "auto.offset.reset", Value: "latest"},
		clientprops.Setting{Name: "group.id", Value: s.String("kafka.consumer.group.id")}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	for _, r := range c.Remarks {
		env.Log.Warn("kafka setting", "remark", r)
	}
	k.options = append(append(c.Options, k.options...), kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(k.offsets.resume), kgo.OnPartitionsRevoked(k.offsets.revoked), kgo.OnPartitionsLost(k.offsets.lost))
	return k, nil
}

func splitCommas(s string) (out []string) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// Run reads until ctx ends. What was settled is committed before it returns.
func (k *kafka) Run(ctx context.Context, out Out) error {
	k.offsets.ended = ctx.Done()
	client, err := kgo.NewClient(k.options...)
	if err != nil {
		return err
	}
	var committing sync.WaitGroup
	stop := make(chan struct{})
	committing.Go(func() { k.offsets.commits(client, stop) })
	k.env.Counters.OpenConnections.Add(1)
	defer func() {
		k.env.Counters.OpenConnections.Add(-1)
		close(stop)
		committing.Wait()
		client.CloseAllowingRebalance()
	}()
	for {
		fetches := client.PollRecords(ctx, k.opt.batchSize)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				k.env.Counters.EventReadFail.Add(1)
				return fmt.Errorf("read %s-%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		err := k.emit(ctx, fetches, out)
		client.AllowRebalance()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// emit hands over a batch per partition.
func (k *kafka) emit(ctx context.Context, fetches kgo.Fetches, out Out) (err error) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for rest := p.Records; len(rest) > 0 && err == nil; {
			n := k.offsets.cut(p.Topic, p.Partition, rest)
			err = k.emitOne(ctx, rest[:n], out)
			rest = rest[n:]
		}
	})
	return err
}

// emitOne hands over records of one partition as a batch.
func (k *kafka) emitOne(ctx context.Context, records []*kgo.Record, out Out) error {
	last := records[len(records)-1]
	slab := record.NewSlab(sizeOf(records))
	slab.SetTime(time.Now().UnixMilli())
	for _, r := range records {
		k.add(slab, r)
	}
	k.offsets.emitting(last.Topic, last.Partition, last.Offset+1)
	return out.Emit(ctx, slab, Checkpoint{Stream: stream(last.Topic, last.Partition), Pos: uint64(last.Offset + 1)})
}

// Settled notes an offset for the next commit to the group.
func (k *kafka) Settled(at Checkpoint) { k.offsets.settle(at) }

func sizeOf(records []*kgo.Record) (n int) {
	for _, r := range records {
		n += len(r.Value) + len(r.Key) + 64
	}
	return n
}

// add makes an event of r, with the headers that Flume's source sets.
func (k *kafka) add(slab *record.Slab, r *kgo.Record) {
	i := slab.Len()
	if k.opt.flumeFormat {
		var err error
		if i, err = slab.AddFlumeEvent(r.Value); err != nil {
			// What is no Flume event is kept as it is: nothing is lost.
			k.env.Counters.Malformed.Add(1)
			k.env.Log.Debug("no Flume event", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", err)
			i = slab.Len()
			slab.Append(r.Value)
		}
	} else {
		slab.Append(r.Value)
	}
	absent := func(name, value string) {
		if _, there := slab.Header(i, name); !there {
			slab.SetHeader(i, name, []byte(value))
		}
	}
	absent("timestamp", strconv.FormatInt(r.Timestamp.UnixMilli(), 10))
	if k.opt.setTopic {
		absent(k.opt.topicHeader, r.Topic)
	}
	absent("partition", strconv.Itoa(int(r.Partition)))
	absent("offset", strconv.FormatInt(r.Offset, 10))
	if r.Key != nil {
		slab.SetHeader(i, "key", r.Key)
	}
	for _, h := range r.Headers {
		if name, ok := k.opt.headers[h.Key]; ok {
			slab.SetHeader(i, name, h.Value)
		}
	}
}
