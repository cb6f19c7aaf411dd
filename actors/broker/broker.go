// Package broker is what a node runs of topics: the controller, the partitions
// that the metadata puts on this node, and the coordinators of groups and
// transactions. Nobody orders it to start a partition: it follows the metadata,
// and makes itself look like it.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/share"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/actors/txn"
	"github.com/sluicehq/sluice/persistence"
)

var (
	// ErrUnknownPartition says that no such partition runs on this node, or that
	// it does not run yet.
	ErrUnknownPartition = errors.New("no such partition on this node")
	// ErrCoordinatorLoading says that a coordinator will be there soon.
	ErrCoordinatorLoading = errors.New("the coordinator is being loaded")
)

// Settings are what a broker is told by its node.
type Settings struct {
	Node int32 // from 1
	Rack string
	controller.Settings
	// OffsetsPartitions and TransactionsPartitions are how many partitions the
	// coordinators' topics are made with.
	OffsetsPartitions, TransactionsPartitions int32
	Groups                                    group.Config // the zero value: Kafka's defaults
	// Configs are configs of brokers that the node was started with, by Kafka's
	// names.
	Configs map[string]string
}

// Env is what a broker gets from its node.
type Env struct {
	Store    *persistence.Store
	Tree     *supervise.Tree
	Log      *slog.Logger
	Settings Settings
}

// Broker starts the parts of a node's broker and stops them. Its methods are
// for all goroutines; those with a context block.
type Broker struct {
	env     Env
	under   spawner
	control atomic.Pointer[controller.Ref]

	// topics are the partitions that run, by topic; never changed in place.
	topics atomic.Pointer[map[string]*running]

	follow follower
	groups coordinators[group.Ref]
	share  atomic.Pointer[share.Ref]
	txns   coordinators[txn.Ref]
}

// running is a topic with its partitions on this node.
type running struct {
	topic *controller.Topic
	refs  []partition.Ref // by index; the zero Ref where it runs elsewhere
	whole bool            // all that belong here have been started
	// configs are those that the partitions go by.
	configs map[string]string
}

// metadataID is the partition that holds the metadata. Its topic's id is Kafka's.
var (
	metadataID      = partition.ID{Topic: "__cluster_metadata"}
	metadataTopicID = controller.TopicID{15: 1}
)

// changeMax bounds one batch of the metadata in bytes: many topics at once, or
// the text of a topology.
const changeMax = 64 << 20

// startMax is how long the metadata may take to be read.
const startMax = time.Minute

// Start starts the broker of a node and waits until the metadata is there. The
// partitions start behind its back, many at a time; see AwaitAll.
func Start(ctx context.Context, env Env) (*Broker, error) {
	b := &Broker{env: env}
	b.topics.Store(&map[string]*running{})
	b.groups.prepare(b, groupTopic, env.Settings.OffsetsPartitions, offsetsConfigs, b.startGroups)
	b.txns.prepare(b, txn.Topic, env.Settings.TransactionsPartitions, transactionsConfigs, b.startTxns)
	system := env.Tree.System()
	lives := new(int)
	props := env.Tree.Props("broker", supervise.Default, func() actor.Actor {
		return &Actor{lives: lives, again: func() { go b.rebuild() }}
	})
	pid, err := system.Root.WithGuardian(env.Tree.Guardian()).SpawnNamed(props, "broker")
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	b.under = spawner{system, pid}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	if err := b.startMetadata(ctx); err != nil {
		return nil, err
	}
	if err := b.startShare(); err != nil {
		return nil, err
	}
	b.follow.start(b)
	return b, nil
}

// startMetadata starts the partition of the metadata and the controller on it.
func (b *Broker) startMetadata(ctx context.Context) error {
	config := partition.Defaults()
	config.Retention.Bytes, config.Retention.Age = -1, partition.Unlimited // snapshots cut it
	config.MaxMessageBytes = changeMax
	metadata, err := partition.Start(b.under, partition.Env{
		Store: b.env.Store, Tree: b.env.Tree, Log: b.env.Log, Node: uint64(b.env.Settings.Node),
		ID: metadataID, TopicID: metadataTopicID, Config: config,
	})
	if err != nil {
		return err
	}
	if err := metadata.AwaitStart(ctx); err != nil {
		return err
	}
	control, err := controller.Spawn(b.under, controller.Env{
		Tree: b.env.Tree, Log: b.env.Log, Metadata: metadataLog{metadata}, Node: b.env.Settings.Node, Settings: b.env.Settings.Settings,
		Before: b.Controller(),
	})
	if err != nil {
		return err
	}
	b.control.Store(&control)
	// The first answer comes when the log is read. Where clients reach the node
	// is told later, by Register; what it was before stays until then.
	return b.Controller().RegisterBroker(ctx, controller.Broker{Node: b.env.Settings.Node, Rack: b.env.Settings.Rack})
}

// Register tells the cluster how clients reach this node.
func (b *Broker) Register(ctx context.Context, host string, port int32) error {
	s := b.env.Settings
	return b.Controller().RegisterBroker(ctx, controller.Broker{Node: s.Node, Host: host, Port: port, Rack: s.Rack})
}

// Node is the number of this node.
func (b *Broker) Node() int32 { return b.env.Settings.Node }

// Settings are what the broker was started with.
func (b *Broker) Settings() Settings { return b.env.Settings }

// FreeBytes is what the volume of the node's directory has left; 0 where that is
// not known.
func (b *Broker) FreeBytes() int64 {
	figures, err := b.env.Store.Figures()
	if err != nil {
		return 0
	}
	return figures.Free
}

// Controller is who changes the metadata.
func (b *Broker) Controller() controller.Ref {
	if c := b.control.Load(); c != nil {
		return *c
	}
	return controller.Ref{}
}

// Partition finds a partition of this node. It takes no lock.
func (b *Broker) Partition(id partition.ID) (partition.Ref, error) {
	t, ok := (*b.topics.Load())[id.Topic]
	if !ok || id.Index < 0 || int(id.Index) >= len(t.refs) || t.refs[id.Index] == (partition.Ref{}) {
		return partition.Ref{}, ErrUnknownPartition
	}
	return t.refs[id.Index], nil
}

// Partitions calls fn for every partition that runs on this node.
func (b *Broker) Partitions(fn func(partition.Ref)) {
	for _, t := range *b.topics.Load() {
		for _, r := range t.refs {
			if r != (partition.Ref{}) {
				fn(r)
			}
		}
	}
}

// rebuild starts everything anew after the supervisor itself has failed.
func (b *Broker) rebuild() {
	b.follow.stop()
	b.topics.Store(&map[string]*running{})
	b.groups.forget()
	b.txns.forget()
	ctx, cancel := context.WithTimeout(context.Background(), startMax)
	defer cancel()
	if err := b.startMetadata(ctx); err != nil {
		b.env.Log.Error("broker not started anew", "err", err)
		return
	}
	if err := b.startShare(); err != nil {
		b.env.Log.Error("share groups not started anew", "err", err)
	}
	b.follow.start(b)
}

// stopMax bounds how long the parts may take to end.
const stopMax = 30 * time.Second

// Stop ends the partitions and coordinators, and returns when they have ended:
// the store may be closed then.
func (b *Broker) Stop() {
	b.follow.stop()
	b.under.system.Root.Stop(b.under.broker)
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	if err := b.env.Tree.AwaitGone(ctx, b.under.broker.Id); err != nil {
		b.env.Log.Error("the broker has not ended", "err", err)
	}
}
