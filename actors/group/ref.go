package group

import (
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/inbox"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
)

// Env is what a coordinator is started with.
type Env struct {
	Tree   *supervise.Tree
	Logger *slog.Logger // nil: the default one
	Config Config
	World  func() World  // as it is now, see OfImage
	Log    partition.Ref // the coordinator's own partition of __consumer_offsets
}

// Ref is the address of a coordinator on this node. It is small and may be
// compared.
type Ref struct{ c *coordinator }

// coordinator is what stays when the actor starts anew.
type coordinator struct {
	Env
	system *actor.ActorSystem
	pid    *actor.PID                // as its parent knows it
	self   atomic.Pointer[actor.PID] // set when the actor has begun
	inbox  inbox.Inbox
	lives  int
	// open are the requests that have no answer. Only the actor looks at them.
	open map[*Request]bool
}

// Start starts the coordinator of a partition below parent.
func Start(parent partition.Spawner, env Env) (Ref, error) {
	if env.Logger == nil {
		env.Logger = slog.Default()
	}
	c := &coordinator{Env: env, system: parent.ActorSystem(), open: map[*Request]bool{}}
	props := env.Tree.Props("group", supervise.Default, func() actor.Actor { return &Actor{coordinator: c} })
	pid, err := parent.SpawnNamed(props, "group/"+strconv.Itoa(int(env.Log.ID().Index)))
	if err != nil {
		return Ref{}, fmt.Errorf("start the group coordinator of %s: %w", env.Log.ID(), err)
	}
	c.pid = pid
	return Ref{c}, nil
}

// PID of its actor, for its parent.
func (r Ref) PID() *actor.PID { return r.c.pid }

// Index is that of the coordinator's partition.
func (r Ref) Index() int32 { return r.c.Log.ID().Index }

// Handle has the coordinator deal with a request. Its Done is called once, in
// any case, and possibly before Handle returns.
func (r Ref) Handle(q Request) {
	if !r.c.put(&q) {
		q.Done(refuse(q.Body, kerr.NotCoordinator.Code))
	}
}

// put puts something into the inbox and wakes the actor. It answers false when
// the coordinator has stopped.
func (c *coordinator) put(item any) bool {
	wake, ok := c.inbox.Put(item)
	if self := c.self.Load(); wake && self != nil {
		c.system.Root.Send(self, Arrived{})
	} // an actor that has not begun looks into its inbox when it does
	return ok
}

// OfImage is the world as the controller's image shows it.
func OfImage(i *controller.Image) World { return imageWorld{i} }

type imageWorld struct{ *controller.Image }

func shown(t *controller.Topic) Topic {
	return Topic{Name: t.Name, ID: t.ID, Partitions: int32(len(t.Partitions)), Internal: t.Internal}
}

func (w imageWorld) Topic(name string) (Topic, bool) {
	t, ok := w.Image.Topic(name)
	if !ok {
		return Topic{}, false
	}
	return shown(t), true
}

func (w imageWorld) TopicByID(id TopicID) (Topic, bool) {
	t, ok := w.Image.TopicByID(id)
	if !ok {
		return Topic{}, false
	}
	return shown(t), true
}

func (w imageWorld) Topics() iter.Seq[Topic] {
	return func(yield func(Topic) bool) {
		for _, t := range w.Image.Topics() {
			if !yield(shown(t)) {
				return
			}
		}
	}
}
