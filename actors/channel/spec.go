package channel

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/channelstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// Spec is what a channel is made of, and what stays when its actor starts
// anew. Only the actor touches the part below the line.
type Spec struct {
	Agent, Name  string
	Capacity     int           // records
	ByteCapacity int           // of bodies, in slots of 100 bytes; 0 is without bound
	KeepAlive    time.Duration // how long a put that cannot be repeated waits for room
	// Window is how many bytes of bodies a durable channel keeps in memory for
	// its sinks; what is more is read from the log when its turn comes.
	Window int
	Codec  record.Codec
	Store  *persistence.Store
	Log    *persistence.Log // nil: a memory channel
	Remote *Remote          // what a Kafka channel holds; then there is no Log

	// ---
	inbox       inbox
	tree        *supervise.Tree
	capacity    atomic.Int64 // Capacity, for others to read
	keepAlive   atomic.Int64 // KeepAlive, for others to read
	lives       uint64
	known       bool
	kept        Snapshot
	keptRoom    int
	keptMemory  int
	cursorKey   []byte
	memoryQueue *channelstate.Queue
	memoryMarks []markAt
}

// WindowDefault is the Window of a durable channel that names none.
const WindowDefault = 16 << 20

// Spawner is what Spawn needs of its caller: an actor, or the root.
type Spawner interface {
	SpawnNamed(props *actor.Props, name string) (*actor.PID, error)
	ActorSystem() *actor.ActorSystem
}

// Spawn starts the channel under the caller. A spec may be spawned again when
// its actor has stopped; those who still hold its old Ref read it meanwhile.
func Spawn(ctx Spawner, tree *supervise.Tree, spec *Spec) (Ref, error) {
	if spec.tree == nil {
		spec.init(tree)
	}
	pid, err := ctx.SpawnNamed(tree.Props("channel", supervise.Default, func() actor.Actor { return &Actor{Spec: spec} }), "channel/"+spec.Name)
	if err != nil {
		return Ref{}, fmt.Errorf("spawn channel %s: %w", spec.Name, err)
	}
	ref := Ref{ctx.ActorSystem(), pid, spec}
	if spec.Remote != nil {
		go spec.Remote.run(spec.Remote.begin(), ref)
	}
	return ref, nil
}

func (spec *Spec) init(tree *supervise.Tree) {
	spec.cursorKey = persistence.ChannelKey(spec.Agent, spec.Name, "cursor")
	spec.tree = tree
	spec.capacity.Store(int64(spec.Capacity))
	spec.keepAlive.Store(int64(spec.KeepAlive))
	if spec.Window == 0 {
		spec.Window = WindowDefault
	}
	if spec.Log == nil && spec.memoryQueue == nil {
		spec.memoryQueue = channelstate.New(0)
		spec.memoryQueue.KeepWhole = true // so that commits can end with checkpoints
	}
}

// PID of the channel's actor, for its parent.
func (r Ref) PID() *actor.PID { return r.pid }

// StateKeys are the prefixes of what must be known of a channel besides its
// log: the store keeps a copy in each of the log's segments.
func StateKeys(agent, name string) [][]byte {
	return [][]byte{persistence.ChannelKey(agent, name, "")}
}

// restore reads the queue of a durable channel from the store.
func restore(s *Spec) (*channelstate.Queue, error) {
	first, settled := s.Log.Start(), []channelstate.Range(nil)
	value, ok, err := s.Store.Get(s.cursorKey)
	if err != nil {
		return nil, fmt.Errorf("read the cursor of channel %s: %w", s.Name, err)
	}
	if ok {
		if first, settled, err = channelstate.ParseCursor(value); err != nil {
			return nil, fmt.Errorf("read the cursor of channel %s: %w", s.Name, err)
		}
	}
	next := s.Log.Next()
	var batches []channelstate.Stored
	err = s.Log.Entries(first, func(e persistence.Entry) bool {
		batches = append(batches, channelstate.Stored{Base: e.Base, Last: e.Last, Time: e.MaxTime})
		next = max(next, e.Last+1)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read channel %s: %w", s.Name, err)
	}
	return channelstate.Restore(first, next, settled, batches), nil
}
