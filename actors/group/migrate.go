package group

import (
	"bytes"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group can change its protocol while it works. When a member of the newer
// protocol joins a classic group, the group becomes a consumer group and its
// classic members go on in it: they see generations, rebalances and
// assignments as before, only that nobody of them assigns. When the last member
// of the newer protocol leaves, the group is a classic one again.

// classicMember is what a consumer group keeps of a member that speaks the
// classic protocol.
type classicMember struct {
	Session   int32             `json:"session"` // ms
	Protocols []classicProtocol `json:"protocols"`
}

type classicProtocol struct {
	Name     string `json:"name"`
	Metadata []byte `json:"metadata"`
}

// upgrade makes a classic group a consumer group.
func (g *Group) upgrade() *refusal {
	k := g.classic
	if len(k.members) == 0 {
		g.toConsumer()
		return nil
	}
	if k.protocolType != "consumer" || len(k.members) > g.s.config.ConsumerMaxSize {
		return refused(kerr.GroupIDNotFound, "Group %s is not a consumer group.", g.id)
	}
	c := newConsumer(g.s, g)
	c.epoch, c.targetEpoch = k.generation, k.generation
	for _, id := range k.order {
		m, ok := c.fromClassic(k.members[id], k)
		if !ok {
			return refused(kerr.GroupIDNotFound, "Group %s cannot be upgraded: what member %s says of itself is not understood.", g.id, id)
		}
		c.put(m)
	}
	for _, m := range k.members {
		k.answerJoin(m, kerr.RebalanceInProgress.Code)
		k.answerSync(m, kerr.RebalanceInProgress.Code)
		g.s.cancel(sessionTimer, g, m.id)
	}
	g.toConsumer()
	g.consumer = c
	for _, id := range c.ids() {
		c.writeMember(c.members[id])
		c.listen(c.members[id])
	}
	c.topicsChanged()
	c.write()
	return nil
}

// fromClassic is a member of a classic group as one of a consumer group.
func (c *consumer) fromClassic(k *member, of *classic) (*consumerMember, bool) {
	m := &consumerMember{
		ID: k.id, Instance: k.instance, ClientID: k.clientID, ClientHost: k.clientHost, Rebalance: k.rebalance,
		Epoch: of.generation, Previous: of.generation, State: memberStable, Assigned: partitionSet{},
		Classic: &classicMember{Session: k.session},
	}
	for _, p := range k.protocols {
		m.Classic.Protocols = append(m.Classic.Protocols, classicProtocol{p.Name, p.Metadata})
	}
	meta, ok := m.Classic.subscription()
	if !ok {
		return nil, false
	}
	m.Topics = slices.Compact(slices.Sorted(slices.Values(meta.Topics)))
	if len(k.assignment) > 0 {
		var a kmsg.ConsumerMemberAssignment
		if a.ReadFrom(k.assignment) != nil {
			return nil, false
		}
		for _, t := range a.Topics {
			if topic, known := c.s.world.Topic(t.Topic); known {
				m.Assigned.add(topic.ID, t.Partitions...)
			}
		}
	}
	m.Target = m.Assigned
	return m, true
}

// subscription is what the member says in its first protocol.
func (k *classicMember) subscription() (meta kmsg.ConsumerMemberMetadata, ok bool) {
	if len(k.Protocols) == 0 {
		return meta, false
	}
	return meta, meta.ReadFrom(k.Protocols[0].Metadata) == nil
}

// onlyClassic says that nobody is left who speaks the newer protocol.
func (c *consumer) onlyClassic() bool {
	for _, m := range c.members {
		if m.Classic == nil {
			return false
		}
	}
	return len(c.members) > 0
}

// downgrade makes the group a classic one again, and lets its members rejoin.
func (c *consumer) downgrade() {
	g, s := c.g, c.s
	c.tombstone()
	g.becomeClassic()
	k := g.classic
	k.protocolType, k.generation, k.state = "consumer", c.epoch, stable
	for _, id := range c.ids() {
		m := c.members[id]
		for _, kind := range []timerKind{revokeTimer, joinTimer} {
			s.cancel(kind, g, id)
		}
		old := &member{
			id: id, instance: m.Instance, clientID: m.ClientID, clientHost: m.ClientHost,
			session: m.Classic.Session, rebalance: m.Rebalance, assignment: c.assignment(m),
		}
		for _, p := range m.Classic.Protocols {
			old.protocols = append(old.protocols, kmsg.JoinGroupRequestProtocol{Name: p.Name, Metadata: p.Metadata})
		}
		k.add(old)
		k.listen(old)
	}
	k.protocol = k.chooseProtocol()
	k.topics = k.subscriptions()
	k.note()
	k.rebalance()
}

// assignment is what a member has, as the consumers' own protocol says it.
func (c *consumer) assignment(m *consumerMember) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	if meta, ok := m.Classic.subscription(); ok {
		a.Version = min(meta.Version, 2)
	}
	for _, id := range m.Assigned.ids() {
		if t, known := c.s.world.TopicByID(id); known {
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t.Name, Partitions: m.Assigned[id]})
		}
	}
	return a.AppendTo(nil)
}

