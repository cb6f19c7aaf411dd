package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicState is the state of a classic group, by the name that Kafka shows.
type classicState string

const (
	empty      classicState = "Empty"
	preparing  classicState = "PreparingRebalance"  // members rejoin
	completing classicState = "CompletingRebalance" // members wait for the leader's assignment
	stable     classicState = "Stable"
)

// newMemberTimeout is how long a member that does not know its id yet may wait
// in a rebalance. Nobody hears its heartbeats.
const newMemberTimeout = 5 * 60 * 1000

// classic is a group in which a member, the leader, assigns.
type classic struct {
	s *State
	g *Group

	state  classicState
	before classicState // what it was before preparing
	since  int64        // ms, of state

	generation   int32
	protocolType string
	protocol     string // chosen for this generation
	leader       string
	members      map[string]*member
	order        []string          // ids of members in the order they came
	static       map[string]string // instance id -> member id
	// topics are what the members subscribe to; nil when that cannot be told.
	topics map[string]bool

	given    map[string]bool // member ids that were given out and not used yet
	unsynced map[string]bool // members that have not fetched their assignment
	// grew and remaining are of the first rebalance, which waits a little longer
	// whenever somebody joins.
	grew      bool
	remaining int64

	// shrunk says that a member is gone whom the log still has; unfinished, of a
	// group as the log tells it, that such a member was taken out of it.
	shrunk, unfinished bool
}

// member is a member of a classic group.
type member struct {
	id         string
	instance   *string
	clientID   string
	clientHost string
	session    int32 // ms
	rebalance  int32 // ms
	protocols  []kmsg.JoinGroupRequestProtocol
	assignment []byte
	fresh      bool // has not heard of its id yet
	noted      bool // is in the log
	join       *Request
	sync       *Request
}

// clear makes a group without members.
func (c *classic) clear() {
	c.state = empty
	c.members, c.static = map[string]*member{}, map[string]string{}
	c.given, c.unsynced = map[string]bool{}, map[string]bool{}
	c.order = nil
}

// pristine says that nothing has ever happened in the group.
func (c *classic) pristine() bool {
	return c.state == empty && c.generation == 0 && len(c.members) == 0 && len(c.given) == 0
}

func (c *classic) become(state classicState) {
	if c.state != state {
		c.before, c.state, c.since = c.state, state, c.s.now
	}
}

func (c *classic) parked() []*Request {
	var list []*Request
	for _, id := range c.order {
		m := c.members[id]
		if m.join != nil {
			list = append(list, m.join)
		}
		if m.sync != nil {
			list = append(list, m.sync)
		}
	}
	return list
}

func (c *classic) fire(key timerKey) {
	switch key.kind {
	case pendingTimer:
		c.forgetGiven(key.member)
	case sessionTimer:
		c.silent(key.member)
	case joinTimer:
		c.joinedLongEnough()
	case syncTimer:
		c.syncedLongEnough()
	}
}

// silent takes out a member that has not been heard of for its session.
func (c *classic) silent(id string) {
	m := c.members[id]
	if m == nil || !m.fresh && (m.join != nil || m.sync != nil) {
		return // it waits for us; its session begins again with the answer
	}
	c.remove(id, kerr.UnknownMemberID.Code)
}

// forgetGiven takes back a member id that nobody came with.
func (c *classic) forgetGiven(id string) {
	if !c.given[id] {
		return
	}
	delete(c.given, id)
	c.s.cancel(pendingTimer, c.g, id)
	if c.state == preparing {
		c.completeIfAllJoined()
	}
	c.s.settle(c.g)
}

// listen begins the session of a member anew.
func (c *classic) listen(m *member) {
	c.s.after(int64(m.session), sessionTimer, c.g, m.id)
}

