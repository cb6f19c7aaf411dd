package group

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// consumer is a group of the newer protocol (KIP-848): the coordinator assigns,
// and every member moves towards its target by itself, heartbeat by heartbeat.
//
// The group's epoch grows whenever members or topics change. From it follows a
// target for every member. A member may take a partition only when nobody else
// holds it any more, so it first gives up what is not in its target, says so,
// and then gets what others have given up.
type consumer struct {
	s *State
	g *Group

	epoch       int32 // of the group
	targetEpoch int32 // of the group, when the targets were computed
	members     map[string]*consumerMember
	static      map[string]string            // instance id -> member id
	owner       map[TopicID]map[int32]string // who holds a partition, or has not given it up yet
	patterns    map[string]*regexp.Regexp

	seen     int    // the world that shape was computed from
	shape    uint64 // a sum over the subscribed topics: names, ids, partitions
	shapeFor int32  // the epoch
}

// memberState is how far a member is on the way to its target.
type memberState string

const (
	memberStable memberState = "STABLE"
	unrevoked    memberState = "UNREVOKED_PARTITIONS"  // it still has what it shall give up
	unreleased   memberState = "UNRELEASED_PARTITIONS" // others still have what it shall get
)

// consumerMember is a member; it is also what is written down of it.
type consumerMember struct {
	ID         string       `json:"-"`
	Instance   *string      `json:"instance,omitempty"`
	Rack       *string      `json:"rack,omitempty"`
	ClientID   string       `json:"client"`
	ClientHost string       `json:"host"`
	Rebalance  int32        `json:"rebalance"` // ms
	Topics     []string     `json:"topics,omitempty"`
	Regex      string       `json:"regex,omitempty"`
	Assignor   string       `json:"assignor,omitempty"`
	Epoch      int32        `json:"epoch"`
	Previous   int32        `json:"previous"` // the epoch before
	State      memberState  `json:"state"`
	Assigned   partitionSet `json:"assigned,omitempty"`
	Revoking   partitionSet `json:"revoking,omitempty"`
	Target     partitionSet `json:"target,omitempty"`
	// Left is when a static member left for a while, in ms. Its session goes on
	// over a crash: nobody hears of it that could begin it anew.
	Left int64 `json:"left,omitempty"`
	// Classic is set for a member that still speaks the classic protocol.
	Classic *classicMember `json:"classic,omitempty"`
}

func newConsumer(s *State, g *Group) *consumer {
	return &consumer{
		s: s, g: g, members: map[string]*consumerMember{}, static: map[string]string{},
		owner: map[TopicID]map[int32]string{}, patterns: map[string]*regexp.Regexp{}, seen: -1,
	}
}

func (c *consumer) stateName() string {
	switch {
	case len(c.members) == 0:
		return "Empty"
	case c.epoch > c.targetEpoch:
		return "Assigning"
	}
	for _, m := range c.members {
		if m.State != memberStable || m.Epoch != c.targetEpoch {
			return "Reconciling"
		}
	}
	return "Stable"
}

func (c *consumer) subscribed(topic string) bool {
	for _, m := range c.members {
		if slices.Contains(m.Topics, topic) {
			return true
		}
		if p := c.pattern(m.Regex); p != nil && p.MatchString(topic) {
			return true
		}
	}
	return false
}

// pattern is a regular expression that a whole name must match; nil for none.
func (c *consumer) pattern(expr string) *regexp.Regexp {
	if expr == "" {
		return nil
	}
	if p, known := c.patterns[expr]; known {
		return p
	}
	p, err := wholeName(expr)
	if err != nil {
		return nil // was checked when it came
	}
	c.patterns[expr] = p
	return p
}

