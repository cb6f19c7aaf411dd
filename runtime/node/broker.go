package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/kafka"
)

const (
	// brokerMax is how long the metadata may take to be read at a start.
	brokerMax = time.Minute
	// leadersMax is how long a start waits for all partitions to have a leader.
	// Where there are thousands the rest follow while clients are served already.
	leadersMax = time.Second
	// answersMax is how long a stopping node waits for what clients have begun.
	answersMax = 5 * time.Second
)

// startBroker starts what serves topics, and Kafka's port where there is to be
// one.
func (n *Node) startBroker() error {
	k := n.opt.Config.Kafka
	if k.Listen == "" && !k.Always {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokerMax)
	defer cancel()
	b, err := broker.Start(ctx, broker.Env{Store: n.store, Tree: n.tree, Log: n.opt.Log, Settings: n.brokerSettings()})
	if err != nil {
		return err
	}
	n.broker = b
	if k.Listen != "" {
		if err := n.listen(ctx); err != nil {
			return err
		}
	}
	soon, cancel := context.WithTimeout(ctx, leadersMax)
	defer cancel()
	if err := b.AwaitAll(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// brokerSettings are the node's settings as its broker takes them.
func (n *Node) brokerSettings() broker.Settings {
	k := n.opt.Config.Kafka
	s := broker.Settings{
		Node: n.opt.Config.BrokerID(), Rack: k.Rack,
		Settings:          controller.Settings{NumPartitions: int32(max(k.NumPartitions, 1)), Factor: int16(max(k.ReplicationFactor, 1)), Clamp: k.Clamp},
		OffsetsPartitions: int32(max(k.OffsetsPartitions, 1)), TransactionsPartitions: int32(max(k.TransactionsPartitions, 1)),
	}
	s.Groups = group.Defaults()
	s.Groups.InitialRebalanceDelay = k.RebalanceDelay
	node := strconv.Itoa(int(s.Node))
	s.Configs = map[string]string{
		"broker.id": node, "node.id": node, "broker.rack": k.Rack, "log.dirs": n.opt.Config.Dir,
		"group.initial.rebalance.delay.ms":     strconv.FormatInt(k.RebalanceDelay.Milliseconds(), 10),
		"auto.create.topics.enable":            strconv.FormatBool(k.AutoCreateTopics),
		"num.partitions":                       strconv.Itoa(int(s.NumPartitions)),
		"default.replication.factor":           strconv.Itoa(int(s.Factor)),
		"offsets.topic.num.partitions":         strconv.Itoa(int(s.OffsetsPartitions)),
		"transaction.state.log.num.partitions": strconv.Itoa(int(s.TransactionsPartitions)),
	}
	if k.Listen != "" {
		s.Configs["listeners"] = "PLAINTEXT://" + k.Listen
	}
	return s
}

// listen opens Kafka's port and tells the cluster how clients reach it.
func (n *Node) listen(ctx context.Context) error {
	k := n.opt.Config.Kafka
	n.kafka = kafka.New(kafka.Options{
		Broker: n.broker, Log: n.opt.Log, AutoCreateTopics: k.AutoCreateTopics, NumPartitions: -1, // the controller knows
	})
	addr, err := n.kafka.Listen(k.Listen)
	if err != nil {
		return err
	}
	n.kafkaAddr = addr.String()
	host, port, err := advertised(k.Advertise, n.kafkaAddr)
	if err != nil {
		return err
	}
	if err := n.broker.Register(ctx, host, port); err != nil {
		return err
	}
	n.unwatch = n.broker.Controller().Watch(func(i *controller.Image) {
		on := k.AutoCreateTopics
		if v, set := i.BrokerConfig(n.broker.Node(), "auto.create.topics.enable"); set {
			on = v == "true"
		}
		n.kafka.SetAutoCreate(on)
		n.autoCreate.Store(on)
	})
	return nil
}

// advertised is where clients are told to connect to: wanted, or else where the
// node listens. Who listens everywhere is known by the machine's name.
func advertised(wanted, listening string) (host string, port int32, err error) {
	if wanted == "" {
		wanted = listening
	}
	host, text, err := net.SplitHostPort(wanted)
	if err != nil {
		return "", 0, fmt.Errorf("advertise %q: %w", wanted, err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("advertise %q: %w", wanted, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return "", 0, fmt.Errorf("advertise %q: %w; say --kafka-advertise", wanted, err)
		}
	}
	return host, int32(number), nil
}

// closeKafka lets clients have the answers to what they have begun.
func (n *Node) closeKafka(ctx context.Context) error {
	if n.kafka == nil {
		return nil
	}
	if n.unwatch != nil {
		n.unwatch()
	}
	ctx, cancel := context.WithTimeout(ctx, answersMax)
	defer cancel()
	if err := n.kafka.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// KafkaAddr is where the node listens for Kafka's protocol; "" where it does not.
func (n *Node) KafkaAddr() string { return n.kafkaAddr }

// ClusterID is the id of the cluster that the node is in; "" without a broker.
func (n *Node) ClusterID() string {
	if n.broker == nil {
		return ""
	}
	return n.broker.Controller().Image().ClusterID
}

// Broker is what serves topics on this node; nil where nothing does.
func (n *Node) Broker() *broker.Broker { return n.broker }

// kafkaStatus is what the node serves of topics.
func (n *Node) kafkaStatus() *admin.KafkaStatus {
	if n.broker == nil {
		return nil
	}
	image := n.broker.Controller().Image()
	k := &admin.KafkaStatus{Cluster: image.ClusterID, Broker: n.broker.Node(), Address: n.kafkaAddr, Topics: []admin.TopicStatus{}}
	if n.kafka != nil {
		k.Connections = n.kafka.Figures().Connections
	}
	for _, t := range image.Topics() {
		topic := admin.TopicStatus{Name: t.Name, ID: t.ID.String(), Internal: t.Internal, Configs: t.Configs, Partitions: []admin.PartitionStatus{}}
		for i := range t.Partitions {
			p, starting := n.partitionStatus(t, &t.Partitions[i])
			topic.Partitions = append(topic.Partitions, p)
			k.Starting += starting
		}
		k.Topics = append(k.Topics, topic)
	}
	return k
}

// partitionStatus is one partition; starting is 1 while it should lead here and
// does not yet.
func (n *Node) partitionStatus(t *controller.Topic, p *controller.Partition) (s admin.PartitionStatus, starting int) {
	s = admin.PartitionStatus{Index: p.Index, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: len(p.Replicas), InSync: len(p.ISR)}
	ref, err := n.broker.Partition(partition.ID{Topic: t.Name, Index: p.Index})
	switch {
	case err != nil && p.Leader != n.broker.Node():
		return s, 0
	case err != nil || !ref.Leading():
		s.Leader = -1
		return s, 1
	}
	s.LeaderEpoch = ref.LeaderEpoch()
	s.LogStart, s.LastStable = int64(ref.LogStart()), int64(ref.LastStable())
	s.HighWatermark, s.LogEnd, s.Size = int64(ref.HighWatermark()), int64(ref.LogEnd()), ref.Size()
	return s, 0
}
