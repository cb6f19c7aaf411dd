package group

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinError refuses a JoinGroup.
func (s *State) joinError(r *Request, member string, code int16) {
	resp := response[*kmsg.JoinGroupResponse](r)
	resp.ErrorCode, resp.Generation, resp.MemberID = code, -1, member
	s.answer(r, resp)
}

func (s *State) joinGroup(r *Request, b *kmsg.JoinGroupRequest) {
	session := int64(b.SessionTimeoutMillis)
	g := s.group(b.Group)
	switch {
	case b.Group == "":
		s.joinError(r, b.MemberID, kerr.InvalidGroupID.Code)
		return
	case session < s.config.MinSessionTimeout.Milliseconds(), session > s.config.MaxSessionTimeout.Milliseconds():
		s.joinError(r, b.MemberID, kerr.InvalidSessionTimeout.Code)
		return
	case g == nil && b.MemberID != "":
		s.joinError(r, b.MemberID, kerr.UnknownMemberID.Code)
		return
	case g == nil:
		g = s.create(b.Group)
	case g.consumer != nil && len(g.consumer.members) > 0:
		g.consumer.joinClassic(r, b)
		return
	case g.share != nil:
		s.joinError(r, b.MemberID, kerr.InconsistentGroupProtocol.Code)
		return
	}
	g.toClassic()
	g.classic.joinRequest(r, b)
	s.settle(g)
}

func (c *classic) joinRequest(r *Request, b *kmsg.JoinGroupRequest) {
	switch {
	case !c.hasRoomFor(b.MemberID):
		c.s.joinError(r, b.MemberID, kerr.GroupMaxSizeReached.Code)
	case !c.agrees(b.ProtocolType, b.Protocols, b.MemberID):
		c.s.joinError(r, b.MemberID, kerr.InconsistentGroupProtocol.Code)
	case b.MemberID != "":
		c.joinKnown(r, b)
	case b.InstanceID != nil:
		c.joinStatic(r, b)
	case b.Version >= 4:
		c.giveID(r, b)
	default:
		c.joinNew(r, b, c.newID(b, r))
	}
}

// hasRoomFor says whether a member may join without making the group too large.
func (c *classic) hasRoomFor(id string) bool {
	limit := c.s.config.MaxSize
	m := c.members[id]
	if c.state != preparing {
		return m != nil || len(c.members) < limit
	}
	waiting := 0
	for _, other := range c.members {
		if other.join != nil {
			waiting++
		}
	}
	return m != nil && m.join != nil || waiting < limit
}

// newID makes an id for a member that has none.
func (c *classic) newID(b *kmsg.JoinGroupRequest, r *Request) string {
	if b.InstanceID != nil {
		return *b.InstanceID + "-" + c.s.newID()
	}
	return r.Client.ID + "-" + c.s.newID()
}

// giveID tells a member the id with which it is to come again, so that one that
// never hears the answer leaves no member behind.
func (c *classic) giveID(r *Request, b *kmsg.JoinGroupRequest) {
	id := c.newID(b, r)
	c.given[id] = true
	c.s.after(int64(b.SessionTimeoutMillis), pendingTimer, c.g, id)
	c.s.joinError(r, id, kerr.MemberIDRequired.Code)
}

// joinNew takes in a member.
func (c *classic) joinNew(r *Request, b *kmsg.JoinGroupRequest, id string) {
	if len(c.members) == 0 {
		c.protocolType = b.ProtocolType
	}
	m := &member{id: id, instance: b.InstanceID, fresh: b.MemberID == ""}
	m.update(r, b)
	c.add(m)
	if m.fresh {
		c.s.after(newMemberTimeout, sessionTimer, c.g, id)
	} else {
		c.listen(m)
	}
	if c.state == preparing && c.before == empty {
		c.grew = true
	}
	c.rebalance()
}