// joinClassic lets a member of the classic protocol join. There is no leader,
// and the answer comes at once.
func (c *consumer) joinClassic(r *Request, b *kmsg.JoinGroupRequest) {
	m, code := c.classicJoiner(r, b)
	if code != 0 {
		id := b.MemberID
		if m != nil {
			id = m.ID
		}
		c.s.joinError(r, id, code)
		return
	}
	k := &classicMember{Session: b.SessionTimeoutMillis}
	for _, p := range b.Protocols {
		k.Protocols = append(k.Protocols, classicProtocol{p.Name, bytes.Clone(p.Metadata)})
	}
	meta, ok := k.subscription()
	if b.ProtocolType != "consumer" || !ok {
		c.s.joinError(r, b.MemberID, kerr.InconsistentGroupProtocol.Code)
		return
	}
	owned := partitionSet{}
	for _, t := range meta.OwnedPartitions {
		if topic, known := c.s.world.Topic(t.Topic); known {
			owned.add(topic.ID, t.Partitions...)
		}
	}
	m.Classic, m.ClientID, m.ClientHost, m.Rebalance = k, r.Client.ID, r.Client.Host, b.RebalanceTimeoutMillis
	topics := slices.Compact(slices.Sorted(slices.Values(meta.Topics)))
	if c.members[m.ID] == nil || !slices.Equal(topics, m.Topics) {
		m.Topics = topics
		c.put(m)
		c.epoch++
	}
	c.s.cancel(joinTimer, c.g, m.ID)
	c.settleOn(m, true, true, owned)
	resp := response[*kmsg.JoinGroupResponse](r)
	resp.MemberID, resp.Generation = m.ID, m.Epoch
	resp.ProtocolType, resp.Protocol = ptr("consumer"), ptr(k.Protocols[0].Name)
	c.s.answer(r, resp)
}

// classicJoiner is the member that a JoinGroup is from.
func (c *consumer) classicJoiner(r *Request, b *kmsg.JoinGroupRequest) (*consumerMember, int16) {
	if b.MemberID != "" {
		m, code := c.classicMember(b.MemberID, b.InstanceID)
		if code == kerr.UnknownMemberID.Code && b.InstanceID == nil && b.Version >= 4 && c.room() {
			// The id that it was told to come with.
			return &consumerMember{ID: b.MemberID, State: memberStable}, 0
		}
		return m, code
	}
	if b.InstanceID != nil {
		id := *b.InstanceID + "-" + c.s.newID()
		if holder, known := c.static[*b.InstanceID]; known {
			return c.inherit(c.members[holder], id), 0
		}
		if !c.room() {
			return nil, kerr.GroupMaxSizeReached.Code
		}
		return &consumerMember{ID: id, Instance: b.InstanceID, State: memberStable}, 0
	}
	m := &consumerMember{ID: r.Client.ID + "-" + c.s.newID(), State: memberStable}
	switch {
	case !c.room():
		return nil, kerr.GroupMaxSizeReached.Code
	case b.Version >= 4:
		return m, kerr.MemberIDRequired.Code
	}
	return m, 0
}

func (c *consumer) room() bool { return len(c.members) < c.s.config.ConsumerMaxSize }

// classicMember is the member of the classic protocol that a request names.
func (c *consumer) classicMember(id string, instance *string) (*consumerMember, int16) {
	if instance != nil {
		switch holder, known := c.static[*instance]; {
		case !known:
			return nil, kerr.UnknownMemberID.Code
		case holder != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	m := c.members[id]
	if m == nil || m.Classic == nil {
		return nil, kerr.UnknownMemberID.Code
	}
	return m, 0
}

func (c *consumer) syncClassic(r *Request, b *kmsg.SyncGroupRequest) {
	m, code := c.classicMember(b.MemberID, b.InstanceID)
	switch {
	case code != 0:
	case b.Generation != m.Epoch:
		code = kerr.IllegalGeneration.Code
	case b.ProtocolType != nil && *b.ProtocolType != "consumer",
		b.Protocol != nil && *b.Protocol != m.Classic.Protocols[0].Name:
		code = kerr.InconsistentGroupProtocol.Code
	case c.epoch > m.Epoch && m.State != unrevoked:
		c.awaitRejoin(m)
		code = kerr.RebalanceInProgress.Code
	}
	if code != 0 {
		c.s.syncError(r, code)
		return
	}
	c.listen(m)
	resp := response[*kmsg.SyncGroupResponse](r)
	resp.ProtocolType, resp.Protocol = ptr("consumer"), ptr(m.Classic.Protocols[0].Name)
	resp.MemberAssignment = c.assignment(m)
	c.s.answer(r, resp)
}

// awaitRejoin gives a member that was told to rejoin its time to do so.
func (c *consumer) awaitRejoin(m *consumerMember) {
	c.s.timers.atMost(timerKey{joinTimer, c.g.id, m.ID}, c.s.now+int64(m.Rebalance))
}

func (c *consumer) heartbeatClassic(b *kmsg.HeartbeatRequest) int16 {
	m, code := c.classicMember(b.MemberID, b.InstanceID)
	switch {
	case code != 0:
		return code
	case b.Generation != m.Epoch:
		return kerr.IllegalGeneration.Code
	}
	c.listen(m)
	if m.Epoch < c.epoch || m.State == unrevoked || m.State == unreleased && c.couldGetMore(m) {
		c.awaitRejoin(m)
		return kerr.RebalanceInProgress.Code
	}
	return 0
}

// couldGetMore says that something the member waits for is free.
func (c *consumer) couldGetMore(m *consumerMember) bool {
	free := m.Target.minus(m.Assigned).filter(func(id TopicID, p int32) bool {
		_, held := c.owner[id][p]
		return !held
	})
	return len(free) > 0
}

func (c *consumer) leaveClassic(l kmsg.LeaveGroupRequestMember) int16 {
	id := l.MemberID
	if id == "" && l.InstanceID != nil {
		id = c.static[*l.InstanceID] // an operator removes it by its instance id
	}
	m := c.members[id]
	switch {
	case m == nil:
		return kerr.UnknownMemberID.Code
	case m.Classic == nil && l.MemberID != "":
		return kerr.UnknownMemberID.Code
	}
	if l.InstanceID != nil && c.static[*l.InstanceID] != id {
		return kerr.FencedInstanceID.Code
	}
	c.fence(m)
	return 0
}
