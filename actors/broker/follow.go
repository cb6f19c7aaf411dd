package broker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies/configs"
)

// follower makes the broker look like the metadata. One goroutine does it, one
// image after another; images that come while it works are passed over for the
// newest.
type follower struct {
	b       *Broker
	wake    chan struct{}
	end     context.CancelFunc
	ended   chan struct{}
	unwatch func()

	deleting sync.WaitGroup // the logs of topics that are gone

	last *controller.Image // that the broker looks like; the goroutine's own

	mu      sync.Mutex
	newest  *controller.Image
	applied record.Offset // the epoch that the broker looks like
	waiting []chan struct{}
}

func (f *follower) start(b *Broker) {
	ctx, end := context.WithCancel(context.Background())
	f.b, f.wake, f.end, f.ended = b, make(chan struct{}, 1), end, make(chan struct{})
	f.mu.Lock()
	f.applied = -1 // nothing runs yet
	f.mu.Unlock()
	f.last = nil
	f.unwatch = b.Controller().Watch(f.see)
	go f.run(ctx)
}

// stop ends the following; what runs runs on.
func (f *follower) stop() {
	if f.end == nil {
		return
	}
	f.unwatch()
	f.end()
	<-f.ended
	f.deleting.Wait()
}

func (f *follower) see(i *controller.Image) {
	f.mu.Lock()
	f.newest = i
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// retryAfter is after what time a partition is tried again that did not start.
const retryAfter = time.Second

func (f *follower) run(ctx context.Context) {
	defer close(f.ended)
	again := time.NewTimer(0) // the first look, also when nothing has changed
	defer again.Stop()
	first := true
	for {
		select {
		case <-f.wake:
		case <-again.C:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		image := f.newest
		f.mu.Unlock()
		err := f.b.become(ctx, image, first)
		first = false
		if err != nil {
			f.b.env.Log.Error("partitions do not follow the metadata", "err", err, "again", retryAfter)
			again.Reset(retryAfter)
		}
		f.reached(image.Epoch)
	}
}

// reached wakes those who wait for the broker to look like some image.
func (f *follower) reached(epoch record.Offset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = epoch
	for _, w := range f.waiting {
		close(w)
	}
	f.waiting = nil
}

// await returns when the broker looks like an image of epoch or a later one.
func (f *follower) await(ctx context.Context, epoch record.Offset) error {
	for {
		f.mu.Lock()
		if f.applied >= epoch {
			f.mu.Unlock()
			return nil
		}
		w := make(chan struct{})
		f.waiting = append(f.waiting, w)
		f.mu.Unlock()
		select {
		case <-w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AwaitTopics returns when the partitions of these topics lead, as far as the
// metadata of now has them on this node, or ctx ends.
func (b *Broker) AwaitTopics(ctx context.Context, names ...string) error {
	if err := b.follow.await(ctx, b.Controller().Image().Epoch); err != nil {
		return err
	}
	topics := *b.topics.Load()
	for _, name := range names {
		t, ok := topics[name]
		if !ok {
			continue
		}
		for _, r := range t.refs {
			if r == (partition.Ref{}) {
				continue
			}
			if err := awaitLeader(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// AwaitAll returns when every partition of this node leads, or ctx ends.
func (b *Broker) AwaitAll(ctx context.Context) error {
	var names []string
	for _, t := range b.Controller().Image().Topics() {
		names = append(names, t.Name)
	}
	return b.AwaitTopics(ctx, names...)
}

// awaitLeader returns when this node leads the partition.
func awaitLeader(ctx context.Context, r partition.Ref) error {
	moved := make(chan struct{}, 1)
	w := &partition.Watcher{Wake: func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}}
	r.Watch(w)
	defer r.Unwatch(w)
	for !r.Leading() {
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("partition %s: %w", r.ID(), ctx.Err())
		}
	}
	return nil
}

// become starts, changes and stops partitions until they are those of image.
// first also deletes the logs of topics that were deleted while the node was
// down.
func (b *Broker) become(ctx context.Context, image *controller.Image, first bool) error {
	old := *b.topics.Load()
	next := make(map[string]*running, len(old))
	var failed error
	var gone []partition.Ref
	same := b.follow.last != nil && image.SameDefaults(b.follow.last)
	for _, t := range image.Topics() {
		was := old[t.Name]
		if was != nil && was.topic.ID != t.ID {
			gone = append(gone, was.refs...)
			was = nil
		}
		is, err := b.topic(image, t, was, same)
		if err != nil && failed == nil {
			failed = err
		}
		next[t.Name] = is
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for name, was := range old {
		if _, stays := next[name]; !stays {
			gone = append(gone, was.refs...)
		}
	}
	b.topics.Store(&next)
	b.follow.last = image
	failed = cmp.Or(failed, b.groups.follow(image), b.txns.follow(image))
	if err := b.end(ctx, gone); err != nil && failed == nil {
		failed = err
	}
	if first {
		b.sweep(ctx, image)
	}
	return failed
}

// topic is t with its partitions on this node; those that run already go on.
func (b *Broker) topic(image *controller.Image, t *controller.Topic, was *running, sameDefaults bool) (*running, error) {
	if was != nil && was.topic == t && was.whole && sameDefaults {
		return was, nil
	}
	values := b.configs(image, t)
	config, err := partition.ParseConfig(values)
	if err != nil { // the controller has checked them
		return was, fmt.Errorf("configs of topic %s: %w", t.Name, err)
	}
	is := &running{topic: t, whole: true, refs: make([]partition.Ref, len(t.Partitions)), configs: values}
	if was != nil {
		copy(is.refs, was.refs)
		if !maps.Equal(was.configs, values) {
			for _, r := range was.refs {
				if r != (partition.Ref{}) {
					r.Configure(config)
				}
			}
		}
	}
	for n := range is.refs {
		if is.refs[n] != (partition.Ref{}) || !slices.Contains(t.Partitions[n].Replicas, b.env.Settings.Node) {
			continue
		}
		ref, startErr := partition.Start(b.under, partition.Env{
			Store: b.env.Store, Tree: b.env.Tree, Log: b.env.Log, Node: uint64(b.env.Settings.Node),
			ID: partition.ID{Topic: t.Name, Index: int32(n)}, TopicID: t.ID, Config: config,
		})
		if startErr != nil {
			err, is.whole = startErr, false
			continue
		}
		is.refs[n] = ref
	}
	return is, err
}

// configs are all configs that a topic's partitions go by, with the defaults.
func (b *Broker) configs(image *controller.Image, t *controller.Topic) map[string]string {
	values := make(map[string]string, len(configs.Topic))
	effective := image.Effective(t, b.env.Settings.Node, b.env.Settings.Configs)
	for n := range configs.Topic {
		c := &configs.Topic[n]
		if c.Passive {
			continue
		}
		values[c.Name] = c.Default
		if v, ok := effective[c.Name]; ok {
			values[c.Name] = v
		}
	}
	return values
}

// end stops partitions whose topic is deleted. Their logs are deleted behind its
// back: each takes a write of the store, and a topic of the same name, whose logs
// have other names, need not wait for them.
func (b *Broker) end(ctx context.Context, refs []partition.Ref) error {
	refs = slices.DeleteFunc(refs, func(r partition.Ref) bool { return r == partition.Ref{} })
	for _, r := range refs {
		b.under.system.Root.Stop(r.PID())
	}
	var names []string
	for _, r := range refs {
		if err := b.env.Tree.AwaitGone(ctx, r.PID().Id); err != nil {
			return fmt.Errorf("delete partition %s: %w", r.ID(), err)
		}
		names = append(names, partition.LogName(r.TopicID(), r.ID().Index))
	}
	if len(names) > 0 {
		b.follow.deleting.Go(func() { b.deleteLogs(ctx, names) })
	}
	return nil
}

// deleteLogs deletes logs of topics that are gone. What it does not get to, the
// next start does.
func (b *Broker) deleteLogs(ctx context.Context, names []string) {
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if err := b.env.Store.DeleteLog(name); err != nil {
			b.env.Log.Warn("log of a deleted topic is still there", "log", name, "err", err)
		}
	}
}

// sweep deletes the logs of topics that are not in the metadata: the node was
// stopped before it had deleted them.
func (b *Broker) sweep(ctx context.Context, image *controller.Image) {
	known := map[string]bool{partition.LogName(metadataTopicID, 0): true}
	for _, t := range image.Topics() {
		for n := range t.Partitions {
			known[partition.LogName(t.ID, int32(n))] = true
		}
	}
	names := slices.DeleteFunc(b.env.Store.Logs(), func(name string) bool {
		return known[name] || !strings.HasPrefix(name, "topic/")
	})
	if len(names) > 0 {
		b.follow.deleting.Go(func() { b.deleteLogs(ctx, names) })
	}
}