// update takes over what a member says of itself in a JoinGroup, and parks it.
func (m *member) update(r *Request, b *kmsg.JoinGroupRequest) {
	m.clientID, m.clientHost = r.Client.ID, r.Client.Host
	m.session, m.rebalance = b.SessionTimeoutMillis, b.RebalanceTimeoutMillis
	if b.Version < 1 {
		m.rebalance = m.session
	}
	m.protocols = make([]kmsg.JoinGroupRequestProtocol, len(b.Protocols))
	for i, p := range b.Protocols { // the request's bytes do not outlive it
		m.protocols[i] = kmsg.JoinGroupRequestProtocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)}
	}
	m.join = r
}

// joinKnown is for a member that brings the id it was given.
func (c *classic) joinKnown(r *Request, b *kmsg.JoinGroupRequest) {
	if c.given[b.MemberID] {
		c.joinNew(r, b, b.MemberID)
		return
	}
	m, code := c.find(b.MemberID, b.InstanceID)
	if code != 0 {
		c.s.joinError(r, b.MemberID, code)
		return
	}
	switch {
	case c.state == preparing:
		c.rejoin(m, r, b)
	case c.state == completing && m.matches(b.Protocols):
		// The answer was lost: it comes again.
		c.answerJoin(m, kerr.UnknownMemberID.Code)
		m.join = r
		c.answerJoined(m)
	case c.state == stable && m.id != c.leader && m.matches(b.Protocols):
		m.join = r
		resp := c.joined(m)
		m.join = nil
		c.s.answer(r, resp)
	default: // something changed, or the leader wants to assign anew
		c.rejoin(m, r, b)
	}
}

// rejoin parks a member that joins once more and rebalances.
func (c *classic) rejoin(m *member, r *Request, b *kmsg.JoinGroupRequest) {
	c.answerJoin(m, kerr.UnknownMemberID.Code) // an earlier attempt
	m.update(r, b)
	c.rebalance()
}

// find is the member that a request speaks of.
func (c *classic) find(id string, instance *string) (*member, int16) {
	if instance != nil {
		switch current, known := c.static[*instance]; {
		case !known:
			return nil, kerr.UnknownMemberID.Code
		case current != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	m := c.members[id]
	if m == nil {
		return nil, kerr.UnknownMemberID.Code
	}
	return m, 0
}

// joinStatic is for a member with an instance id that does not know its member
// id: a new one, or one that has started again and takes its old place.
func (c *classic) joinStatic(r *Request, b *kmsg.JoinGroupRequest) {
	id := c.newID(b, r)
	old, known := c.static[*b.InstanceID]
	if !known {
		c.joinNew(r, b, id)
		return
	}
	m := c.members[old]
	c.replace(m, id)
	before := c.leader
	if before == old {
		c.leader = id
	}
	m.update(r, b)
	switch {
	case c.state != stable:
		c.listen(m)
		c.rebalance()
	case c.chooseProtocol() == c.protocol:
		c.takeOldPlace(m, before)
	default:
		c.listen(m)
		c.rebalance()
	}
}

// replace gives the place of a static member to its successor id.
func (c *classic) replace(m *member, id string) {
	c.answerJoin(m, kerr.FencedInstanceID.Code)
	c.answerSync(m, kerr.FencedInstanceID.Code)
	c.s.cancel(sessionTimer, c.g, m.id)
	delete(c.members, m.id)
	for i, other := range c.order {
		if other == m.id {
			c.order[i] = id
		}
	}
	if c.unsynced[m.id] {
		delete(c.unsynced, m.id)
		c.unsynced[id] = true
	}
	m.id = id
	c.members[id] = m
	c.static[*m.instance] = id
}

// takeOldPlace answers a static member that came back without a rebalance. One
// that leads must not assign anew: an old client is told that somebody else
// leads, a newer one is told to skip the assignment.
func (c *classic) takeOldPlace(m *member, leaderBefore string) {
	r := m.join
	resp := c.joined(m)
	m.join = nil
	if m.id == c.leader && resp.Version >= 9 {
		resp.Members, resp.SkipAssignment = c.everybody(), true
	} else {
		resp.LeaderID = leaderBefore
	}
	c.listen(m)
	c.topics = c.subscriptions()
	c.note()
	c.s.answer(r, resp)
}
