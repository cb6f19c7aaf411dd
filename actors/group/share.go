package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// share is a share group (KIP-932): its members work through the same
// partitions together, record by record. Here is who is in it and who looks at
// which partitions; what becomes of the records is in actors/share.
type share struct {
	s *State
	g *Group

	epoch   int32
	members map[string]*shareMember
	states  map[sharePartition]*shareState
	seen    int // the world that the targets were made from
}

// shareMember is a member; it is also what is written down of it.
type shareMember struct {
	ID         string       `json:"-"`
	Rack       *string      `json:"rack,omitempty"`
	ClientID   string       `json:"client"`
	ClientHost string       `json:"host"`
	Topics     []string     `json:"topics,omitempty"`
	Epoch      int32        `json:"epoch"`
	Previous   int32        `json:"previous"`
	Assigned   partitionSet `json:"assigned,omitempty"`
}

func newShare(s *State, g *Group) *share {
	return &share{s: s, g: g, members: map[string]*shareMember{}, states: map[sharePartition]*shareState{}, seen: -1}
}

func (c *share) stateName() string {
	if len(c.members) == 0 {
		return "Empty"
	}
	return "Stable"
}

func (c *share) subscribed(topic string) bool {
	for _, m := range c.members {
		if slices.Contains(m.Topics, topic) {
			return true
		}
	}
	return false
}

func (c *share) ids() []string { return slices.Sorted(maps.Keys(c.members)) }

func (c *share) fire(key timerKey) {
	if m := c.members[key.member]; m != nil && key.kind == sessionTimer {
		c.drop(m)
	}
}

func (c *share) drop(m *shareMember) {
	delete(c.members, m.ID)
	c.s.cancel(sessionTimer, c.g, m.ID)
	c.s.write(Record{Key: ownKey(shareMemberKeyVersion, c.g.id, m.ID)})
	c.epoch++
	c.assign()
	c.write()
}

func (c *share) listen(m *shareMember) {
	c.s.after(c.s.groupMillis(c.g.id, "share.session.timeout.ms", c.s.config.ShareSessionTimeout), sessionTimer, c.g, m.ID)
}

func (c *share) loaded() {
	for _, m := range c.members {
		c.listen(m)
	}
	c.assign()
}

func (c *share) write() {
	c.s.write(Record{ownKey(shareKeyVersion, c.g.id), ownValue(c.epoch)})
}

func (c *share) tombstone() {
	for _, sp := range c.partitions() {
		c.s.write(Record{Key: sp.key(c.g.id)})
	}
	for _, id := range c.ids() {
		c.s.write(Record{Key: ownKey(shareMemberKeyVersion, c.g.id, id)})
	}
	c.s.write(Record{Key: ownKey(shareKeyVersion, c.g.id)})
}

func (s *State) replayShare(key, value []byte) error {
	var id string
	if err := readOwnKey(key, &id); err != nil {
		return err
	}
	g := s.existing(id)
	if value == nil {
		if g.share != nil {
			g.becomeClassic()
		}
		return nil
	}
	g.toShare()
	return readOwnValue(value, &g.share.epoch)
}

func (s *State) replayShareMember(key, value []byte) error {
	var id, name string
	if err := readOwnKey(key, &id, &name); err != nil {
		return err
	}
	g := s.existing(id)
	if value == nil {
		if g.share != nil {
			delete(g.share.members, name)
		}
		return nil
	}
	g.toShare()
	m := &shareMember{ID: name}
	g.share.members[name] = m
	return readOwnValue(value, m)
}

func (g *Group) toShare() {
	if g.share == nil {
		g.classic, g.consumer = nil, nil
		g.share = newShare(g.s, g)
	}
}

// assign gives every partition to at least one of its readers and every reader
// at least one partition, as evenly as that goes.
func (c *share) assign() {
	c.seen = c.s.worlds
	readers := map[string][]*shareMember{}
	next := map[string]partitionSet{}
	for _, id := range c.ids() {
		next[id] = partitionSet{}
		for _, name := range c.members[id].Topics {
			readers[name] = append(readers[name], c.members[id])
		}
	}
	for name, list := range readers {
		t, known := c.s.world.Topic(name)
		if !known || t.Partitions == 0 {
			continue
		}
		n := max(int(t.Partitions), len(list))
		for i := range n {
			next[list[i%len(list)].ID].add(t.ID, int32(i)%t.Partitions)
		}
	}
	for id, set := range next {
		c.members[id].Assigned = set
	}
}

func (s *State) shareHeartbeat(r *Request, b *kmsg.ShareGroupHeartbeatRequest) {
	resp := response[*kmsg.ShareGroupHeartbeatResponse](r)
	if why := s.shareBeat(r, b, resp); why != nil {
		resp.ErrorCode, resp.ErrorMessage = why.code, ptr(why.text)
	}
	if g := s.group(b.GroupID); g != nil {
		s.settle(g)
	}
	s.answer(r, resp)
}

