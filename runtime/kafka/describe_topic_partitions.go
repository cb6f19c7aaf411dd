package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
)

// DescribeTopicPartitions (75), version 0: topics by name, piece by piece. An
// answer holds at most so many partitions as the client and the server allow;
// the cursor says where the next one begins. There are no eligible leaders beside
// the replicas in sync, and their lists are empty: the Java client cannot read null.
func (s *Server) describeTopicPartitions(r *request) {
	req := r.body.(*kmsg.DescribeTopicPartitionsRequest)
	resp, image := kmsg.NewPtrDescribeTopicPartitionsResponse(), s.image()
	var names []string
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if len(names) == 0 {
		for _, t := range image.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	from := int32(0)
	if c := req.Cursor; c != nil {
		at, here := slices.BinarySearch(names, c.Topic)
		names = names[at:]
		if here {
			from = max(c.Partition, 0)
		}
	}
	left := min(max(int(req.ResponsePartitionLimit), 1), describedMax)
	for _, name := range names {
		topic := kmsg.NewDescribeTopicPartitionsResponseTopic()
		topic.Topic = &name
		t, ok := image.Topic(name)
		if !ok {
			topic.ErrorCode = codeOf(unknownTopic(name))
			resp.Topics = append(resp.Topics, topic)
			continue
		}
		if left == 0 {
			next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
			next.Topic, next.Partition = name, from
			resp.NextCursor = &next
			break
		}
		topic.TopicID, topic.IsInternal, topic.AuthorizedOperations = t.ID, t.Internal, topicOperations
		for _, p := range t.Partitions[min(int(from), len(t.Partitions)):] {
			if left == 0 {
				next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
				next.Topic, next.Partition = name, p.Index
				resp.NextCursor = &next
				break
			}
			q := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
			q.Partition, q.LeaderID, q.Replicas, q.ISR = p.Index, p.Leader, p.Replicas, p.ISR
			q.EligibleLeaderReplicas, q.LastKnownELR = []int32{}, []int32{}
			q.LeaderEpoch = s.epoch(partition.ID{Topic: name, Index: p.Index}, &p)
			if p.Leader < 0 {
				q.ErrorCode = kerr.LeaderNotAvailable.Code
			}
			topic.Partitions = append(topic.Partitions, q)
			left--
		}
		from = 0
		resp.Topics = append(resp.Topics, topic)
		if resp.NextCursor != nil {
			break
		}
	}
	r.answer(resp)
}

// describedMax is Kafka's max.request.partition.size.limit.
const describedMax = 2_000
