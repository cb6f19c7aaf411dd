package controller

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence/record"
)

// Log is the partition that holds the metadata.
type Log interface {
	// Append hands over one batch. done is called once it is safe, or with the
	// reason it is not; from any goroutine.
	Append(batch []byte, done func(base record.Offset, err error))
	// Bounds are the first offset kept and the one behind the last that is safe.
	Bounds() (start, end record.Offset)
	// Read appends whole batches from the one that holds from to buf.
	Read(from record.Offset, buf []byte) ([]byte, error)
	// DeleteBefore gives back what lies below to.
	DeleteBefore(to record.Offset)
}

// Env is what a controller gets from its node.
type Env struct {
	Tree     *supervise.Tree
	Log      *slog.Logger
	Metadata Log
	Node     int32
	Settings Settings
	// Before is the controller whose place this one takes: those who watch that
	// one see the images of this one.
	Before Ref
}

// Actor changes the metadata, one batch at a time: what is asked meanwhile goes
// together into the next one.
type Actor struct {
	env    Env
	shared *shared
	self   *actor.PID
	system *actor.ActorSystem

	machine *machine // nil until the log is read
	waiting []asked
	flight  *group
	// since and size are the bytes of the log behind the last snapshot and of
	// the snapshot; cut is how many parts of a new one are on their way.
	since, size int
	cut         int
	cutFrom     record.Offset
	cutErr      error
	lives       *int // of all actors in this place
	life        int
}

// asked is a request and who wants to know.
type asked struct {
	request any
	sender  *actor.PID
}

// group are the requests that one batch answers.
type group struct {
	asked   []asked
	results [][]Result
	image   *Image // what they lead to
	size    int
}

// waitingMax is how many requests may wait.
const waitingMax = 10_000

// errBusy answers a request when too many wait.
var errBusy = errors.New("too many changes of the metadata wait")

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.self, a.system = ctx.Self(), ctx.ActorSystem()
		a.start()
	case loaded:
		a.begin(m)
	case CreateTopics:
		a.ask(m, ctx.Sender())
	case DeleteTopics:
		a.ask(m, ctx.Sender())
	case CreatePartitions:
		a.ask(m, ctx.Sender())
	case MoveReplicas:
		a.ask(m, ctx.Sender())
	case AlterConfigs:
		a.ask(m, ctx.Sender())
	case AlterQuotas:
		a.ask(m, ctx.Sender())
	case UpdateFeatures:
		a.ask(m, ctx.Sender())
	case AllocateProducers:
		a.ask(m, ctx.Sender())
	case RegisterBroker:
		a.ask(m, ctx.Sender())
	case DeployTopology:
		a.ask(m, ctx.Sender())
	case committed:
		a.committed(m)
	}
}

func (a *Actor) tell(msg any) { a.system.Root.Send(a.self, msg) }

// start reads the log. What an earlier life of the actor has handed over may
// still be on its way to it: a batch behind it tells when it has arrived.
func (a *Actor) start() {
	*a.lives++
	a.life = *a.lives
	if a.life == 1 {
		a.load()
		return
	}
	a.sync()
}

// sync reads the log when all that was handed to it before has arrived, or
// never will.
func (a *Actor) sync() {
	barrier, err := encode([]change{{}}, time.Now().UnixMilli())
	if err != nil {
		panic(err)
	}
	life, tell := a.life, a.tell
	a.env.Metadata.Append(barrier, func(_ record.Offset, err error) {
		if errors.Is(err, ErrOutcomeUnknown) {
			tell(loaded{life: life, err: err})
			return
		}
		a.load()
	})
}

// load reads the log in a goroutine of its own. It may be called by any.
func (a *Actor) load() {
	metadata, tell, life := a.env.Metadata, a.tell, a.life
	go func() {
		r, err := readLog(metadata)
		tell(loaded{life, r, err})
	}()
}

// readMax is how much of the log is read at once.
const readMax = 1 << 20

// readLog replays the whole log.
func readLog(l Log) (*replay, error) {
	r := newReplay()
	start, end := l.Bounds()
	buf := record.GetBuffer(readMax)
	defer func() { record.PutBuffer(buf) }()
	for at := start; at < end; {
		var err error
		if buf, err = l.Read(at, buf[:0]); err != nil {
			return nil, fmt.Errorf("read the metadata at %d: %w", at, err)
		}
		if len(buf) == 0 {
			return nil, fmt.Errorf("read the metadata at %d: nothing there below %d", at, end)
		}
		for rest := buf; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Split(rest); err != nil {
				return nil, fmt.Errorf("read the metadata at %d: %w", at, err)
			}
			if err := r.add(b); err != nil {
				return nil, err
			}
			at = b.LastOffset() + 1
		}
	}
	return r, nil
}

// retryAfter is how long a log that cannot be read is left alone.
const retryAfter = time.Second

func (a *Actor) begin(m loaded) {
	if m.life != a.life {
		return
	}
	if m.err != nil {
		a.env.Log.Error("metadata not read", "err", m.err)
		a.env.Tree.Note(a.self, supervise.Backoff, m.err.Error(), retryAfter)
		time.AfterFunc(retryAfter, a.sync)
		return
	}
	a.env.Tree.Note(a.self, supervise.Running, "", 0)
	image := m.r.now.image
	image.Controller = a.env.Node
	a.machine = newMachine(a.env.Settings, image)
	a.since, a.size = m.r.since, m.r.size
	a.shared.publish(image)
	a.next()
}

