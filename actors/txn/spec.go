package txn

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/inbox"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/supervise"
)

// Topic is the internal topic that coordinators keep their logs in.
const Topic = "__transaction_state"

// Env is what a coordinator is started with.
type Env struct {
	Tree   *supervise.Tree
	Logger *slog.Logger // nil: the default one
	Config Config       // zero fields: those of DefaultConfig
	// Log is the coordinator's own partition of __transaction_state. Nobody else
	// appends to it.
	Log partition.Ref
	// Partition finds a partition that markers go to.
	Partition func(partition.ID) (partition.Ref, error)
	// Exists says whether the metadata has a partition. Of one that it has not, no
	// transaction needs to be told.
	Exists func(partition.ID) bool
	// ProducerIDs reserves n producer ids from first on. It may wait.
	ProducerIDs func(ctx context.Context) (first int64, n int, err error)
}

// Spawner is what Start needs of its caller: an actor, or the root.
type Spawner = partition.Spawner

// coordinator is what stays of a coordinator when its actor starts anew. Ref
// points to it.
type coordinator struct {
	Env
	system *actor.ActorSystem
	pid    atomic.Pointer[actor.PID] // nil before the actor runs
	inbox  inbox.Inbox
	ctx    context.Context // until the coordinator stops
	end    context.CancelFunc

	watcher *partition.Watcher
	// loaded is the leader epoch that the log was, or is being, read under; -1:
	// none. It is the epoch of the coordinator in markers.
	loaded atomic.Int32

	// The actor's own, over its lives.
	life   int
	flight int   // writes to the log that are not answered
	taken  []any // being worked on, from done on
	done   int
}

// Ref is the address of a coordinator. It is small and may be compared.
type Ref struct{ c *coordinator }

// Start starts a coordinator under the caller. Until it has read its log it
// answers that it is loading.
func Start(parent Spawner, env Env) (Ref, error) {
	if env.Logger == nil {
		env.Logger = slog.Default()
	}
	if env.Config.MaxTimeout == 0 {
		env.Config.MaxTimeout = DefaultConfig.MaxTimeout
	}
	if env.Config.Expiration == 0 {
		env.Config.Expiration = DefaultConfig.Expiration
	}
	c := &coordinator{Env: env, system: parent.ActorSystem()}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.loaded.Store(-1)
	c.watcher = &partition.Watcher{Wake: c.look}
	props := env.Tree.Props("txn", supervise.Default, func() actor.Actor { return &Actor{coordinator: c} })
	pid, err := parent.SpawnNamed(props, "txn/"+strconv.Itoa(int(env.Log.ID().Index)))
	if err != nil {
		return Ref{}, fmt.Errorf("start coordinator of %s: %w", env.Log.ID(), err)
	}
	c.pid.Store(pid)
	return Ref{c}, nil
}

// look is called whenever something about the log has moved; the leadership is
// all that matters.
func (c *coordinator) look() {
	if c.Log.Leading() && c.Log.LeaderEpoch() == c.loaded.Load() {
		return
	}
	c.put(moved{})
}

// put has the actor deal with x; false: it has stopped.
func (c *coordinator) put(x any) bool {
	wake, ok := c.inbox.Put(x)
	if pid := c.pid.Load(); wake && pid != nil { // else it looks when it starts
		c.system.Root.Send(pid, arrived)
	}
	return ok
}

// arrived is the message that is sent most; made once.
var arrived any = Arrived{}

// PID of its actor, for its parent.
func (r Ref) PID() *actor.PID { return r.c.pid.Load() }

// Index is that of its partition of __transaction_state.
func (r Ref) Index() int32 { return r.c.Log.ID().Index }

// Handle has the coordinator deal with a request.
func (r Ref) Handle(q Request) {
	if m, ok := q.Body.(*kmsg.AddPartitionsToTxnRequest); ok {
		r.addPartitions(q, m)
		return
	}
	if !r.c.put(&q) {
		q.Done(Refusal(q.Body, kerr.NotCoordinator.Code))
	}
}

// Add has the coordinator add partitions to a transaction, or verify that they
// are part of it.
func (r Ref) Add(a Add) {
	if !r.c.put(&a) {
		a.refuse(kerr.NotCoordinator.Code)
	}
}

// refuse answers a with one code for all its partitions.
func (a *Add) refuse(code int16) { a.Done(a.codes(code)) }

func (a *Add) codes(code int16) []int16 {
	codes := make([]int16, len(a.Partitions))
	for i := range codes {
		codes[i] = code
	}
	return codes
}
