package group

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sharePartition is a partition that a share group works through.
type sharePartition struct {
	topic     TopicID
	partition int32
}

// shareState is how far a share group is in a partition. It belongs to the
// share partition, wherever that is led; here it is only kept. A write is the
// whole state, and one of an older epoch is refused: somebody else leads since,
// or an operator has moved the group.
type shareState struct {
	Epoch       int32        `json:"epoch"`
	LeaderEpoch int32        `json:"leader"`
	Start       int64        `json:"start"` // what lies before is done with; -1: not begun
	Done        int32        `json:"done"`  // records from Start on that are done with
	Batches     []shareBatch `json:"batches,omitempty"`
}

// shareBatch is a run of records from Start on of which something is known.
type shareBatch struct {
	First int64 `json:"f"`
	Last  int64 `json:"l"`
	State int8  `json:"s"`
	Count int16 `json:"c"` // deliveries
}

func (p sharePartition) key(group string) []byte {
	return ownKey(shareStateKeyVersion, group, string(p.topic[:]), strconv.Itoa(int(p.partition)))
}

// partitions are those of which there is a state, in their order.
func (c *share) partitions() []sharePartition {
	return slices.SortedFunc(maps.Keys(c.states), func(a, b sharePartition) int {
		return cmp.Or(bytes.Compare(a.topic[:], b.topic[:]), cmp.Compare(a.partition, b.partition))
	})
}

func (c *share) keep(p sharePartition, st *shareState) {
	c.states[p] = st
	c.s.write(Record{p.key(c.g.id), ownValue(st)})
}

