package broker

import (
	"strconv"
	"time"

	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/share"
	"github.com/sluicehq/sluice/actors/txn"
)

// groupTopic is the internal topic that the coordinators of groups keep their
// logs in.
const groupTopic = "__consumer_offsets"

// Group finds the coordinator of a group. The first question brings the topic of
// groups into being, and is answered by ErrCoordinatorLoading.
func (b *Broker) Group(groupID string) (group.Ref, error) { return b.groups.find(groupID) }

// Groups are all coordinators of groups on this node.
func (b *Broker) Groups() []group.Ref { return b.groups.all() }

func (b *Broker) startGroups(_ int32, log partition.Ref) (group.Ref, error) {
	return group.Start(b.under, group.Env{
		Tree: b.env.Tree, Logger: b.env.Log, Log: log, Config: b.env.Settings.Groups.OrDefaults(),
		World: func() group.World { return group.OfImage(b.Controller().Image()) },
	})
}

// Txn finds the coordinator of a transactional id. The first question brings
// the topic of transactions into being, and is answered by ErrCoordinatorLoading.
func (b *Broker) Txn(transactionalID string) (txn.Ref, error) { return b.txns.find(transactionalID) }

// Txns are all coordinators of transactions on this node.
func (b *Broker) Txns() []txn.Ref { return b.txns.all() }

func (b *Broker) startTxns(_ int32, log partition.Ref) (txn.Ref, error) {
	return txn.Start(b.under, txn.Env{
		Tree: b.env.Tree, Logger: b.env.Log, Log: log,
		Config: txn.Config{
			MaxTimeout: b.millis("transaction.max.timeout.ms"), Expiration: b.millis("transactional.id.expiration.ms"),
		},
		Partition: b.Partition, Exists: b.exists, ProducerIDs: b.Controller().AllocateProducerIDs,
	})
}

// exists says whether the metadata has a partition.
func (b *Broker) exists(id partition.ID) bool {
	t, ok := b.Controller().Image().Topic(id.Topic)
	return ok && id.Index >= 0 && int(id.Index) < len(t.Partitions)
}

// millis is a config that the node was started with; 0: it was not.
func (b *Broker) millis(name string) time.Duration {
	ms, err := strconv.ParseInt(b.env.Settings.Configs[name], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// Share is what hands records to the members of share groups on this node.
func (b *Broker) Share() share.Ref {
	if r := b.share.Load(); r != nil {
		return *r
	}
	return share.Ref{}
}

func (b *Broker) startShare() error {
	r, err := share.Start(b.under, share.Env{
		Tree: b.env.Tree, Logger: b.env.Log, Config: b.env.Settings.Groups.OrDefaults(),
		World:     func() group.World { return group.OfImage(b.Controller().Image()) },
		Partition: b.Partition, Group: b.Group,
	})
	b.share.Store(&r)
	return err
}