func (a *Actor) ask(request any, sender *actor.PID) {
	if len(a.waiting) >= waitingMax {
		a.answer(asked{request, sender}, Changed{Err: errBusy})
		return
	}
	a.waiting = append(a.waiting, asked{request, sender})
	a.next()
}

// answer tells whoever asked, if anybody waits for it.
func (a *Actor) answer(q asked, c Changed) {
	if q.sender != nil {
		a.system.Root.Send(q.sender, c)
	}
}

// next decides on all that waits and hands it to the log, unless a batch is on
// its way already.
func (a *Actor) next() {
	if a.machine == nil || a.flight != nil || a.cut > 0 || len(a.waiting) == 0 {
		return
	}
	g := &group{asked: a.waiting}
	a.waiting = nil
	for _, q := range g.asked {
		g.results = append(g.results, a.machine.decide(q.request, Input{NewID: newID}))
	}
	staged, head := a.machine.take()
	g.image = head
	if len(staged) == 0 {
		a.conclude(g, nil)
		return
	}
	batch, err := encode(staged, time.Now().UnixMilli())
	if err != nil {
		a.machine.drop()
		a.conclude(g, err)
		return
	}
	a.flight, g.size = g, len(batch)
	tell, life := a.tell, a.life
	a.env.Metadata.Append(batch, func(base record.Offset, err error) {
		tell(committed{life, g, base + record.Offset(len(staged)), err})
	})
}

// committed goes on when a batch is in the log, or is not.
func (a *Actor) committed(m committed) {
	if m.life != a.life {
		return
	}
	if m.group == nil {
		a.snapshotted(m)
		return
	}
	a.flight = nil
	switch {
	case errors.Is(m.err, ErrOutcomeUnknown):
		a.machine = nil
		a.conclude(m.group, m.err)
		a.sync()
		return
	case m.err != nil:
		a.machine.drop()
		a.conclude(m.group, m.err)
		a.next()
		return
	}
	image := m.group.image
	image.Epoch = m.end
	a.machine.image = image
	a.machine.head = newEdit(image)
	a.since += m.group.size
	a.shared.publish(image)
	a.conclude(m.group, nil)
	a.snapshot()
	a.next()
}

// conclude answers all requests of a group.
func (a *Actor) conclude(g *group, err error) {
	for n, q := range g.asked {
		c := Changed{Results: g.results[n]}
		if err != nil {
			c = Changed{Err: err}
		}
		a.answer(q, c)
	}
}

// snapshotFrom is the bytes behind a snapshot from which the next one is worth
// its while, unless the snapshot itself is larger.
const snapshotFrom = 1 << 20

// snapshot writes all that the metadata amounts to, so that the log before it
// can go and a start reads little. Nothing else is decided meanwhile: its parts
// stand in the log one behind the other.
func (a *Actor) snapshot() {
	if a.since < max(snapshotFrom, 2*a.size) {
		return
	}
	batches, err := a.machine.image.snapshot(time.Now().UnixMilli())
	if err != nil {
		a.env.Log.Error("metadata not compacted", "err", err)
		a.since = 0
		return
	}
	a.since, a.size, a.cut = 0, 0, len(batches)
	tell, life := a.tell, a.life
	for n, b := range batches {
		a.size += len(b)
		a.env.Metadata.Append(b, func(base record.Offset, err error) {
			if n > 0 && err == nil {
				base = -1 // the first one says where it begins
			}
			tell(committed{life, nil, base, err})
		})
	}
	a.cutFrom, a.cutErr = -1, nil
}

// snapshotted counts the parts of a snapshot; with the last one the log before
// it goes.
func (a *Actor) snapshotted(m committed) {
	if m.err != nil {
		a.cutErr = m.err
	}
	if m.end >= 0 {
		a.cutFrom = m.end
	}
	if a.cut--; a.cut > 0 {
		return
	}
	if a.cutErr != nil {
		a.env.Log.Warn("metadata not compacted", "err", a.cutErr)
	} else {
		a.env.Metadata.DeleteBefore(a.cutFrom)
	}
	a.next()
}

// newID is an id that no topic has had.
func newID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:])
		// Kafka keeps the first ids for itself, and one that begins with a dash
		// is a nuisance on a command line.
		if id.String()[0] != '-' && id[0] != 0 {
			return id
		}
	}
}

// Spawner is under whom a controller is started.
type Spawner interface {
	ActorSystem() *actor.ActorSystem
	SpawnNamed(props *actor.Props, name string) (*actor.PID, error)
}

// Spawn starts the controller.
func Spawn(under Spawner, env Env) (Ref, error) {
	s, lives := env.Before.shared, new(int)
	if s == nil {
		s = &shared{}
		s.image.Store(emptyImage())
	}
	props := env.Tree.Props("controller", supervise.Default, func() actor.Actor { return &Actor{env: env, shared: s, lives: lives} })
	pid, err := under.SpawnNamed(props, "controller")
	if err != nil {
		return Ref{}, fmt.Errorf("start the controller: %w", err)
	}
	return Ref{under.ActorSystem(), pid, s}, nil
}
