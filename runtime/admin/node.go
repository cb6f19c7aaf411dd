// Package admin is how a node is looked at and told what to do: the HTTP API and
// its client, metrics, health, and Flume's own monitoring.
package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/topologies"
)

// Node is what the API shows and steers. runtime/node hands itself in.
type Node interface {
	// Status is a snapshot. It does not block on an actor that is busy.
	Status() Status
	// Deploy makes t the running topology of its name: all of it or nothing,
	// touching only what differs.
	Deploy(ctx context.Context, t *topologies.Topology) (topologies.Plan, error)
	// Plan says what Deploy would do, or why it would not.
	Plan(t *topologies.Topology) (topologies.Plan, error)
	// Undeploy stops and forgets the topology called name.
	Undeploy(ctx context.Context, name string) error
	// ActorTree is the supervision tree.
	ActorTree() ActorNode
	// InspectActor is the part of the tree at path ("agent/a1/sink/k1").
	InspectActor(path string) (ActorNode, error)
	// RestartActor and KillActor end an actor's run: as a failure that its
	// supervisor heals. They answer ErrNoChaos unless the node allows them.
	RestartActor(path string) error
	KillActor(path string) error
}

// Errors that a Node answers with; the client gives them back as they are.
var (
	ErrNotFound = errors.New("not found")
	ErrNoChaos  = errors.New("the node was started without --allow-chaos")
	// ErrBadConfig is a definition that cannot run; nothing was changed.
	ErrBadConfig = errors.New("bad configuration")
	ErrDraining  = errors.New("the node is stopping")
)

// Status is a node at one moment.
type Status struct {
	Node      string            `json:"node"`
	Version   string            `json:"version"`
	PID       int               `json:"pid"`
	Dir       string            `json:"dir"`
	Started   time.Time         `json:"started"`
	Draining  bool              `json:"draining"`
	Insecure  bool              `json:"insecure"`            // started with --insecure-public
	Addresses map[string]string `json:"addresses,omitempty"` // filled by the server
	Store     StoreStatus       `json:"store"`
	Deployed  []Deployed        `json:"deployed"` // filled by the server
	Agents    []agent.Status    `json:"agents"`
	Ledger    agent.Ledger      `json:"ledger"`
	Kafka     *KafkaStatus      `json:"kafka,omitempty"` // nil where no topics are served
}

// KafkaStatus is a node in its role of a broker.
type KafkaStatus struct {
	Cluster     string        `json:"cluster"`
	Broker      int32         `json:"broker"`
	Address     string        `json:"address,omitempty"` // "" without a port
	Connections int           `json:"connections"`
	Starting    int           `json:"starting"` // partitions of this node that do not lead yet
	Topics      []TopicStatus `json:"topics"`   // by name
}

// TopicStatus is a topic with its partitions.
type TopicStatus struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal,omitempty"`
	Configs    map[string]string `json:"configs,omitempty"` // those of its own
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is a partition as this node sees it. Offsets are those of its
// replica here.
type PartitionStatus struct {
	Index         int32 `json:"index"`
	Leader        int32 `json:"leader"` // -1: none
	LeaderEpoch   int32 `json:"leaderEpoch"`
	Replicas      int   `json:"replicas"`
	InSync        int   `json:"inSync"`
	LogStart      int64 `json:"logStart"`
	LastStable    int64 `json:"lastStable"`
	HighWatermark int64 `json:"highWatermark"`
	LogEnd        int64 `json:"logEnd"`
	Size          int64 `json:"size"` // bytes
}

// StoreStatus is the store's view of its disk.
type StoreStatus struct {
	Writable bool   `json:"writable"`
	Reason   string `json:"reason,omitempty"` // why it is not
	// InDoubt are the ranges that may have been acknowledged under a lazy flush
	// policy and were not on disk when the machine stopped before this start.
	InDoubt []string `json:"inDoubt,omitempty"`
	// FreeBytes is what the volume has left, 0 where it is not known.
	FreeBytes int64  `json:"freeBytes,omitempty"`
	Badger    Badger `json:"badger"`
}

// Badger is what the files of the store's Badger are and take.
type Badger struct {
	Tables        int   `json:"tables"`
	Memtables     int   `json:"memtables"`
	TableBytes    int64 `json:"tableBytes"`
	MemtableBytes int64 `json:"memtableBytes"`
	ValueLogBytes int64 `json:"valueLogBytes"`
}

// ActorNode is an actor in the supervision tree.
type ActorNode struct {
	Name        string      `json:"name"` // the last part of its path
	Path        string      `json:"path"`
	Kind        string      `json:"kind"` // node, agent, source, channel, sink, …
	State       agent.State `json:"state"`
	Reason      string      `json:"reason,omitempty"`
	Since       time.Time   `json:"since"`
	Restarts    int64       `json:"restarts"`
	Failure     string      `json:"failure,omitempty"`  // the last one
	FailedAt    time.Time   `json:"failedAt,omitzero"`  // when it was
	RetryAt     time.Time   `json:"retryAt,omitzero"`   // when it comes back, in BACKOFF
	Mailbox     int         `json:"mailbox"`            // messages waiting
	Messages    int64       `json:"messages"`           // taken from it so far
	BusySeconds float64     `json:"busySeconds"`        // spent on them
	Children    []ActorNode `json:"children,omitempty"` // in order of name
}

