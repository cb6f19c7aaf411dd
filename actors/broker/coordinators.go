package broker

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
)

// coordinators are those of one internal topic, one for each partition of it
// that this node leads. R is how they are reached.
type coordinators[R comparable] struct {
	b      *Broker
	topic  controller.NewTopic
	start  func(index int32, log partition.Ref) (R, error)
	refs   atomic.Pointer[[]R] // by partition; the zero R where none runs
	making atomic.Bool
}

// The configs that the topics of coordinators are made with: the latest value of
// each key is all that counts.
var (
	offsetsConfigs      = map[string]string{"cleanup.policy": "compact", "segment.bytes": "104857600"}
	transactionsConfigs = map[string]string{"cleanup.policy": "compact", "segment.bytes": "104857600"}
)

func (c *coordinators[R]) prepare(b *Broker, topic string, partitions int32, values map[string]string, start func(int32, partition.Ref) (R, error)) {
	c.b, c.start = b, start
	c.topic = controller.NewTopic{Name: topic, Partitions: partitions, Factor: -1, Configs: map[string]*string{}}
	for name, v := range values {
		c.topic.Configs[name] = &v
	}
}

// find is the coordinator of id. The topic is made when it is first needed.
func (c *coordinators[R]) find(id string) (R, error) {
	var none R
	refs := c.refs.Load()
	if refs == nil || len(*refs) == 0 {
		c.make()
		return none, ErrCoordinatorLoading
	}
	if r := (*refs)[Slot(id, len(*refs))]; r != none {
		return r, nil
	}
	return none, ErrCoordinatorLoading
}

// all are the coordinators of this node.
func (c *coordinators[R]) all() []R {
	var none R
	refs := c.refs.Load()
	if refs == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(*refs), func(r R) bool { return r == none })
}

// makeMax is how long the making of a topic may take.
const makeMax = 30 * time.Second

// make makes the topic, in a goroutine of its own; nobody waits for it.
func (c *coordinators[R]) make() {
	if _, there := c.b.Controller().Image().Topic(c.topic.Name); there || !c.making.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer c.making.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), makeMax)
		defer cancel()
		results, err := c.b.Controller().CreateTopics(ctx, []controller.NewTopic{c.topic}, false)
		if err == nil && results[0].Err != nil {
			err = results[0].Err
		}
		if _, there := c.b.Controller().Image().Topic(c.topic.Name); err != nil && !there {
			c.b.env.Log.Error("internal topic not made", "topic", c.topic.Name, "err", err)
		}
	}()
}

// follow starts the coordinators of partitions that have come. The partitions
// run already.
func (c *coordinators[R]) follow(image *controller.Image) error {
	t, there := image.Topic(c.topic.Name)
	if !there {
		return nil
	}
	var none R
	refs := make([]R, len(t.Partitions))
	if old := c.refs.Load(); old != nil {
		copy(refs, *old)
	}
	var failed error
	for n := range refs {
		if refs[n] != none {
			continue
		}
		log, err := c.b.Partition(partition.ID{Topic: c.topic.Name, Index: int32(n)})
		if err != nil {
			continue // led elsewhere, or not started
		}
		if refs[n], err = c.start(int32(n), log); err != nil && failed == nil {
			failed = fmt.Errorf("start the coordinator of %s-%d: %w", c.topic.Name, n, err)
		}
	}
	c.refs.Store(&refs)
	return failed
}

// forget lets all coordinators go: they have ended.
func (c *coordinators[R]) forget() { c.refs.Store(nil) }

// Slot is which of n partitions of a coordinators' topic id belongs to: Kafka's
// rule, so that tools which know it are right.
func Slot(id string, n int) int {
	h := int32(0)
	for _, r := range id {
		if r >= 0x10000 { // Java counts in UTF-16
			r -= 0x10000
			h = h*31 + 0xd800 + r>>10
			r = 0xdc00 + r&0x3ff
		}
		h = h*31 + r
	}
	if h == -1<<31 {
		return 0
	}
	return int(max(h, -h)) % n
}