func wholeName(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err // before the brackets below can make sense of it
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

// session is how long a member may be silent, heartbeat how often it should
// tell of itself.
func (c *consumer) session() int64 {
	return c.s.groupMillis(c.g.id, "consumer.session.timeout.ms", c.s.config.ConsumerSessionTimeout)
}

func (c *consumer) interval() int64 {
	return c.s.groupMillis(c.g.id, "consumer.heartbeat.interval.ms", c.s.config.ConsumerHeartbeatInterval)
}

// listen begins the session of a member anew.
func (c *consumer) listen(m *consumerMember) {
	ms := c.session()
	if m.Classic != nil {
		ms = int64(m.Classic.Session)
	}
	c.s.after(ms, sessionTimer, c.g, m.ID)
}

func (c *consumer) fire(key timerKey) {
	m := c.members[key.member]
	if m == nil {
		return
	}
	switch key.kind {
	case sessionTimer:
		c.fence(m)
	case revokeTimer:
		if m.State == unrevoked {
			c.fence(m)
		}
	case joinTimer: // a classic member did not rejoin in time
		if m.Classic != nil {
			c.fence(m)
		}
	}
}

// fence throws a member out.
func (c *consumer) fence(m *consumerMember) {
	c.drop(m)
	if m.Classic == nil && c.onlyClassic() {
		c.downgrade()
		return
	}
	c.write()
}

// drop takes a member out; the group is another one without it.
func (c *consumer) drop(m *consumerMember) {
	c.hold(m, false)
	delete(c.members, m.ID)
	if m.Instance != nil && c.static[*m.Instance] == m.ID {
		delete(c.static, *m.Instance)
	}
	for _, kind := range []timerKind{sessionTimer, revokeTimer, joinTimer} {
		c.s.cancel(kind, c.g, m.ID)
	}
	c.s.write(Record{Key: ownKey(consumerMemberKeyVersion, c.g.id, m.ID)})
	c.epoch++
	if len(c.members) == 0 {
		c.g.retention(c.s.now + c.s.config.RetentionCheck.Milliseconds())
	}
}

func (c *consumer) put(m *consumerMember) {
	c.members[m.ID] = m
	if m.Instance != nil {
		c.static[*m.Instance] = m.ID
	}
	c.hold(m, true)
}

// hold notes whose the partitions of a member are, or that they are free.
func (c *consumer) hold(m *consumerMember, held bool) {
	for _, set := range []partitionSet{m.Assigned, m.Revoking} {
		for id, list := range set {
			for _, p := range list {
				switch {
				case held && c.owner[id] == nil:
					c.owner[id] = map[int32]string{p: m.ID}
				case held:
					c.owner[id][p] = m.ID
				case c.owner[id][p] == m.ID:
					delete(c.owner[id], p)
				}
			}
		}
	}
}

// ids are the members in the order of their ids.
func (c *consumer) ids() []string { return slices.Sorted(maps.Keys(c.members)) }

// write writes the group down.
func (c *consumer) write() { c.s.write(c.record()) }

type consumerValue struct {
	Epoch       int32  `json:"epoch"`
	TargetEpoch int32  `json:"target"`
	Shape       uint64 `json:"shape"`
}

func (c *consumer) record() Record {
	return Record{ownKey(consumerKeyVersion, c.g.id), ownValue(consumerValue{c.epoch, c.targetEpoch, c.shape})}
}

func (c *consumer) writeMember(m *consumerMember) {
	c.s.write(Record{ownKey(consumerMemberKeyVersion, c.g.id, m.ID), ownValue(m)})
}

func (c *consumer) tombstone() {
	for _, id := range c.ids() {
		c.s.write(Record{Key: ownKey(consumerMemberKeyVersion, c.g.id, id)})
	}
	c.s.write(Record{Key: ownKey(consumerKeyVersion, c.g.id)})
}

// toClassic makes a group without members a classic one.
func (g *Group) toClassic() {
	if g.consumer == nil {
		return
	}
	g.consumer.tombstone()
	g.becomeClassic()
}

func (g *Group) becomeClassic() {
	g.consumer, g.share = nil, nil
	g.classic = &classic{s: g.s, g: g, since: g.s.now}
	g.classic.clear()
}

// toConsumer makes a classic group without members one of the newer protocol.
func (g *Group) toConsumer() {
	if g.classic == nil {
		return
	}
	if !g.classic.pristine() {
		g.s.write(Record{Key: groupKey(g.id)})
	}
	for id := range g.classic.given {
		g.s.cancel(pendingTimer, g, id)
	}
	g.s.cancel(joinTimer, g, "")
	g.s.cancel(syncTimer, g, "")
	g.classic = nil
	g.consumer = newConsumer(g.s, g)
}

func (s *State) replayConsumer(key, value []byte) error {
	var id string
	if err := readOwnKey(key, &id); err != nil {
		return err
	}
	g := s.existing(id)
	if value == nil {
		if g.consumer != nil {
			g.becomeClassic()
		}
		return nil
	}
	var v consumerValue
	if err := readOwnValue(value, &v); err != nil {
		return err
	}
	g.replayAsConsumer()
	g.consumer.epoch, g.consumer.targetEpoch, g.consumer.shape = v.Epoch, v.TargetEpoch, v.Shape
	return nil
}

func (g *Group) replayAsConsumer() {
	if g.consumer == nil {
		g.classic, g.share = nil, nil
		g.consumer = newConsumer(g.s, g)
	}
}

func (s *State) replayConsumerMember(key, value []byte) error {
	var id, name string
	if err := readOwnKey(key, &id, &name); err != nil {
		return err
	}
	g := s.existing(id)
	if g.consumer != nil {
		if old := g.consumer.members[name]; old != nil {
			g.consumer.hold(old, false)
			delete(g.consumer.members, name)
			if old.Instance != nil && g.consumer.static[*old.Instance] == name {
				delete(g.consumer.static, *old.Instance)
			}
		}
	}
	if value == nil {
		return nil
	}
	m := &consumerMember{ID: name}
	if err := readOwnValue(value, m); err != nil {
		return err
	}
	g.replayAsConsumer()
	g.consumer.put(m)
	return nil
}

// loaded begins the sessions of all members.
func (c *consumer) loaded() {
	for _, m := range c.members {
		c.hold(m, true) // a later record of another member may have said less
		c.listen(m)
		if m.Epoch == leavingAWhile && m.Left > 0 {
			until := max(m.Left+c.session(), c.s.now)
			c.s.timers.set(timerKey{sessionTimer, c.g.id, m.ID}, until)
		}
		if m.State == unrevoked {
			c.s.after(int64(m.Rebalance), revokeTimer, c.g, m.ID)
		}
	}
}

// mayCommit says why a member may not commit offsets.
func (c *consumer) mayCommit(from committer) int16 {
	if from.generation < 0 && (len(c.members) == 0 || from.txn && from.member == "") {
		return 0
	}
	m := c.members[from.member]
	switch {
	case m == nil:
		return kerr.UnknownMemberID.Code
	case m.Classic == nil && !from.txn && from.version < 9:
		return kerr.UnsupportedVersion.Code
	case from.generation == m.Epoch:
		return 0
	case m.Classic != nil:
		return kerr.IllegalGeneration.Code
	}
	return kerr.StaleMemberEpoch.Code
}

// mayFetch says why a member may not fetch offsets. Whoever is no member may.
func (c *consumer) mayFetch(member *string, epoch int32) int16 {
	if (member == nil || *member == "") && epoch < 0 {
		return 0
	}
	m := c.members[value(member)]
	switch {
	case m == nil:
		return kerr.UnknownMemberID.Code
	case epoch == m.Epoch:
		return 0
	case m.Classic != nil:
		return kerr.IllegalGeneration.Code
	}
	return kerr.StaleMemberEpoch.Code
}

// topicsOf are the topics that a member reads and that exist, by name.
func (c *consumer) topicsOf(m *consumerMember) []Topic {
	found := map[string]Topic{}
	for _, name := range m.Topics {
		if t, known := c.s.world.Topic(name); known {
			found[name] = t
		}
	}
	if p := c.pattern(m.Regex); p != nil {
		for t := range c.s.world.Topics() {
			if p.MatchString(t.Name) {
				found[t.Name] = t
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
}
