package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
)

// Ref is the controller as others see it. Its requests wait for the answer, so
// Receive must not call them.
type Ref struct {
	system *actor.ActorSystem
	pid    *actor.PID
	shared *shared
}

// shared is what others read of the controller without asking it.
type shared struct {
	image atomic.Pointer[Image]

	mu       sync.Mutex
	watchers []*watcher
}

type watcher struct{ fn func(*Image) }

func (s *shared) publish(i *Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.image.Store(i)
	for _, w := range s.watchers {
		w.fn(i)
	}
}

// Image is the metadata now.
func (r Ref) Image() *Image { return r.shared.image.Load() }

// Watch calls fn with the image of now, and then with each new one in order,
// until stop is called. fn must not block, nor watch or stop.
func (r Ref) Watch(fn func(*Image)) (stop func()) {
	s, w := r.shared, &watcher{fn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, w)
	fn(s.image.Load())
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(o *watcher) bool { return o == w })
	}
}

// askMax bounds a request whose caller sets no deadline: an actor that restarts
// drops what it was asked.
const askMax = 30 * time.Second

func (r Ref) ask(ctx context.Context, request any) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	c, err := ask.For[Changed](ctx, r.system, r.pid, request)
	if err == nil {
		err = c.Err
	}
	if err != nil {
		return nil, fmt.Errorf("change the metadata: %w", err)
	}
	return c.Results, nil
}

// CreateTopics makes topics, each on its own: the results are in the order of
// the request, and err says that nothing was made.
func (r Ref) CreateTopics(ctx context.Context, topics []NewTopic, validateOnly bool) ([]Result, error) {
	return r.ask(ctx, CreateTopics{topics, validateOnly})
}

// DeleteTopics deletes topics with their records.
func (r Ref) DeleteTopics(ctx context.Context, topics []TopicRef) ([]Result, error) {
	return r.ask(ctx, DeleteTopics{topics})
}

// CreatePartitions gives topics more partitions.
func (r Ref) CreatePartitions(ctx context.Context, topics []MorePartitions, validateOnly bool) ([]Result, error) {
	return r.ask(ctx, CreatePartitions{topics, validateOnly})
}

// MoveReplicas puts partitions on other brokers.
func (r Ref) MoveReplicas(ctx context.Context, partitions []Placement) ([]Result, error) {
	return r.ask(ctx, MoveReplicas{partitions})
}

// AlterConfigs changes configs of topics, brokers and groups.
func (r Ref) AlterConfigs(ctx context.Context, resources []Alteration, validateOnly bool) ([]Result, error) {
	return r.ask(ctx, AlterConfigs{resources, validateOnly})
}

// AlterQuotas changes quotas.
func (r Ref) AlterQuotas(ctx context.Context, quotas []QuotaAlteration, validateOnly bool) ([]Result, error) {
	return r.ask(ctx, AlterQuotas{quotas, validateOnly})
}

// UpdateFeatures finalizes features at other levels, all of them or none.
func (r Ref) UpdateFeatures(ctx context.Context, features []FeatureLevel, validateOnly bool) ([]Result, error) {
	return r.ask(ctx, UpdateFeatures{features, validateOnly})
}

// AllocateProducerIDs hands out a block of producer ids that nobody else gets,
// not even after a crash.
func (r Ref) AllocateProducerIDs(ctx context.Context) (first int64, n int, err error) {
	results, err := r.ask(ctx, AllocateProducers{})
	if err != nil {
		return 0, 0, err
	}
	return results[0].First, results[0].Count, nil
}

// RegisterBroker tells how clients reach a node.
func (r Ref) RegisterBroker(ctx context.Context, b Broker) error {
	_, err := r.ask(ctx, RegisterBroker{b})
	return err
}

// DeployTopology keeps the definition of a topology; no text forgets it.
func (r Ref) DeployTopology(ctx context.Context, name, text string) error {
	_, err := r.ask(ctx, DeployTopology{name, text})
	return err
}
