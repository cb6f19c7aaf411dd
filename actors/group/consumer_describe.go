package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerDescribe serves ConsumerGroupDescribe.
func (s *State) consumerDescribe(r *Request, b *kmsg.ConsumerGroupDescribeRequest) {
	resp := response[*kmsg.ConsumerGroupDescribeResponse](r)
	for _, id := range b.Groups {
		e := kmsg.NewConsumerGroupDescribeResponseGroup()
		e.Group = id
		switch g := s.group(id); {
		case id == "":
			e.ErrorCode = kerr.InvalidGroupID.Code
		case g == nil:
			e.ErrorCode, e.ErrorMessage, e.State = kerr.GroupIDNotFound.Code, ptr("Group "+id+" not found."), "Dead"
		case g.consumer == nil:
			e.ErrorCode, e.ErrorMessage, e.State = kerr.GroupIDNotFound.Code, ptr("Group "+id+" is not a consumer group."), "Dead"
		default:
			g.consumer.describe(&e)
			if b.IncludeAuthorizedOperations {
				e.AuthorizedOperations = allowed
			}
		}
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}

func (c *consumer) describe(e *kmsg.ConsumerGroupDescribeResponseGroup) {
	e.State, e.Epoch, e.AssignmentEpoch, e.AssignorName = c.stateName(), c.epoch, c.targetEpoch, c.assignor()
	for _, id := range c.ids() {
		m := c.members[id]
		d := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		d.MemberID, d.InstanceID, d.RackID, d.MemberEpoch = id, m.Instance, m.Rack, m.Epoch
		d.ClientID, d.ClientHost, d.SubscribedTopics = m.ClientID, m.ClientHost, m.Topics
		d.MemberType = 1
		if m.Classic != nil {
			d.MemberType = 0
		}
		if m.Regex != "" {
			d.SubscribedTopicRegex = ptr(m.Regex)
		}
		d.Assignment, d.TargetAssignment = c.shown(m.Assigned), c.shown(m.Target)
		e.Members = append(e.Members, d)
	}
}

func (c *consumer) shown(set partitionSet) kmsg.Assignment {
	a := kmsg.NewAssignment()
	for _, t := range set.wire() {
		name := ""
		if topic, known := c.s.world.TopicByID(t.TopicID); known {
			name = topic.Name
		}
		a.TopicPartitions = append(a.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: t.TopicID, Topic: name, Partitions: t.Partitions})
	}
	return a
}