func (s *State) shareBeat(r *Request, b *kmsg.ShareGroupHeartbeatRequest, resp *kmsg.ShareGroupHeartbeatResponse) *refusal {
	switch {
	case b.GroupID == "":
		return refused(kerr.InvalidRequest, "GroupId can't be empty.")
	case b.MemberID == "":
		return refused(kerr.InvalidRequest, "MemberId can't be empty.")
	case b.RackID != nil && *b.RackID == "":
		return refused(kerr.InvalidRequest, "RackId can't be empty.")
	case b.MemberEpoch < leaving:
		return refused(kerr.InvalidRequest, "MemberEpoch is invalid.")
	case b.MemberEpoch == joining && len(b.SubscribedTopicNames) == 0:
		return refused(kerr.InvalidRequest, "SubscribedTopicNames must be set in first request.")
	}
	g := s.group(b.GroupID)
	if g == nil && b.MemberEpoch == joining {
		g = s.create(b.GroupID)
	}
	switch {
	case g == nil:
		return refused(kerr.GroupIDNotFound, "Group %s not found.", b.GroupID)
	case g.classic != nil && g.classic.pristine() && len(g.offsets) == 0 && b.MemberEpoch == joining:
		g.toShare()
	case g.share == nil:
		return refused(kerr.GroupIDNotFound, "Group %s is not a share group.", b.GroupID)
	}
	c := g.share
	m := c.members[b.MemberID]
	switch {
	case m == nil && b.MemberEpoch != joining:
		return refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", b.MemberID, g.id)
	case m == nil && len(c.members) >= s.config.ShareMaxSize:
		return refused(kerr.GroupMaxSizeReached, "The share group has reached its maximum capacity of %d members.", s.config.ShareMaxSize)
	case b.MemberEpoch == leaving:
		c.drop(m)
		resp.MemberID, resp.MemberEpoch = ptr(b.MemberID), leaving
		return nil
	case b.MemberEpoch > joining && (b.MemberEpoch > m.Epoch || b.MemberEpoch < m.Epoch && b.MemberEpoch != m.Previous):
		return refused(kerr.FencedMemberEpoch, "The share group member has a member epoch (%d) other than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", b.MemberEpoch, m.Epoch)
	case m == nil:
		m = &shareMember{ID: b.MemberID}
	}
	c.heard(r, b, m, resp)
	return nil
}

func (c *share) heard(r *Request, b *kmsg.ShareGroupHeartbeatRequest, m *shareMember, resp *kmsg.ShareGroupHeartbeatResponse) {
	had := m.Assigned
	known := c.members[m.ID] != nil
	c.members[m.ID] = m
	names := slices.Compact(slices.Sorted(slices.Values(b.SubscribedTopicNames)))
	subscribed := b.SubscribedTopicNames != nil && !slices.Equal(names, m.Topics)
	if subscribed {
		m.Topics = names
	}
	m.ClientID, m.ClientHost = r.Client.ID, r.Client.Host
	if b.RackID != nil {
		m.Rack = b.RackID
	}
	if !known || subscribed || c.seen != c.s.worlds && c.topicsMoved() {
		c.epoch++
		c.assign()
		c.write()
	}
	if m.Epoch != c.epoch {
		m.Previous, m.Epoch = m.Epoch, c.epoch
		c.s.write(Record{ownKey(shareMemberKeyVersion, c.g.id, m.ID), ownValue(m)})
	}
	c.listen(m)
	resp.MemberID, resp.MemberEpoch = ptr(m.ID), m.Epoch
	resp.HeartbeatIntervalMillis = int32(c.s.groupMillis(c.g.id, "share.heartbeat.interval.ms", c.s.config.ShareHeartbeatInterval))
	if b.MemberEpoch != m.Epoch || b.SubscribedTopicNames != nil || !had.equal(m.Assigned) {
		resp.Assignment = ptr(kmsg.NewShareGroupHeartbeatResponseAssignment())
		for _, id := range m.Assigned.ids() {
			resp.Assignment.TopicPartitions = append(resp.Assignment.TopicPartitions,
				kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{TopicID: id, Partitions: m.Assigned[id]})
		}
	}
}

// topicsMoved says whether another world gives other assignments.
func (c *share) topicsMoved() bool {
	before := map[string]partitionSet{}
	for id, m := range c.members {
		before[id] = m.Assigned
	}
	c.assign()
	for id, m := range c.members {
		if !m.Assigned.equal(before[id]) {
			return true
		}
	}
	return false
}

func (s *State) shareDescribe(r *Request, b *kmsg.ShareGroupDescribeRequest) {
	resp := response[*kmsg.ShareGroupDescribeResponse](r)
	for _, id := range b.GroupIDs {
		e := kmsg.NewShareGroupDescribeResponseGroup()
		e.GroupID = id
		switch g := s.group(id); {
		case id == "":
			e.ErrorCode = kerr.InvalidGroupID.Code
		case g == nil:
			e.ErrorCode, e.ErrorMessage, e.GroupState = kerr.GroupIDNotFound.Code, ptr("Group "+id+" not found."), "Dead"
		case g.share == nil:
			e.ErrorCode, e.ErrorMessage, e.GroupState = kerr.GroupIDNotFound.Code, ptr("Group "+id+" is not a share group."), "Dead"
		default:
			g.share.describe(&e)
			if b.IncludeAuthorizedOperations {
				e.AuthorizedOperations = allowed
			}
		}
		resp.Groups = append(resp.Groups, e)
	}
	s.answer(r, resp)
}

func (c *share) describe(e *kmsg.ShareGroupDescribeResponseGroup) {
	e.GroupState, e.GroupEpoch, e.AssignmentEpoch, e.Assignor = c.stateName(), c.epoch, c.epoch, "simple"
	for _, id := range c.ids() {
		m := c.members[id]
		d := kmsg.NewShareGroupDescribeResponseGroupMember()
		d.MemberID, d.RackID, d.MemberEpoch, d.ClientID, d.ClientHost = id, m.Rack, m.Epoch, m.ClientID, m.ClientHost
		d.SubscribedTopicNames = m.Topics
		for _, topic := range m.Assigned.ids() {
			t, _ := c.s.world.TopicByID(topic)
			d.Assignment.TopicPartitions = append(d.Assignment.TopicPartitions, kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{
				TopicID: topic, Topic: t.Name, Partitions: m.Assigned[topic],
			})
		}
		e.Members = append(e.Members, d)
	}
}
