package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
)

// DescribeLogDirs (35), versions 0 to 5: how much the partitions of this node
// take on its disk. There is one directory, and it is in the answer also where
// no partition is asked for that lies in it. Without topics all are meant.
func (s *Server) describeLogDirs(r *request) {
	req := r.body.(*kmsg.DescribeLogDirsRequest)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = s.dir()
	if free := s.broker.FreeBytes(); free > 0 {
		dir.UsableBytes = free
	}
	image := s.image()
	if req.Topics == nil {
		for _, t := range image.Topics() {
			dir.Topics = s.sizes(dir.Topics, t, nil)
		}
	}
	for i := range req.Topics {
		if t, ok := image.Topic(req.Topics[i].Topic); ok {
			dir.Topics = s.sizes(dir.Topics, t, req.Topics[i].Partitions)
		}
	}
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	resp.Dirs = append(resp.Dirs, dir)
	r.answer(resp)
}

// dir is the node's directory.
func (s *Server) dir() string { return s.broker.Settings().Configs["log.dirs"] }

// sizes adds the partitions of t that lie here, those with the indexes given or
// all.
func (s *Server) sizes(to []kmsg.DescribeLogDirsResponseDirTopic, t *controller.Topic, indexes []int32) []kmsg.DescribeLogDirsResponseDirTopic {
	topic := kmsg.NewDescribeLogDirsResponseDirTopic()
	topic.Topic = t.Name
	for n := range t.Partitions {
		ref, err := s.broker.Partition(partition.ID{Topic: t.Name, Index: int32(n)})
		if err != nil || !asked(indexes, int32(n)) {
			continue
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size = int32(n), ref.Size()
		topic.Partitions = append(topic.Partitions, p)
	}
	if len(topic.Partitions) == 0 {
		return to
	}
	return append(to, topic)
}
