package group

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *State) syncError(r *Request, code int16) {
	resp := response[*kmsg.SyncGroupResponse](r)
	resp.ErrorCode = code
	s.answer(r, resp)
}

func (s *State) syncGroup(r *Request, b *kmsg.SyncGroupRequest) {
	switch g := s.group(b.Group); {
	case b.Group == "":
		s.syncError(r, kerr.InvalidGroupID.Code)
	case g != nil && g.consumer != nil:
		g.consumer.syncClassic(r, b)
	case g == nil && b.Generation > 0 && b.MemberID != "":
		s.syncError(r, kerr.RebalanceInProgress.Code) // see syncRequest
	case g == nil || g.classic == nil:
		s.syncError(r, kerr.UnknownMemberID.Code)
	default:
		g.classic.syncRequest(r, b)
	}
}

func (c *classic) syncRequest(r *Request, b *kmsg.SyncGroupRequest) {
	m, code := c.find(b.MemberID, b.InstanceID)
	switch {
	case b.Generation > c.generation && (code == 0 || code == kerr.UnknownMemberID.Code):
		// The generation, and perhaps the member with it, went down with the
		// coordinator before it was noted. The member is to join again: that is no
		// fault of its own, as the other codes would say.
		code = kerr.RebalanceInProgress.Code
	case code != 0:
	case b.Generation != c.generation:
		code = kerr.IllegalGeneration.Code
	case b.ProtocolType != nil && *b.ProtocolType != c.protocolType,
		b.Protocol != nil && *b.Protocol != c.protocol:
		code = kerr.InconsistentGroupProtocol.Code
	case c.state == preparing:
		code = kerr.RebalanceInProgress.Code
	}
	if code != 0 {
		c.s.syncError(r, code)
		return
	}
	c.answerSync(m, kerr.RebalanceInProgress.Code) // an earlier attempt
	m.sync = r
	delete(c.unsynced, m.id)
	switch {
	case c.state == stable:
		c.listen(m)
		c.answerSynced(m)
	case m.id == c.leader:
		c.assign(b.GroupAssignment)
	}
	if len(c.unsynced) == 0 {
		c.s.cancel(syncTimer, c.g, "")
	}
}

// assign takes the leader's assignment. Whoever is not in it gets nothing.
func (c *classic) assign(assignments []kmsg.SyncGroupRequestGroupAssignment) {
	for _, a := range assignments {
		if m := c.members[a.MemberID]; m != nil {
			m.assignment = bytes.Clone(a.MemberAssignment)
		}
	}
	c.become(stable)
	c.note()
	for _, id := range c.order {
		if m := c.members[id]; m.sync != nil {
			c.listen(m)
			c.answerSynced(m)
		}
	}
}

func (c *classic) answerSynced(m *member) {
	resp := response[*kmsg.SyncGroupResponse](m.sync)
	resp.ProtocolType, resp.Protocol, resp.MemberAssignment = ptr(c.protocolType), ptr(c.protocol), m.assignment
	c.s.answer(m.sync, resp)
	m.sync = nil
}

func (s *State) heartbeat(r *Request, b *kmsg.HeartbeatRequest) {
	resp := response[*kmsg.HeartbeatResponse](r)
	switch g := s.group(b.Group); {
	case b.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g != nil && g.consumer != nil:
		resp.ErrorCode = g.consumer.heartbeatClassic(b)
	case g == nil || g.classic == nil:
		resp.ErrorCode = kerr.UnknownMemberID.Code
	default:
		resp.ErrorCode = g.classic.heartbeatRequest(b)
	}
	s.answer(r, resp)
}

func (c *classic) heartbeatRequest(b *kmsg.HeartbeatRequest) int16 {
	m, code := c.find(b.MemberID, b.InstanceID)
	switch {
	case code != 0:
		return code
	case b.Generation != c.generation:
		return kerr.IllegalGeneration.Code
	}
	c.listen(m)
	if c.state == preparing {
		return kerr.RebalanceInProgress.Code
	}
	return 0
}

func (s *State) leaveGroup(r *Request, b *kmsg.LeaveGroupRequest) {
	resp := response[*kmsg.LeaveGroupResponse](r)
	leaving := b.Members
	if b.Version < 3 {
		leaving = []kmsg.LeaveGroupRequestMember{{MemberID: b.MemberID}}
	}
	g := s.group(b.Group)
	switch {
	case b.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
		s.answer(r, resp)
		return
	case g != nil && g.share != nil:
		g = nil
	}
	stayed := 0
	for _, l := range leaving {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID = l.MemberID, l.InstanceID
		switch {
		case g == nil:
			m.ErrorCode = kerr.UnknownMemberID.Code
		case g.consumer != nil:
			m.ErrorCode = g.consumer.leaveClassic(l)
		default:
			m.ErrorCode = g.classic.leave(l)
		}
		if m.ErrorCode != 0 {
			stayed++
		}
		resp.Members = append(resp.Members, m)
	}
	if b.Version < 3 {
		resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
	}
	if g != nil && g.classic != nil && stayed < len(leaving) {
		g.classic.left()
		s.settle(g)
	}
	s.answer(r, resp)
}

// leave takes one member out; whoever calls it rebalances.
func (c *classic) leave(l kmsg.LeaveGroupRequestMember) int16 {
	id := l.MemberID
	if id == "" && l.InstanceID != nil {
		id = c.static[*l.InstanceID] // an operator removes it by its instance id
	}
	if c.given[id] && l.InstanceID == nil {
		delete(c.given, id)
		c.s.cancel(pendingTimer, c.g, id)
		return 0
	}
	m, code := c.find(id, l.InstanceID)
	if code != 0 {
		return code
	}
	c.drop(m, kerr.UnknownMemberID.Code)
	return 0
}