// Walk calls fn for a and everything below it, parents first.
func (a ActorNode) Walk(fn func(n ActorNode, depth int)) { a.walk(fn, 0) }

func (a ActorNode) walk(fn func(ActorNode, int), depth int) {
	fn(a, depth)
	for _, c := range a.Children {
		c.walk(fn, depth+1)
	}
}

// Find is the node at path.
func (a ActorNode) Find(path string) (ActorNode, bool) {
	var found ActorNode
	ok := false
	a.Walk(func(n ActorNode, _ int) {
		if n.Path == path {
			found, ok = n, true
		}
	})
	return found, ok
}

// Reason is why a part is not as it should be.
type Reason struct {
	Part   string      `json:"part"`
	State  agent.State `json:"state"`
	Reason string      `json:"reason"`
	Since  time.Time   `json:"since,omitzero"`
	// Blocks is true when the node is not ready for it.
	Blocks bool `json:"blocks"`
}

// Ready says whether the node does all it was asked to.
func (s Status) Ready() bool {
	return !slices.ContainsFunc(s.Reasons(), func(r Reason) bool { return r.Blocks })
}

// Reasons are everything that is not as it should be, blocking or not: parts
// that do not run or wait for something, full channels, refused reloads.
func (s Status) Reasons() []Reason {
	var out []Reason
	if s.Draining {
		out = append(out, Reason{Part: "node", State: agent.Stopping, Reason: "stopping", Blocks: true})
	}
	if !s.Store.Writable {
		out = append(out, Reason{Part: "store", State: agent.Failed, Reason: s.Store.Reason, Blocks: true})
	}
	for _, d := range s.Store.InDoubt {
		out = append(out, Reason{Part: "store", State: agent.Running, Reason: "records may be lost: " + d})
	}
	for _, d := range s.Deployed {
		if d.ReloadError != "" {
			out = append(out, Reason{Part: "topology/" + d.Name, State: agent.Running,
				Reason: "the new file was refused, the one before runs on: " + d.ReloadError, Since: d.ReloadFailed})
		}
	}
	if s.Kafka != nil && s.Kafka.Starting > 0 {
		out = append(out, Reason{Part: "broker", State: agent.Starting, Blocks: true,
			Reason: fmt.Sprintf("%d partitions have no leader yet", s.Kafka.Starting)})
	}
	for _, a := range s.Agents {
		at := "agent/" + a.Name
		if blocking(a.State) {
			out = append(out, Reason{Part: at, State: a.State, Reason: "the agent is " + string(a.State), Blocks: true})
		}
		eachPart(a, func(category string, p agent.Part) {
			if r, ok := reasonOf(at+"/"+category+"/"+p.Name, p); ok {
				r.Blocks = r.Blocks && !(category == "sink" && replaced(a, p.Name))
				out = append(out, r)
			}
		})
		for _, c := range a.Channels {
			if c.Capacity > 0 && c.Size >= c.Capacity {
				out = append(out, Reason{Part: at + "/channel/" + c.Name, State: c.State,
					Reason: fmt.Sprintf("full: %d of %d events", c.Size, c.Capacity), Since: c.Since})
			}
		}
		if a.Ledger.Unaccounted != 0 {
			out = append(out, Reason{Part: at, State: a.State,
				Reason: fmt.Sprintf("the ledger does not balance: %d events unaccounted for", a.Ledger.Unaccounted)})
		}
	}
	return out
}

// replaced says that another sink of the same group does the work of the one
// called name.
func replaced(a agent.Status, name string) bool {
	at := slices.IndexFunc(a.Sinks, func(k agent.SinkStatus) bool { return k.Name == name })
	group := a.Sinks[at].Group
	return group != "" && slices.ContainsFunc(a.Sinks, func(k agent.SinkStatus) bool {
		return k.Group == group && !blocking(k.State)
	})
}

func reasonOf(path string, p agent.Part) (Reason, bool) {
	why := p.Reason
	if blocking(p.State) && why == "" {
		why = p.Failure
	}
	if blocking(p.State) && why == "" {
		why = "not running"
	}
	if why == "" {
		return Reason{}, false
	}
	return Reason{Part: path, State: p.State, Reason: why, Since: p.Since, Blocks: blocking(p.State)}, true
}

func blocking(s agent.State) bool {
	switch s {
	case agent.Running, agent.Done, agent.Stopped:
		return false
	}
	return true
}

// eachPart calls fn for the sources, channels and sinks of a, in this order.
func eachPart(a agent.Status, fn func(category string, p agent.Part)) {
	for _, s := range a.Sources {
		fn("source", s.Part)
	}
	for _, c := range a.Channels {
		fn("channel", c.Part)
	}
	for _, k := range a.Sinks {
		fn("sink", k.Part)
	}
}
