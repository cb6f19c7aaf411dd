package partition

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/replica"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// Env is what a partition is started with.
type Env struct {
	Store *persistence.Store
	Tree  *supervise.Tree
	Log   *slog.Logger // nil: the default one
	Node  uint64       // of this node; 1 or more
	// Voters are the nodes of a partition that is new; none: this one alone.
	Voters []uint64

	ID      ID
	TopicID [16]byte
	Config  Config

	// TendEvery is how often retention, compaction and expiry are looked after;
	// 0: every ten seconds.
	TendEvery time.Duration
	// ProducerExpiry is after what time a silent producer is forgotten; 0: a day.
	ProducerExpiry time.Duration
}

// LogName is the name of the partition's log in the store.
func LogName(topic [16]byte, index int32) string { return fmt.Sprintf("topic/%x/%d", topic, index) }

const (
	tendDefault   = 10 * time.Second
	expiryDefault = 24 * time.Hour
)

// part is what stays of a partition when its actor starts anew, and what others
// read of it. Ref points to it.
type part struct {
	Env
	system *actor.ActorSystem
	pid    atomic.Pointer[actor.PID] // known when the actor begins, before Start returns
	inbox  inbox

	config atomic.Pointer[Config]
	log    atomic.Pointer[persistence.Log]
	index  atomic.Pointer[partitionlog.Index]

	// What others read without asking.
	logStart, highWatermark, lastStable, logEnd atomic.Int64
	epoch                                       atomic.Int32
	leading                                     atomic.Bool
	started                                     atomic.Bool

	// state is changed by the actor only, and by it without a lock read.
	stateMu sync.RWMutex
	state   *partitionlog.State

	watch watchers

	// background is the work on the log outside of the actor; life ends with the
	// partition.
	background sync.WaitGroup
	life       context.Context
	endLife    context.CancelFunc

	// The actor's own, over its lives.
	taken   work       // being worked on
	pending []*pending // submitted, in the order of their offsets
	repeats []*pending // their batches are on their way already, at base
	pass    *partitionlog.Pass
}

// pending is an append on its way. It is used again for another.
type pending struct {
	Append
	base, end record.Offset
}

var pendings = sync.Pool{New: func() any { return new(pending) }}

// watchers are those who want to be told.
type watchers struct {
	mu   sync.Mutex
	list []*Watcher
}

func (w *watchers) add(x *Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, x)
}

func (w *watchers) remove(x *Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, y := range w.list {
		if x == y {
			last := len(w.list) - 1
			w.list[i], w.list[last] = w.list[last], nil
			w.list = w.list[:last]
			return
		}
	}
}

// wake tells everyone. Wake may call nothing here, so the lock can be held.
func (w *watchers) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.list {
		x.Wake()
	}
}

// Spawner is what Start needs of its caller: an actor, or the root.
type Spawner interface {
	SpawnNamed(props *actor.Props, name string) (*actor.PID, error)
	ActorSystem() *actor.ActorSystem
}

// Start starts the partition under the caller. It opens or creates its log in
// the actor; until that is done the partition answers ErrNotLeader to whoever
// reads, and keeps appends waiting.
func Start(ctx Spawner, env Env) (Ref, error) {
	if env.Log == nil {
		env.Log = slog.Default()
	}
	if len(env.Voters) == 0 {
		env.Voters = []uint64{env.Node}
	}
	if env.TendEvery == 0 {
		env.TendEvery = tendDefault
	}
	if env.ProducerExpiry == 0 {
		env.ProducerExpiry = expiryDefault
	}
	p := &part{Env: env, system: ctx.ActorSystem(), state: partitionlog.New()}
	p.inbox.init()
	p.life, p.endLife = context.WithCancel(context.Background())
	p.config.Store(&env.Config)
	p.index.Store(partitionlog.NewIndex())
	p.epoch.Store(-1)
	name := "partition/" + env.ID.String()
	pid, err := ctx.SpawnNamed(env.Tree.Props("partition", supervise.Default, func() actor.Actor { return &Actor{part: p} }), name)
	if err != nil {
		p.endLife()
		return Ref{}, fmt.Errorf("start partition %s: %w", env.ID, err)
	}
	p.pid.Store(pid)
	return Ref{p}, nil
}

// tell has the actor look into its inbox.
func (p *part) tell(wake bool) {
	if wake {
		p.system.Root.Send(p.pid.Load(), arrived)
	}
}

// arrived is the message that is sent most; made once.
var arrived any = Arrived{}

// done is what the store calls for w, for all the times that w is used.
func (p *part) done(w *replica.Write) func(error) {
	return func(err error) {
		w.Err = err
		p.tell(p.inbox.stored(w))
	}
}

// publish lets others see where the log begins and ends, and wakes those who
// watch when something has moved.
func (p *part) publish(v view) {
	moved := false
	for _, x := range [...]struct {
		to  *atomic.Int64
		now record.Offset
	}{{&p.logEnd, v.end}, {&p.highWatermark, v.hw}, {&p.lastStable, v.stable}, {&p.logStart, v.start}} {
		moved = x.to.Swap(int64(x.now)) != int64(x.now) && x.to != &p.logEnd || moved
	}
	moved = p.epoch.Swap(v.epoch) != v.epoch || moved
	moved = p.leading.Swap(v.leading) != v.leading || moved
	if moved {
		p.watch.wake()
	}
}

// view is what others see.
type view struct {
	start, stable, hw, end record.Offset
	epoch                  int32
	leading                bool
}

// answer ends an append whose batch is in the log at base.
func (p *part) answer(a *pending, base record.Offset) {
	at := int64(-1)
	if b := record.Batch(a.Batch); b.LogAppendTime() {
		at = b.MaxTimestamp()
	}
	a.finish(Appended{Base: base, LogAppendTime: at, LogStart: record.Offset(p.logStart.Load())})
}

// refuse ends an append that was not appended.
func (p *part) refuse(a *pending, err error) {
	a.finish(Appended{Base: -1, LogAppendTime: -1, LogStart: record.Offset(p.logStart.Load()), Err: fmt.Errorf("append to %s: %w", p.ID, err)})
}

// finish calls Done and lets go of a.
func (a *pending) finish(r Appended) {
	done := a.Done
	*a = pending{}
	pendings.Put(a)
	done(r)
}

// submit hands w to the store; then is called in the actor when it is done.
func (p *part) submit(w *persistence.Write, then func(*Actor, error)) {
	p.inbox.handed(1)
	w.Done = func(err error) {
		p.tell(p.inbox.returned(call{do: func(a *Actor) { then(a, err) }, fail: func(error) {}}))
	}
	p.Store.Submit(w)
}

// AwaitStart returns when the partition has taken up its log, or ctx ends.
func (r Ref) AwaitStart(ctx context.Context) error {
	done := make(chan error, 1)
	r.call(call{do: func(*Actor) { done <- nil }, fail: func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("start of %s: %w", r.p.ID, ctx.Err())
	}
}
