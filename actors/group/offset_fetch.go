package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetFetch serves OffsetFetch. A group that nobody knows has no offsets, and
// that is no error.
func (s *State) offsetFetch(r *Request, b *kmsg.OffsetFetchRequest) {
	resp := response[*kmsg.OffsetFetchResponse](r)
	if b.Version < 8 {
		s.fetchOne(resp, b)
		s.answer(r, resp)
		return
	}
	for _, q := range b.Groups {
		resp.Groups = append(resp.Groups, s.fetchGroup(q, b.RequireStable))
	}
	s.answer(r, resp)
}

// fetchOne is a request of old, about one group.
func (s *State) fetchOne(resp *kmsg.OffsetFetchResponse, b *kmsg.OffsetFetchRequest) {
	q := kmsg.NewOffsetFetchRequestGroup()
	q.Group = b.Group
	for _, t := range b.Topics {
		q.Topics = append(q.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	if b.Topics != nil && q.Topics == nil {
		q.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	got := s.fetchGroup(q, b.RequireStable)
	resp.ErrorCode = got.ErrorCode
	for _, t := range got.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if resp.Version < 2 && resp.ErrorCode != 0 { // there is no place for it but the partitions
		for _, t := range b.Topics {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.OffsetFetchResponseTopicPartition{
					Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: ptr(""), ErrorCode: resp.ErrorCode,
				})
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
}

func (s *State) fetchGroup(q kmsg.OffsetFetchRequestGroup, requireStable bool) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = q.Group
	g := s.group(q.Group)
	if q.Group == "" {
		resp.ErrorCode = kerr.InvalidGroupID.Code
		return resp
	}
	if g != nil && g.consumer != nil {
		if resp.ErrorCode = g.consumer.mayFetch(q.MemberID, q.MemberEpoch); resp.ErrorCode != 0 {
			return resp
		}
	}
	if q.Topics == nil {
		resp.Topics = g.fetchAll(requireStable)
		return resp
	}
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		name, known := t.Topic, true
		if name == "" && t.TopicID != (TopicID{}) {
			var topic Topic
			topic, known = s.world.TopicByID(t.TopicID)
			name = topic.Name
		}
		for _, p := range t.Partitions {
			rp := g.fetch(topicPartition{name, p}, requireStable)
			if !known {
				rp.ErrorCode = kerr.UnknownTopicID.Code
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchAll is every offset of the group, pending ones included.
func (g *Group) fetchAll(requireStable bool) []kmsg.OffsetFetchResponseGroupTopic {
	topics := []kmsg.OffsetFetchResponseGroupTopic{}
	if g == nil {
		return topics
	}
	all := make(map[topicPartition]*commit, len(g.offsets))
	for tp, c := range g.offsets {
		all[tp] = c
	}
	if requireStable {
		for _, set := range g.pending {
			for tp, c := range set {
				all[tp] = c
			}
		}
	}
	for _, tp := range partitions(all) {
		if len(topics) == 0 || topics[len(topics)-1].Topic != tp.topic {
			rt := kmsg.NewOffsetFetchResponseGroupTopic()
			rt.Topic = tp.topic
			if t, known := g.s.world.Topic(tp.topic); known {
				rt.TopicID = t.ID
			}
			topics = append(topics, rt)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, g.fetch(tp, requireStable))
	}
	return topics
}

func (g *Group) fetch(tp topicPartition, requireStable bool) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = tp.partition, -1, -1, ptr("")
	if g == nil {
		return p
	}
	if requireStable && g.unstable(tp) {
		p.ErrorCode = kerr.UnstableOffsetCommit.Code
		return p
	}
	if c := g.offsets[tp]; c != nil {
		p.Offset, p.LeaderEpoch, p.Metadata = c.offset, c.epoch, ptr(c.metadata)
	}
	return p
}
