package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committer is who commits, and how.
type committer struct {
	member     string
	instance   *string
	generation int32 // or the member epoch
	version    int16
	txn        bool
}

// forCommit is the group to commit to. One that is not there is made for a
// client that manages its partitions itself and only keeps its offsets here.
func (s *State) forCommit(id string, from committer) (*Group, int16) {
	g := s.group(id)
	switch {
	case id == "":
		return nil, kerr.InvalidGroupID.Code
	case g == nil && from.generation < 0:
		return s.create(id), 0
	case g == nil && (from.txn || from.version < 9):
		return nil, kerr.IllegalGeneration.Code
	case g == nil:
		return nil, kerr.GroupIDNotFound.Code
	case g.share != nil:
		return nil, kerr.GroupIDNotFound.Code
	case g.consumer != nil:
		return g, g.consumer.mayCommit(from)
	}
	return g, g.classic.mayCommit(from)
}

func (c *classic) mayCommit(from committer) int16 {
	if from.generation < 0 && c.state == empty {
		return 0
	}
	if from.generation < 0 && from.member == "" && from.instance == nil {
		if from.txn {
			return 0 // a producer of old does not tell its group's generation
		}
		return kerr.UnknownMemberID.Code
	}
	m, code := c.find(from.member, from.instance)
	switch {
	case code != 0:
		return code
	case from.generation != c.generation:
		return kerr.IllegalGeneration.Code
	case c.state == completing && !from.txn:
		return kerr.RebalanceInProgress.Code
	}
	if !from.txn && m.join == nil {
		c.listen(m) // a commit shows that the member lives
	}
	return 0
}

// target is the partition that a commit names, or why it cannot be committed.
func (s *State) target(name string, id TopicID, partition int32, metadata *string) (topicPartition, TopicID, int16) {
	t, known := s.world.Topic(name)
	missing := kerr.UnknownTopicOrPartition.Code
	if name == "" && id != (TopicID{}) {
		t, known = s.world.TopicByID(id)
		missing = kerr.UnknownTopicID.Code
	}
	switch {
	case !known:
		return topicPartition{}, id, missing
	case partition < 0 || partition >= t.Partitions:
		return topicPartition{}, id, kerr.UnknownTopicOrPartition.Code
	case len(value(metadata)) > s.config.OffsetMetadataMaxBytes:
		return topicPartition{}, id, kerr.OffsetMetadataTooLarge.Code
	}
	return topicPartition{t.Name, partition}, t.ID, 0
}

func (s *State) offsetCommit(r *Request, b *kmsg.OffsetCommitRequest) {
	from := committer{b.MemberID, b.InstanceID, b.Generation, b.Version, false}
	if b.Version == 0 {
		from.generation = -1
	}
	g, refused := s.forCommit(b.Group, from)
	resp := response[*kmsg.OffsetCommitResponse](r)
	for _, t := range b.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, refused
			tp, id, code := s.target(t.Topic, t.TopicID, p.Partition, p.Metadata)
			switch {
			case refused != 0:
			case code != 0:
				rp.ErrorCode = code
			default:
				c := &commit{offset: p.Offset, epoch: p.LeaderEpoch, metadata: value(p.Metadata), at: s.now, expires: -1, topicID: id}
				if b.Version < 6 {
					c.epoch = -1
				}
				if b.Version >= 2 && b.Version <= 4 && b.RetentionTimeMillis >= 0 {
					c.expires = s.now + b.RetentionTimeMillis
				}
				g.commit(tp, c)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if g != nil {
		s.settle(g)
	}
	s.answer(r, resp)
}

// txnOffsetCommit writes offsets into a transaction. The log may refuse them,
// to a producer that is fenced; so they are taken over by Replay, once they
// are in it, and count when the transaction's marker comes.
func (s *State) txnOffsetCommit(r *Request, b *kmsg.TxnOffsetCommitRequest) {
	from := committer{b.MemberID, b.InstanceID, b.Generation, b.Version, true}
	if b.Version < 3 {
		from.generation = -1
	}
	g, refused := s.forCommit(b.Group, from)
	if refused == kerr.StaleMemberEpoch.Code {
		refused = kerr.IllegalGeneration.Code
	}
	resp := response[*kmsg.TxnOffsetCommitResponse](r)
	for _, t := range b.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, refused
			tp, id, code := s.target(t.Topic, t.TopicID, p.Partition, p.Metadata)
			switch {
			case refused != 0:
			case code != 0:
				rp.ErrorCode = code
			default:
				c := &commit{offset: p.Offset, epoch: p.LeaderEpoch, metadata: value(p.Metadata), at: s.now, expires: -1, topicID: id}
				if b.Version < 2 {
					c.epoch = -1
				}
				s.write(offsetRecord(g.id, tp, c))
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(s.out.Records) > 0 {
		s.out.Txn = &Txn{b.ProducerID, b.ProducerEpoch}
	}
	if g != nil {
		s.settle(g)
	}
	s.answer(r, resp)
}

// propose takes over an offset of a producer's open transaction.
func (g *Group) propose(producer int64, tp topicPartition, c *commit) {
	g.s.commits++
	c.order = g.s.commits
	if g.pending[producer] == nil {
		g.pending[producer] = map[topicPartition]*commit{}
	}
	g.pending[producer][tp] = c
	index(g.s.byProducer, producer, g)
}
