package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetForLeaderEpoch (23), versions 2 to 4: where a leader epoch has ended,
// by which clients find out that a log has lost what they have read. The answer
// is the greatest epoch that is not above the one asked for, and its end.
func (s *Server) offsetForLeaderEpoch(r *request) {
	req := r.body.(*kmsg.OffsetForLeaderEpochRequest)
	resp, image := kmsg.NewPtrOffsetForLeaderEpochResponse(), s.image()
	for i := range req.Topics {
		q := &req.Topics[i]
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = q.Topic
		t, _ := image.Topic(q.Topic)
		for j := range q.Partitions {
			want := &q.Partitions[j]
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.LeaderEpoch, p.EndOffset = want.Partition, -1, -1
			ref, err := s.partition(t, want.Partition)
			if err == nil {
				epoch, end, e := ref.EpochEnd(want.CurrentLeaderEpoch, want.LeaderEpoch)
				if err = e; err == nil {
					p.LeaderEpoch, p.EndOffset = epoch, int64(end)
				}
			}
			p.ErrorCode = codeOf(err)
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	r.answer(resp)
}
