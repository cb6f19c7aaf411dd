package group

import (
	"fmt"
	"hash/fnv"
	"io"
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
	m.ID, m.Epoch, m.Previous, m.Classic = id, joining, joining, nil
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

// topicsChanged says whether the subscribed topics are others, or have other
// partitions, than when it was asked last.
func (c *consumer) topicsChanged() bool {
	if c.seen == c.s.worlds && c.shapeFor == c.epoch {
		return false
	}
	seen := map[string]bool{}
	var lines []string
	for _, m := range c.members {
		for _, t := range c.topicsOf(m) {
			if !seen[t.Name] {
				seen[t.Name] = true
				lines = append(lines, fmt.Sprintf("%s %x %d", t.Name, t.ID, t.Partitions))
			}
		}
	}
	slices.Sort(lines)
	sum := fnv.New64a()
	for _, l := range lines {
		io.WriteString(sum, l+"\n")
	}
	shape := sum.Sum64()
	changed := shape != c.shape
	c.seen, c.shape, c.shapeFor = c.s.worlds, shape, c.epoch
	return changed
}

// retarget computes the targets of all members when they are of an older epoch.
// What changed for others than current is written down.
func (c *consumer) retarget(current *consumerMember) {
	if c.targetEpoch >= c.epoch {
		return
	}
	in := make([]subscriber, 0, len(c.members))
	for _, id := range c.ids() {
		m := c.members[id]
		in = append(in, subscriber{id: id, instance: value(m.Instance), topics: c.topicsOf(m), has: m.Target})
	}
	targets := assignors[c.assignor()](in)
	for _, id := range c.ids() {
		m := c.members[id]
		if target := targets[id]; !target.equal(m.Target) {
			m.Target = target
			if m != current {
				c.writeMember(m)
			}
		}
	}
	c.targetEpoch = c.epoch
}

// assignor is the one that most members want.
func (c *consumer) assignor() string {
	votes := map[string]int{}
	for _, m := range c.members {
		if m.Assignor != "" {
			votes[m.Assignor]++
		}
	}
	best := assignorNames[0]
	for _, name := range assignorNames {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// reconcile moves a member towards its target, as far as may be. told says
// that the member told what it owns.
func (c *consumer) reconcile(m *consumerMember, told bool, owned partitionSet) (moved bool) {
	switch m.State {
	case memberStable:
		if m.Epoch == c.targetEpoch {
			return false
		}
	case unrevoked:
		if !told || owned.meets(m.Revoking) {
			return false // still has what it shall give up
		}
	}
	before := *m
	c.advance(m, told, owned)
	return m.State != before.State || m.Epoch != before.Epoch || !m.Assigned.equal(before.Assigned) || !m.Revoking.equal(before.Revoking)
}

func (c *consumer) advance(m *consumerMember, told bool, owned partitionSet) {
	c.hold(m, false)
	keep := m.Assigned.both(m.Target)
	revoking := m.Assigned.minus(keep)
	wanted := m.Target.minus(keep)
	free := wanted.filter(func(id TopicID, p int32) bool {
		_, held := c.owner[id][p]
		return !held
	})
	if len(revoking) > 0 && (!told || owned.meets(revoking)) {
		m.Assigned, m.Revoking, m.State = keep, revoking, unrevoked
		c.s.after(int64(m.Rebalance), revokeTimer, c.g, m.ID)
		c.hold(m, true)
		return
	}
	c.s.cancel(revokeTimer, c.g, m.ID)
	m.Assigned, m.Revoking, m.State = keep.plus(free), nil, memberStable
	if !wanted.within(free) {
		m.State = unreleased
	}
	if m.Epoch != c.targetEpoch {
		m.Previous, m.Epoch = m.Epoch, c.targetEpoch
	}
	c.hold(m, true)
}

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