func (c *classic) add(m *member) {
	if len(c.members) == 0 {
		c.leader = m.id
	}
	c.members[m.id] = m
	c.order = append(c.order, m.id)
	if m.instance != nil {
		c.static[*m.instance] = m.id
	}
	delete(c.given, m.id)
	c.s.cancel(pendingTimer, c.g, m.id)
}

// drop takes a member out without looking at what that means for the others.
// What it waits for is answered with code.
func (c *classic) drop(m *member, code int16) {
	c.answerJoin(m, code)
	c.answerSync(m, code)
	delete(c.members, m.id)
	delete(c.unsynced, m.id)
	c.shrunk = c.shrunk || m.noted
	c.order = slices.DeleteFunc(c.order, func(id string) bool { return id == m.id })
	if m.instance != nil && c.static[*m.instance] == m.id {
		delete(c.static, *m.instance)
	}
	c.s.cancel(sessionTimer, c.g, m.id)
	if c.leader == m.id {
		c.leader = ""
		if len(c.order) > 0 {
			c.leader = c.order[0]
		}
	}
}

// remove takes a member out and rebalances among the others.
func (c *classic) remove(id string, code int16) {
	c.drop(c.members[id], code)
	c.left()
}

// left goes on without members that have been dropped.
func (c *classic) left() {
	switch c.state {
	case stable, completing:
		c.rebalance()
	case preparing:
		c.completeIfAllJoined()
	}
	if c.shrunk && len(c.members) <= shrunkMax {
		c.noteShrunk()
	}
}

// shrunkMax is how many members a group may have that is written down whenever
// one leaves. With more of them that would be too much to write: when all of a
// thousand leave one by one, half a million.
const shrunkMax = 100

// note writes the group down as it is.
func (c *classic) note() {
	for _, m := range c.members {
		m.noted = true
	}
	c.shrunk = false
	c.s.write(groupRecord(c, c.leader))
}

// noteShrunk writes down who is left of those the log has. Otherwise those who
// have gone would be back after a crash, with whole sessions, and every
// rebalance would wait for them. Without a leader the record says that the
// generation is over.
func (c *classic) noteShrunk() {
	c.shrunk = false
	c.s.write(groupRecord(c, ""))
}

func (c *classic) answerJoin(m *member, code int16) {
	if m.join != nil {
		c.s.joinError(m.join, m.id, code)
		m.join = nil
	}
}

func (c *classic) answerSync(m *member, code int16) {
	if m.sync != nil {
		resp := response[*kmsg.SyncGroupResponse](m.sync)
		resp.ErrorCode = code
		c.s.answer(m.sync, resp)
		m.sync = nil
	}
}

// rebalanceTimeout is that of the slowest member.
func (c *classic) rebalanceTimeout() int64 {
	var ms int64
	for _, m := range c.members {
		ms = max(ms, int64(m.rebalance))
	}
	return ms
}

// rebalance begins a rebalance unless one has begun.
func (c *classic) rebalance() {
	if c.state == preparing {
		c.completeIfAllJoined()
		return
	}
	if c.state == completing {
		for _, id := range c.order {
			m := c.members[id]
			m.assignment = nil
			c.answerSync(m, kerr.RebalanceInProgress.Code)
			c.listen(m)
		}
	}
	clear(c.unsynced)
	c.s.cancel(syncTimer, c.g, "")
	c.become(preparing)
	if c.before == empty {
		delay := c.s.config.InitialRebalanceDelay.Milliseconds()
		c.remaining = max(c.rebalanceTimeout()-delay, 0)
		c.s.after(delay, joinTimer, c.g, "")
		return
	}
	c.s.after(c.rebalanceTimeout(), joinTimer, c.g, "")
	c.completeIfAllJoined()
}

// completeIfAllJoined ends the joining when nobody is missing. The first
// rebalance of a group always waits for its delay.
func (c *classic) completeIfAllJoined() {
	if c.state != preparing || c.before == empty && len(c.members) > 0 || len(c.given) > 0 {
		return
	}
	for _, m := range c.members {
		if m.join == nil {
			return
		}
	}
	c.completeJoin()
}

