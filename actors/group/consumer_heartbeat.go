package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member epochs with a meaning of their own.
const (
	joining       = 0
	leaving       = -1
	leavingAWhile = -2 // a static member that will be back
)

// refusal is why a heartbeat is refused.
type refusal struct {
	code int16
	text string
}

func refused(err *kerr.Error, format string, args ...any) *refusal {
	return &refusal{err.Code, fmt.Sprintf(format, args...)}
}

// beat is a heartbeat as it is worked on.
type beat struct {
	r *Request
	b *kmsg.ConsumerGroupHeartbeatRequest
}

func (s *State) consumerHeartbeat(r *Request, b *kmsg.ConsumerGroupHeartbeatRequest) {
	resp := response[*kmsg.ConsumerGroupHeartbeatResponse](r)
	why := s.beat(beat{r, b}, resp)
	if why != nil {
		resp.ErrorCode, resp.ErrorMessage = why.code, ptr(why.text)
		resp.Assignment = nil
	}
	if g := s.group(b.Group); g != nil {
		s.settle(g)
	}
	s.answer(r, resp)
}

// sound says what is wrong with a heartbeat whoever sends it.
func (h beat) sound() *refusal {
	b := h.b
	assignor := value(b.ServerAssignor)
	switch {
	case b.Group == "":
		return refused(kerr.InvalidRequest, "GroupId can't be empty.")
	case b.InstanceID != nil && *b.InstanceID == "":
		return refused(kerr.InvalidRequest, "InstanceId can't be empty.")
	case b.RackID != nil && *b.RackID == "":
		return refused(kerr.InvalidRequest, "RackId can't be empty.")
	case b.MemberEpoch < leavingAWhile:
		return refused(kerr.InvalidRequest, "MemberEpoch is invalid.")
	case b.MemberID == "" && (b.Version >= 1 || b.MemberEpoch != joining):
		return refused(kerr.InvalidRequest, "MemberId can't be empty.")
	case b.MemberEpoch == leavingAWhile && b.InstanceID == nil:
		return refused(kerr.InvalidRequest, "InstanceId can't be null.")
	case b.ServerAssignor != nil && assignors[assignor] == nil:
		return refused(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", assignor, strings.Join(assignorNames, ", "))
	case b.MemberEpoch != joining:
		return nil
	case b.RebalanceTimeoutMillis == -1:
		return refused(kerr.InvalidRequest, "RebalanceTimeoutMs must be provided in first request.")
	case b.Topics == nil || len(b.Topics) > 0:
		return refused(kerr.InvalidRequest, "TopicPartitions must be empty when (re-)joining.")
	case b.SubscribedTopicNames == nil && b.SubscribedTopicRegex == nil:
		return refused(kerr.InvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	return nil
}

func (s *State) beat(h beat, resp *kmsg.ConsumerGroupHeartbeatResponse) *refusal {
	if why := h.sound(); why != nil {
		return why
	}
	if expr := value(h.b.SubscribedTopicRegex); expr != "" {
		if _, err := wholeName(expr); err != nil {
			return refused(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %v.", expr, err)
		}
	}
	g := s.group(h.b.Group)
	if g == nil && h.b.MemberEpoch == joining {
		g = s.create(h.b.Group)
	}
	switch {
	case g == nil:
		return refused(kerr.GroupIDNotFound, "Group %s not found.", h.b.Group)
	case g.share != nil:
		return refused(kerr.GroupIDNotFound, "Group %s is not a consumer group.", h.b.Group)
	case g.classic != nil && h.b.MemberEpoch != joining:
		return refused(kerr.GroupIDNotFound, "Group %s is not a consumer group.", h.b.Group)
	case g.classic != nil:
		if why := g.upgrade(); why != nil {
			return why
		}
	}
	c := g.consumer
	if h.b.MemberEpoch < joining {
		return c.leave(h, resp)
	}
	m, why := c.find(h)
	if why != nil {
		return why
	}
	c.heard(h, m, resp)
	return nil
}

// find is the member that a heartbeat is from, a new one where it joins.
func (c *consumer) find(h beat) (*consumerMember, *refusal) {
	b := h.b
	id := b.MemberID
	if id == "" {
		id = c.s.newID()
	}
	m := c.members[id]
	if b.InstanceID != nil {
		return c.findStatic(h, id)
	}
	switch {
	case b.MemberEpoch != joining:
		return m, c.current(m, b)
	case m != nil:
		return m, nil
	case len(c.members) >= c.s.config.ConsumerMaxSize:
		return nil, refused(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", c.s.config.ConsumerMaxSize)
	}
	return &consumerMember{ID: id, State: memberStable}, nil
}

// current says whether a member's epoch is the one that it was told last. The
// one before is good as well: the answer may have been lost.
func (c *consumer) current(m *consumerMember, b *kmsg.ConsumerGroupHeartbeatRequest) *refusal {
	switch {
	case m == nil:
		return refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", b.MemberID, c.g.id)
	case m.Classic != nil:
		return refused(kerr.UnknownMemberID, "Member %s does not use the consumer protocol.", b.MemberID)
	case b.MemberEpoch > m.Epoch:
		return refused(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", b.MemberEpoch, m.Epoch)
	case b.MemberEpoch < m.Epoch && (b.MemberEpoch != m.Previous || b.Topics == nil || !ownedSet(b.Topics).within(m.Assigned)):
		return refused(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", b.MemberEpoch, m.Epoch)
	}
	return nil
}

func (c *consumer) findStatic(h beat, id string) (*consumerMember, *refusal) {
	b := h.b
	holder, known := c.static[*b.InstanceID]
	old := c.members[holder]
	switch {
	case b.MemberEpoch != joining && !known:
		return nil, refused(kerr.UnknownMemberID, "Instance id %s is unknown.", *b.InstanceID)
	case b.MemberEpoch != joining && holder != id:
		return nil, refused(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", id, *b.InstanceID, holder)
	case b.MemberEpoch != joining:
		return old, c.current(old, b)
	case !known && len(c.members) >= c.s.config.ConsumerMaxSize:
		return nil, refused(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", c.s.config.ConsumerMaxSize)
	case !known:
		return &consumerMember{ID: id, Instance: b.InstanceID, State: memberStable}, nil
	case holder == id:
		return old, nil
	case old.Epoch != leavingAWhile && old.Classic == nil:
		return nil, refused(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by member %s.", id, *b.InstanceID, holder)
	}
	return c.inherit(old, id), nil
}

// inherit gives the place of a static member to the one that came back for it.
func (c *consumer) inherit(old *consumerMember, id string) *consumerMember {
	m := *old // the sets of a member never change in place
	m.ID, m.Epoch, m.Previous, m.Classic, m.Left = id, joining, joining, nil, 0
	m.State, m.Revoking = memberStable, nil
	epoch := c.epoch
	c.drop(old)
	c.epoch = epoch // the group is the same
	c.put(&m)
	c.writeMember(&m)
	return &m
}

// leave takes a member out, or keeps the place of a static one for a while.
func (c *consumer) leave(h beat, resp *kmsg.ConsumerGroupHeartbeatResponse) *refusal {
	b := h.b
	m := c.members[b.MemberID]
	if b.InstanceID != nil {
		holder, known := c.static[*b.InstanceID]
		switch {
		case !known:
			return refused(kerr.UnknownMemberID, "Instance id %s is unknown.", *b.InstanceID)
		case holder != b.MemberID:
			return refused(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", b.MemberID, *b.InstanceID, holder)
		}
	}
	if m == nil {
		return refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", b.MemberID, c.g.id)
	}
	resp.MemberID, resp.MemberEpoch = ptr(b.MemberID), b.MemberEpoch
	if b.MemberEpoch == leavingAWhile {
		c.hold(m, false)
		m.Epoch, m.Revoking, m.State = leavingAWhile, nil, memberStable
		m.Left = c.s.now
		c.hold(m, true)
		c.s.cancel(revokeTimer, c.g, m.ID)
		c.writeMember(m)
		return nil
	}
	c.fence(m)
	return nil
}

// heard takes over what a heartbeat says, and tells the member what to do.
func (c *consumer) heard(h beat, m *consumerMember, resp *kmsg.ConsumerGroupHeartbeatResponse) {
	m.Left = 0
	told := m.Assigned
	changed := c.describeItself(h, m)
	if c.resubscribe(h, m) {
		c.epoch++
		changed = true
	}
	if c.members[m.ID] == nil {
		c.put(m)
		changed = true
	}
	c.settleOn(m, changed, h.b.Topics != nil, ownedSet(h.b.Topics))
	resp.MemberID, resp.MemberEpoch = ptr(m.ID), m.Epoch
	resp.HeartbeatIntervalMillis = int32(c.interval())
	if h.whole() || !told.equal(m.Assigned) {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: m.Assigned.wire()}
	}
}

// settleOn brings the group's targets up to date, moves the member m towards
// its own, and writes down what has changed.
func (c *consumer) settleOn(m *consumerMember, changed, told bool, owned partitionSet) {
	if c.topicsChanged() && c.epoch == c.targetEpoch {
		c.epoch++
	}
	c.shapeFor = c.epoch
	before := c.targetEpoch
	c.retarget(m)
	if c.reconcile(m, told, owned) || c.targetEpoch != before || changed {
		c.writeMember(m)
	}
	if c.targetEpoch != before {
		c.write()
	}
	c.listen(m)
}

// whole says that the member tells everything and wants to be told everything.
func (h beat) whole() bool {
	b := h.b
	return b.MemberEpoch == joining ||
		b.RebalanceTimeoutMillis != -1 && (b.SubscribedTopicNames != nil || b.SubscribedTopicRegex != nil) && b.Topics != nil
}

// describeItself takes over what does not matter to the assignment.
func (c *consumer) describeItself(h beat, m *consumerMember) (changed bool) {
	b := h.b
	client := h.r.Client
	if client.ID != m.ClientID || client.Host != m.ClientHost {
		m.ClientID, m.ClientHost, changed = client.ID, client.Host, true
	}
	if b.RebalanceTimeoutMillis != -1 && b.RebalanceTimeoutMillis != m.Rebalance {
		m.Rebalance, changed = b.RebalanceTimeoutMillis, true
	}
	if b.RackID != nil && *b.RackID != value(m.Rack) {
		m.Rack, changed = b.RackID, true
	}
	return changed
}

// resubscribe takes over what the member reads and how.
func (c *consumer) resubscribe(h beat, m *consumerMember) (changed bool) {
	b := h.b
	if b.SubscribedTopicNames != nil {
		names := slices.Compact(slices.Sorted(slices.Values(b.SubscribedTopicNames)))
		if !slices.Equal(names, m.Topics) {
			m.Topics, changed = names, true
		}
	}
	if b.SubscribedTopicRegex != nil && *b.SubscribedTopicRegex != m.Regex {
		m.Regex, changed = *b.SubscribedTopicRegex, true
	}
	if b.ServerAssignor != nil && *b.ServerAssignor != m.Assignor {
		m.Assignor, changed = *b.ServerAssignor, true
	}
	return changed
}
