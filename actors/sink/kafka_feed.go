package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// fedTopic is a topic that a sink writes to.
type fedTopic struct {
	name   string
	topic  Topic
	looked int // the delivery in which topic was looked up
	feeds  []*feed
	plan   plan
	begun  int64 // of a feeder: the last position of which an append was begun
	turned int   // the delivery in which turn was chosen
	turn   int32
}

// feed is one partition that a sink writes to.
type feed struct {
	of     *fedTopic
	id     partition.ID
	ref    partition.Ref
	known  bool  // last is right
	last   int64 // of a feeder: the position of its last record in the partition
	packer record.Packer
	upto   int64 // position of the last record in packer
	listed bool  // in sent
	flying bool
	answer partition.Appended
	done   func(partition.Appended)
}

// plan says how many partitions of a topic count for which positions of the
// channel. It is kept before the first append that goes by it.
type plan struct {
	ID   [16]byte // of the topic
	Runs []planRun
}

// planRun holds from position From on.
type planRun struct {
	From  int64
	Count int32
}

// planRunsMax bounds a plan: what lies behind so many changes is settled.
const planRunsMax = 64

func (p *plan) count(at int64) int32 {
	for i := len(p.Runs) - 1; i > 0; i-- {
		if at >= p.Runs[i].From {
			return p.Runs[i].Count
		}
	}
	return p.Runs[0].Count
}

// topic looks a topic up, once in a delivery.
func (k *kafkaHere) topic(ctx context.Context, name []byte) (*fedTopic, error) {
	t := k.topics[string(name)]
	if t != nil && t.looked == k.delivery {
		return t, nil
	}
	if t == nil {
		t = &fedTopic{name: string(name), begun: -1}
	}
	now, err := k.env.Topics.Topic(ctx, t.name)
	if errors.Is(err, ErrNoTopic) {
		return nil, &undeliverable{"topic", err.Error()}
	}
	if err != nil {
		return nil, err
	}
	if now.ID != t.topic.ID {
		t.feeds, t.begun = nil, -1
	}
	changed := now != t.topic
	t.topic = now
	if changed && k.exact() {
		if err := k.follow(ctx, t); err != nil {
			t.topic = Topic{} // look again
			return nil, err
		}
	}
	k.topics[t.name], t.looked = t, k.delivery
	return t, nil
}

// follow makes the plan of t what the topic is now.
func (k *kafkaHere) follow(ctx context.Context, t *fedTopic) error {
	name := "plan/" + t.name
	if kept := k.env.State[name]; kept != nil && len(t.plan.Runs) == 0 {
		if err := json.Unmarshal(kept, &t.plan); err != nil {
			return fmt.Errorf("the state of sink %s: %w", k.env.Name, err)
		}
	}
	for i := range t.topic.Partitions { // how far an earlier life has come
		f, err := k.feed(ctx, t, i)
		if err != nil {
			return err
		}
		t.begun = max(t.begun, f.last)
	}
	next := plan{ID: t.topic.ID}
	switch {
	case t.plan.ID != t.topic.ID || len(t.plan.Runs) == 0:
		next.Runs = []planRun{{0, t.topic.Partitions}}
	case t.plan.Runs[len(t.plan.Runs)-1].Count != t.topic.Partitions:
		next.Runs = append(append(next.Runs, t.plan.Runs...), planRun{t.begun + 1, t.topic.Partitions})
		next.Runs = next.Runs[max(0, len(next.Runs)-planRunsMax):]
	default:
		return nil
	}
	if err := k.keep(ctx, name, next); err != nil {
		return err
	}
	t.plan = next
	return nil
}

// feed is a partition of t, with how far this feeder is there.
func (k *kafkaHere) feed(ctx context.Context, t *fedTopic, index int32) (*feed, error) {
	for len(t.feeds) < int(t.topic.Partitions) {
		f := &feed{of: t, id: partition.ID{Topic: t.name, Index: int32(len(t.feeds))}, last: -1}
		f.done = func(a partition.Appended) {
			f.answer = a
			k.wait.Done()
		}
		t.feeds = append(t.feeds, f)
	}
	if int(index) >= len(t.feeds) {
		return nil, fmt.Errorf("topic %s has %d partitions, and an event is for number %d", t.name, t.topic.Partitions, index)
	}
	f := t.feeds[index]
	if f.listed {
		return f, nil
	}
	ref, err := k.env.Topics.Partition(f.id)
	if err != nil {
		return nil, fmt.Errorf("produce to %s: %w", f.id, err)
	}
	if ref != f.ref {
		f.ref, f.known = ref, false
	}
	if k.exact() && !f.known {
		if f.last, err = fed(ctx, ref, k.feeder); err != nil {
			return nil, fmt.Errorf("produce to %s: %w", f.id, err)
		}
	}
	f.known, f.listed = true, true
	k.sent = append(k.sent, f)
	return f, nil
}

// fed asks a partition how far a feeder is in it, and waits until nothing of it
// is on its way: an earlier run may have left something.
func fed(ctx context.Context, ref partition.Ref, feeder int64) (int64, error) {
	last, whole, err := ref.Fed(feeder)
	if err != nil || whole {
		return last, err
	}
	moved := make(chan struct{}, 1)
	w := &partition.Watcher{Wake: func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}}
	ref.Watch(w)
	defer ref.Unwatch(w)
	for {
		if last, whole, err = ref.Fed(feeder); err != nil || whole {
			return last, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return -1, ctx.Err()
		}
	}
}

// settle takes note of what has become of what was sent.
func (f *feed) settle() error {
	if !f.flying {
		return nil
	}
	f.flying = false
	f.packer.Reset()
	if err := f.answer.Err; err != nil {
		f.known = false
		return fmt.Errorf("produce to %s: %w", f.id, err)
	}
	f.last = f.upto
	return nil
}

// drop ends the part of f in a delivery.
func (f *feed) drop() {
	f.packer.Reset()
	f.listed = false
}

// allowed says why the topic would refuse an event, and with it the others of
// its batch.
func allowed(c *partition.Config, e *kafkaEvent) error {
	if c.Compact && e.key == nil {
		return &undeliverable{"key", "the topic is compacted, and the event has no header key"}
	}
	if c.LogAppendTime || c.TimestampBefore < 0 && c.TimestampAfter < 0 {
		return nil
	}
	now := time.Now()
	if after := c.TimestampAfter; after >= 0 && e.time > now.Add(after).UnixMilli() {
		return &undeliverable{"timestamp", fmt.Sprintf("%d is more than %v ahead (message.timestamp.after.max.ms)", e.time, after)}
	}
	if before := c.TimestampBefore; before >= 0 && e.time < now.Add(-before).UnixMilli() {
		return &undeliverable{"timestamp", fmt.Sprintf("%d is more than %v ago (message.timestamp.before.max.ms)", e.time, before)}
	}
	return nil
}