// joinedLongEnough ends the joining. The first rebalance waits once more when
// somebody has joined meanwhile.
func (c *classic) joinedLongEnough() {
	if c.state != preparing {
		return
	}
	if c.before == empty && c.grew && c.remaining > 0 {
		c.grew = false
		delay := min(c.s.config.InitialRebalanceDelay.Milliseconds(), c.remaining)
		c.remaining -= delay
		c.s.after(delay, joinTimer, c.g, "")
		return
	}
	c.completeJoin()
}

// completeJoin begins the next generation with those who have joined. Members
// with an instance id keep their place until their session ends.
func (c *classic) completeJoin() {
	for _, id := range slices.Clone(c.order) {
		if m := c.members[id]; m.join == nil && m.instance == nil {
			c.drop(m, kerr.UnknownMemberID.Code)
		}
	}
	if len(c.members) > 0 && !c.electLeader() {
		c.s.after(c.rebalanceTimeout(), joinTimer, c.g, "") // nobody is here to assign
		return
	}
	c.s.cancel(joinTimer, c.g, "")
	c.grew = false
	c.generation++
	if len(c.members) == 0 {
		c.becomeEmpty()
		return
	}
	c.protocol = c.chooseProtocol()
	c.topics = c.subscriptions()
	c.become(completing)
	for _, id := range c.order {
		m := c.members[id]
		c.unsynced[id] = true
		if m.join != nil {
			c.answerJoined(m)
		}
		c.listen(m)
		m.fresh = false
	}
	c.s.after(c.rebalanceTimeout(), syncTimer, c.g, "")
	c.s.timers.atMost(timerKey{retentionTimer, c.g.id, ""}, c.s.now+c.s.config.RetentionCheck.Milliseconds())
}

func (c *classic) becomeEmpty() {
	c.protocol, c.leader, c.topics = "", "", nil
	c.become(empty)
	c.note()
	c.s.timers.atMost(timerKey{retentionTimer, c.g.id, ""}, c.s.now+c.s.config.RetentionCheck.Milliseconds())
}

// electLeader makes sure that the leader is one who has joined.
func (c *classic) electLeader() bool {
	if m := c.members[c.leader]; m != nil && m.join != nil {
		return true
	}
	for _, id := range c.order {
		if c.members[id].join != nil {
			c.leader = id
			return true
		}
	}
	return false
}

// answerJoined tells a member of the generation; the leader hears of everybody.
func (c *classic) answerJoined(m *member) {
	resp := c.joined(m)
	if m.id == c.leader {
		resp.Members = c.everybody()
	}
	c.s.answer(m.join, resp)
	m.join = nil
}

func (c *classic) joined(m *member) *kmsg.JoinGroupResponse {
	resp := response[*kmsg.JoinGroupResponse](m.join)
	resp.Generation, resp.LeaderID, resp.MemberID = c.generation, c.leader, m.id
	resp.ProtocolType, resp.Protocol = ptr(c.protocolType), ptr(c.protocol)
	return resp
}

func (c *classic) everybody() []kmsg.JoinGroupResponseMember {
	list := make([]kmsg.JoinGroupResponseMember, 0, len(c.order))
	for _, id := range c.order {
		m := c.members[id]
		entry := kmsg.NewJoinGroupResponseMember()
		entry.MemberID, entry.InstanceID, entry.ProtocolMetadata = id, m.instance, m.metadata(c.protocol)
		list = append(list, entry)
	}
	return list
}

// syncedLongEnough takes out the members that never fetched their assignment.
func (c *classic) syncedLongEnough() {
	if len(c.unsynced) == 0 || c.state != completing && c.state != stable {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.unsynced)) {
		if m := c.members[id]; m != nil && m.sync == nil {
			c.drop(m, kerr.UnknownMemberID.Code)
		}
	}
	c.left()
}
