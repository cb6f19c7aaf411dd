package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
)

// DescribeShareGroupOffsets (90), versions 0 and 1: where share groups are: the
// first offset that is not done with, -1 before the group has looked at the
// partition; from version 1 on how many records it has to do from there on.
func (s *Server) describeShareGroupOffsets(r *request) {
	b := r.body.(*kmsg.DescribeShareGroupOffsetsRequest)
	ids := make([]string, len(b.Groups))
	for i := range b.Groups {
		ids[i] = b.Groups[i].GroupID
	}
	spread(s, r, ids,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
			q.Groups = pick(b.Groups, places)
			return q
		},
		func(resp kmsg.Response) []kmsg.DescribeShareGroupOffsetsResponseGroup {
			return resp.(*kmsg.DescribeShareGroupOffsetsResponse).Groups
		},
		func(all []kmsg.DescribeShareGroupOffsetsResponseGroup) {
			resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
			resp.Groups = all
			for i := range all {
				s.lag(all[i].Topics)
			}
			r.answer(resp)
		})
}

// lag completes what a coordinator cannot know: where partitions end. It has put
// there how many records behind the start are done with.
func (s *Server) lag(topics []kmsg.DescribeShareGroupOffsetsResponseGroupTopic) {
	for _, t := range topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			ref, err := s.broker.Partition(partition.ID{Topic: t.Topic, Index: p.Partition})
			if err != nil || p.StartOffset < 0 {
				p.Lag = -1
				continue
			}
			p.Lag = max(0, int64(ref.HighWatermark())-p.StartOffset-p.Lag)
		}
	}
}