func (s *State) replayShareState(key, value []byte) error {
	var id, topic, number string
	if err := readOwnKey(key, &id, &topic, &number); err != nil {
		return err
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || len(topic) != len(TopicID{}) {
		return cmp.Or(err, strconv.ErrSyntax)
	}
	p := sharePartition{TopicID([]byte(topic)), int32(n)}
	g := s.existing(id)
	if value == nil {
		if g.share != nil {
			delete(g.share.states, p)
		}
		return nil
	}
	g.toShare()
	st := new(shareState)
	g.share.states[p] = st
	return readOwnValue(value, st)
}

// readShareState serves a share partition that begins its work. One of which
// nothing is known has not begun.
func (s *State) readShareState(r *Request, b *kmsg.ReadShareGroupStateRequest) {
	resp := response[*kmsg.ReadShareGroupStateResponse](r)
	g := s.group(b.GroupID)
	for _, t := range b.Topics {
		rt := kmsg.NewReadShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewReadShareGroupStateResponseTopicPartition()
			rp.Partition, rp.StartOffset = p.Partition, -1
			switch {
			case g == nil || g.share == nil:
				rp.ErrorCode = kerr.GroupIDNotFound.Code
			case g.share.states[sharePartition{t.TopicID, p.Partition}] != nil:
				st := g.share.states[sharePartition{t.TopicID, p.Partition}]
				rp.StateEpoch, rp.StartOffset = st.Epoch, st.Start
				for _, batch := range st.Batches {
					rp.StateBatches = append(rp.StateBatches, kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch{
						FirstOffset: batch.First, LastOffset: batch.Last, DeliveryState: batch.State, DeliveryCount: batch.Count,
					})
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.answer(r, resp)
}

func (s *State) writeShareState(r *Request, b *kmsg.WriteShareGroupStateRequest) {
	resp := response[*kmsg.WriteShareGroupStateResponse](r)
	g := s.group(b.GroupID)
	for _, t := range b.Topics {
		rt := kmsg.NewWriteShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewWriteShareGroupStateResponseTopicPartition()
			rp.Partition = p.Partition
			if g == nil || g.share == nil {
				rp.ErrorCode = kerr.GroupIDNotFound.Code
			} else {
				rp.ErrorCode = g.share.writeState(sharePartition{t.TopicID, p.Partition}, p)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.answer(r, resp)
}

func (c *share) writeState(p sharePartition, w kmsg.WriteShareGroupStateRequestTopicPartition) int16 {
	if _, exists := c.s.world.TopicByID(p.topic); !exists {
		return kerr.UnknownTopicID.Code
	}
	st := &shareState{Epoch: w.StateEpoch, LeaderEpoch: w.LeaderEpoch, Start: w.StartOffset, Done: w.DeliveryCompleteCount}
	if old := c.states[p]; old != nil {
		switch {
		case w.StateEpoch != old.Epoch:
			return kerr.FencedStateEpoch.Code
		case w.LeaderEpoch < old.LeaderEpoch:
			return kerr.FencedLeaderEpoch.Code
		}
	}
	for _, batch := range w.StateBatches {
		st.Batches = append(st.Batches, shareBatch{batch.FirstOffset, batch.LastOffset, batch.DeliveryState, batch.DeliveryCount})
	}
	c.keep(p, st)
	return 0
}

// describeShareOffsets serves DescribeShareGroupOffsets but for the lag, which
// only the partition knows; Lag carries the records that are done with from the
// start offset on, for whoever completes the answer.
func (s *State) describeShareOffsets(r *Request, b *kmsg.DescribeShareGroupOffsetsRequest) {
	resp := response[*kmsg.DescribeShareGroupOffsetsResponse](r)
	for _, q := range b.Groups {
		e := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
		e.GroupID = q.GroupID
		switch g := s.group(q.GroupID); {
		case q.GroupID == "":
			e.ErrorCode = kerr.InvalidGroupID.Code
		case g == nil:
			e.ErrorCode, e.ErrorMessage = kerr.GroupIDNotFound.Code, ptr("Group "+q.GroupID+" not found.")
		case g.share == nil:
			e.ErrorCode, e.ErrorMessage = kerr.GroupIDNotFound.Code, ptr("Group "+q.GroupID+" is not a share group.")
		case q.Topics == nil:
			e.Topics = g.share.allOffsets()
		default:
			for _, t := range q.Topics {
				e.Topics = append(e.Topics, g.share.topicOffsets(t.Topic, t.Partitions))
			}
		}
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}

func (c *share) allOffsets() []kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	var topics []kmsg.DescribeShareGroupOffsetsResponseGroupTopic
	lists := partitionSet{}
	for p := range c.states {
		lists.add(p.topic, p.partition)
	}
	for _, id := range lists.ids() {
		if t, known := c.s.world.TopicByID(id); known {
			topics = append(topics, c.topicOffsets(t.Name, lists[id]))
		}
	}
	return topics
}

func (c *share) topicOffsets(topic string, list []int32) kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	rt := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
	rt.Topic = topic
	t, known := c.s.world.Topic(topic)
	rt.TopicID = t.ID
	for _, p := range list {
		rp := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
		rp.Partition, rp.StartOffset = p, -1
		st := c.states[sharePartition{t.ID, p}]
		switch {
		case !known || p >= t.Partitions:
			rp.ErrorCode, rp.ErrorMessage = kerr.UnknownTopicOrPartition.Code, ptr(kerr.UnknownTopicOrPartition.Description)
		case st != nil:
			rp.StartOffset, rp.LeaderEpoch, rp.Lag = st.Start, st.LeaderEpoch, int64(st.Done)
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// alterShareOffsets moves an empty share group. The epoch of the state grows,
// so whoever still works by the old state is refused at the next write.
func (s *State) alterShareOffsets(r *Request, b *kmsg.AlterShareGroupOffsetsRequest) {
	resp := response[*kmsg.AlterShareGroupOffsetsResponse](r)
	g := s.group(b.GroupID)
	switch {
	case b.GroupID == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil:
		g = s.create(b.GroupID)
		g.toShare()
	case g.classic != nil && g.classic.pristine() && len(g.offsets) == 0:
		g.toShare()
	case g.share == nil:
		resp.ErrorCode, resp.ErrorMessage = kerr.GroupIDNotFound.Code, ptr("Group "+b.GroupID+" is not a share group.")
	case len(g.share.members) > 0:
		resp.ErrorCode, resp.ErrorMessage = kerr.NonEmptyGroup.Code, ptr(kerr.NonEmptyGroup.Description)
	}
	if resp.ErrorCode != 0 {
		s.answer(r, resp)
		return
	}
	for _, t := range b.Topics {
		rt := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		topic, known := s.world.Topic(t.Topic)
		rt.Topic, rt.TopicID = t.Topic, topic.ID
		for _, p := range t.Partitions {
			rp := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			rp.Partition = p.Partition
			if !known || p.Partition < 0 || p.Partition >= topic.Partitions {
				rp.ErrorCode, rp.ErrorMessage = kerr.UnknownTopicOrPartition.Code, ptr(kerr.UnknownTopicOrPartition.Description)
			} else {
				g.share.move(sharePartition{topic.ID, p.Partition}, p.StartOffset)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.settle(g)
	s.answer(r, resp)
}

func (c *share) move(p sharePartition, start int64) {
	st := &shareState{Epoch: 1, Start: start}
	if old := c.states[p]; old != nil {
		st.Epoch, st.LeaderEpoch = old.Epoch+1, old.LeaderEpoch
	}
	if c.epoch == 0 {
		c.epoch++
		c.write()
	}
	c.keep(p, st)
}

// deleteShareOffsets makes an empty share group forget topics.
func (s *State) deleteShareOffsets(r *Request, b *kmsg.DeleteShareGroupOffsetsRequest) {
	resp := response[*kmsg.DeleteShareGroupOffsetsResponse](r)
	g := s.group(b.GroupID)
	switch {
	case b.GroupID == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil || g.share == nil:
		resp.ErrorCode, resp.ErrorMessage = kerr.GroupIDNotFound.Code, ptr("Group "+b.GroupID+" not found.")
	case len(g.share.members) > 0:
		resp.ErrorCode, resp.ErrorMessage = kerr.NonEmptyGroup.Code, ptr(kerr.NonEmptyGroup.Description)
	}
	if resp.ErrorCode != 0 {
		s.answer(r, resp)
		return
	}
	for _, t := range b.Topics {
		rt := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		topic, known := s.world.Topic(t.Topic)
		rt.Topic, rt.TopicID = t.Topic, topic.ID
		if !known {
			rt.ErrorCode, rt.ErrorMessage = kerr.UnknownTopicOrPartition.Code, ptr(kerr.UnknownTopicOrPartition.Description)
		}
		for _, p := range g.share.partitions() {
			if known && p.topic == topic.ID {
				s.write(Record{Key: p.key(g.id)})
				delete(g.share.states, p)
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.answer(r, resp)
}

// dropGone forgets the share partitions of topics that are gone.
func (c *share) dropGone() {
	for _, p := range c.partitions() {
		if _, exists := c.s.world.TopicByID(p.topic); !exists {
			c.s.write(Record{Key: p.key(c.g.id)})
			delete(c.states, p)
		}
	}
}
