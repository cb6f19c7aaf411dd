package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
)

// image is the metadata as it is now.
func (s *Server) image() *controller.Image { return s.broker.Controller().Image() }

// unknownTopic is why a topic that does not exist is not there.
func unknownTopic(name string) error {
	if err := controller.CheckName(name); err != nil {
		return err
	}
	return kerr.UnknownTopicOrPartition
}

// leader is who leads a partition, and since which epoch; -1 where nobody does.
func (s *Server) leader(id partition.ID) (node, epoch int32) {
	t, ok := s.image().Topic(id.Topic)
	if !ok || id.Index < 0 || int(id.Index) >= len(t.Partitions) {
		return -1, -1
	}
	p := &t.Partitions[id.Index]
	return p.Leader, s.epoch(id, p)
}

// epoch is the leader epoch of a partition: of one that this node leads, the
// partition itself knows it best.
func (s *Server) epoch(id partition.ID, p *controller.Partition) int32 {
	if ref, err := s.broker.Partition(id); err == nil {
		return max(p.LeaderEpoch, ref.LeaderEpoch())
	}
	return p.LeaderEpoch
}

// partition finds a partition by its topic, for a client that may be wrong
// about it.
func (s *Server) partition(t *controller.Topic, index int32) (partition.Ref, error) {
	if t == nil || index < 0 || int(index) >= len(t.Partitions) {
		return partition.Ref{}, kerr.UnknownTopicOrPartition
	}
	return s.broker.Partition(partition.ID{Topic: t.Name, Index: index})
}
