package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	demoTopic      = "orders"
	demoPartitions = 6
	demoGroup      = "billing"
	demoConsumers  = 3
)

// shopTopic is the demo's topic with the group that reads it, seen through an
// ordinary Kafka client.
type shopTopic struct {
	addr      string
	admin     *kadm.Client
	consumers []*kgo.Client
	reading   sync.WaitGroup

	mu   sync.Mutex
	next map[int32]int64 // by partition: the first offset that nobody has read
	read int64           // records, each counted once
	seen tally
}

// openTopic makes the topic and starts the group.
func openTopic(ctx context.Context, addr string) (*shopTopic, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, err
	}
	t := &shopTopic{addr: addr, admin: kadm.NewClient(cl), next: map[int32]int64{}}
	answer, err := t.admin.CreateTopic(ctx, demoPartitions, 1, nil, demoTopic)
	if err == nil {
		err = answer.Err
	}
	if err != nil {
		return nil, fmt.Errorf("create topic %s: %w", demoTopic, err)
	}
	for i := range demoConsumers {
		c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID(fmt.Sprintf("%s-%d", demoGroup, i+1)), kgo.ConsumerGroup(demoGroup),
			kgo.ConsumeTopics(demoTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(500*time.Millisecond),
			kgo.FetchMaxWait(500*time.Millisecond))
		if err != nil {
			return nil, err
		}
		t.consumers = append(t.consumers, c)
		t.reading.Go(func() { t.consume(c) })
	}
	return t, nil
}

func (t *shopTopic) consume(c *kgo.Client) {
	for {
		fs := c.PollFetches(context.Background())
		if fs.IsClientClosed() {
			return
		}
		t.mu.Lock()
		fs.EachRecord(t.note)
		t.mu.Unlock()
	}
}

// note counts r, unless it was read before: a group reads again what it had not
// committed when one of its members left. t.mu is held.
func (t *shopTopic) note(r *kgo.Record) {
	if r.Offset < t.next[r.Partition] {
		return
	}
	t.next[r.Partition] = r.Offset + 1
	t.read++
	t.seen.count(append(r.Value, '\n'))
}

// figures are how many records the group has read, how many of the first
// written are missing, and how many the topic holds twice.
func (t *shopTopic) figures(written int) (read int64, lost, duplicates int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read, t.seen.lost(written), t.seen.duplicates()
}

// stored is how many offsets the topic holds.
func (t *shopTopic) stored(ctx context.Context) (sum int64, err error) {
	ends, err := t.admin.ListEndOffsets(ctx, demoTopic)
	if err != nil {
		return 0, err
	}
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum, ends.Error()
}

// committed is how many records the group has committed.
func (t *shopTopic) committed(ctx context.Context) (sum int64, err error) {
	all, err := t.admin.FetchOffsets(ctx, demoGroup)
	if err != nil {
		return 0, err
	}
	all.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
	return sum, all.Error()
}

// finish waits until the group has read what is stored, ends it, and reads the
// whole topic once more as somebody else would.
func (t *shopTopic) finish(ctx context.Context) (*tally, topicLedger, error) {
	var l topicLedger
	var err error
	if l.Stored, err = t.stored(ctx); err != nil {
		return nil, l, err
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for read := int64(0); read < l.Stored && ctx.Err() == nil; {
		<-look.C
		read, _, _ = t.figures(0)
	}
	for _, c := range t.consumers {
		err = errors.Join(err, c.CommitUncommittedOffsets(ctx))
		c.Close() // leaves the group
	}
	t.reading.Wait()
	if err != nil {
		return nil, l, fmt.Errorf("commit of group %s: %w", demoGroup, err)
	}
	if l.Committed, err = t.committed(ctx); err != nil {
		return nil, l, err
	}
	l.Lag = l.Stored - l.Committed
	all, err := t.readAll(ctx, l.Stored)
	t.admin.Close()
	return all, l, err
}

// topicLedger is the topic's part of the ledger.
type topicLedger struct {
	Stored    int64 `json:"stored"`
	Committed int64 `json:"committed"` // by the group
	Lag       int64 `json:"lag"`
}

func (t *shopTopic) readAll(ctx context.Context, total int64) (*tally, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(t.addr), kgo.ConsumeTopics(demoTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all := &tally{}
	for read := int64(0); read < total; {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", demoTopic, err)
		}
		fs.EachRecord(func(r *kgo.Record) { all.count(append(r.Value, '\n')) })
		read += int64(fs.NumRecords())
	}
	return all, nil
}
