package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// State is all that one coordinator knows: its groups, their offsets and what
// is due when. It does nothing by itself: Step takes an input and tells what to
// answer and what to write. What Step tells to write it takes for written; when
// the log refuses, the state is worthless and has to be read anew.
//
// A State reads no clock, has no goroutine and no randomness of its own, and
// the same inputs give the same outputs.
type State struct {
	config Config
	newID  func() string // a fresh unique id
	world  World
	worlds int // how many worlds there have been

	groups map[string]*Group
	// byTopic are the groups with offsets of a topic, so that the end of a topic
	// finds them.
	byTopic map[string]map[*Group]bool
	// byProducer are the groups with offsets in a producer's open transaction.
	byProducer map[int64]map[*Group]bool
	commits    uint64 // offset commits so far: their order

	timers timers
	now    int64
	out    Output
}

// Output is what follows from an input.
type Output struct {
	// Records are to be appended as one batch, before the answers go out.
	Records []Record
	// Txn is set where the batch belongs to a transaction. Its records are not
	// taken over yet: Replay them when they are committed.
	Txn     *Txn
	Answers []Answer
}

// Record is one record for the log; a nil Value takes an earlier one back.
type Record struct{ Key, Value []byte }

// Txn is the producer whose transaction a batch belongs to.
type Txn struct {
	Producer int64
	Epoch    int16
}

// Answer is the answer to a request.
type Answer struct {
	Request  *Request
	Response kmsg.Response
}

// Group is one group. It is of exactly one type: one of classic, consumer and
// share is set.
type Group struct {
	s        *State
	id       string
	classic  *classic
	consumer *consumer
	share    *share

	offsets map[topicPartition]*commit
	// pending are offsets of transactions that are not decided, by producer.
	pending map[int64]map[topicPartition]*commit
}

type topicPartition struct {
	topic     string
	partition int32
}

// NewState returns the state of a coordinator without groups.
func NewState(config Config, world World, newID func() string) *State {
	return &State{
		config: config, newID: newID, world: world,
		groups: map[string]*Group{}, byTopic: map[string]map[*Group]bool{},
		byProducer: map[int64]map[*Group]bool{}, timers: newTimers(),
	}
}

// Step takes an input at a time in ms: a *Request, a Marker, a World or a Tick.
func (s *State) Step(now int64, in any) Output {
	s.now, s.out = max(now, s.now), Output{}
	switch in := in.(type) {
	case *Request:
		s.handle(in)
	case Marker:
		s.complete(in.Producer, in.Commit)
	case World:
		s.observe(in)
	case Tick:
		if key, due := s.timers.pop(s.now); due {
			s.fire(key)
		}
	}
	return s.out
}

// Next is when a Tick is wanted.
func (s *State) Next() (at int64, wanted bool) { return s.timers.next() }

// Parked are the requests that wait for something to happen.
func (s *State) Parked() []*Request {
	var list []*Request
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if c := s.groups[id].classic; c != nil {
			list = append(list, c.parked()...)
		}
	}
	return list
}

func (s *State) handle(r *Request) {
	switch b := r.Body.(type) {
	case *kmsg.JoinGroupRequest:
		s.joinGroup(r, b)
	case *kmsg.SyncGroupRequest:
		s.syncGroup(r, b)
	case *kmsg.HeartbeatRequest:
		s.heartbeat(r, b)
	case *kmsg.LeaveGroupRequest:
		s.leaveGroup(r, b)
	case *kmsg.OffsetCommitRequest:
		s.offsetCommit(r, b)
	case *kmsg.TxnOffsetCommitRequest:
		s.txnOffsetCommit(r, b)
	case *kmsg.OffsetFetchRequest:
		s.offsetFetch(r, b)
	case *kmsg.OffsetDeleteRequest:
		s.offsetDelete(r, b)
	case *kmsg.DescribeGroupsRequest:
		s.describeGroups(r, b)
	case *kmsg.ListGroupsRequest:
		s.listGroups(r, b)
	case *kmsg.DeleteGroupsRequest:
		s.deleteGroups(r, b)
	case *kmsg.ConsumerGroupHeartbeatRequest:
		s.consumerHeartbeat(r, b)
	case *kmsg.ConsumerGroupDescribeRequest:
		s.consumerDescribe(r, b)
	case *kmsg.ShareGroupHeartbeatRequest:
		s.shareHeartbeat(r, b)
	case *kmsg.ShareGroupDescribeRequest:
		s.shareDescribe(r, b)
	case *kmsg.ReadShareGroupStateRequest:
		s.readShareState(r, b)
	case *kmsg.WriteShareGroupStateRequest:
		s.writeShareState(r, b)
	case *kmsg.DescribeShareGroupOffsetsRequest:
		s.describeShareOffsets(r, b)
	case *kmsg.AlterShareGroupOffsetsRequest:
		s.alterShareOffsets(r, b)
	case *kmsg.DeleteShareGroupOffsetsRequest:
		s.deleteShareOffsets(r, b)
	default:
		s.answer(r, refuse(r.Body, kerr.UnsupportedVersion.Code))
	}
}

func (s *State) fire(key timerKey) {
	g := s.groups[key.group]
	if g == nil {
		return
	}
	switch {
	case key.kind == retentionTimer:
		s.expireOffsets(g)
	case g.classic != nil:
		g.classic.fire(key)
	case g.consumer != nil:
		g.consumer.fire(key)
	case g.share != nil:
		g.share.fire(key)
	}
}

// observe takes note of another world: the offsets of topics that are gone go
// with them.
func (s *State) observe(w World) {
	s.world = w
	s.worlds++
	for _, topic := range slices.Sorted(maps.Keys(s.byTopic)) {
		now, exists := w.Topic(topic)
		for _, g := range s.sorted(s.byTopic[topic]) {
			g.dropTopic(topic, now, exists)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if c := s.groups[id].share; c != nil {
			c.dropGone()
		}
	}
}

func (s *State) sorted(set map[*Group]bool) []*Group {
	return slices.SortedFunc(maps.Keys(set), func(a, b *Group) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

func (s *State) answer(r *Request, resp kmsg.Response) {
	s.out.Answers = append(s.out.Answers, Answer{r, resp})
}

func (s *State) write(records ...Record) { s.out.Records = append(s.out.Records, records...) }

// group returns the group called id, nil when there is none.
func (s *State) group(id string) *Group { return s.groups[id] }

// create makes a classic group without members.
func (s *State) create(id string) *Group {
	g := &Group{s: s, id: id, offsets: map[topicPartition]*commit{}, pending: map[int64]map[topicPartition]*commit{}}
	g.classic = &classic{s: s, g: g, since: s.now}
	g.classic.clear()
	s.groups[id] = g
	return g
}

// settle forgets a group that a request made and nothing came of.
func (s *State) settle(g *Group) {
	pristine := g.classic != nil && g.classic.pristine() ||
		g.consumer != nil && g.consumer.epoch == 0 && len(g.consumer.members) == 0 ||
		g.share != nil && g.share.epoch == 0 && len(g.share.members) == 0
	if pristine && len(g.offsets) == 0 && len(g.pending) == 0 {
		s.cancel(retentionTimer, g, "")
		delete(s.groups, g.id)
	}
}

func (s *State) after(ms int64, kind timerKind, g *Group, member string) {
	s.timers.set(timerKey{kind, g.id, member}, s.now+ms)
}

func (s *State) cancel(kind timerKind, g *Group, member string) {
	s.timers.cancel(timerKey{kind, g.id, member})
}

// typeName is what Kafka calls the type of the group.
func (g *Group) typeName() string {
	switch {
	case g.consumer != nil:
		return "Consumer"
	case g.share != nil:
		return "Share"
	}
	return "Classic"
}

func (g *Group) stateName() string {
	switch {
	case g.consumer != nil:
		return g.consumer.stateName()
	case g.share != nil:
		return g.share.stateName()
	}
	return string(g.classic.state)
}

func (g *Group) protocolType() string {
	switch {
	case g.consumer != nil:
		return "consumer"
	case g.share != nil:
		return "share"
	}
	return g.classic.protocolType
}

func (g *Group) size() int {
	switch {
	case g.consumer != nil:
		return len(g.consumer.members)
	case g.share != nil:
		return len(g.share.members)
	}
	return len(g.classic.members)
}

// subscribed says whether a member reads the topic. Where that cannot be told
// it is taken for true.
func (g *Group) subscribed(topic string) bool {
	switch {
	case g.consumer != nil:
		return g.consumer.subscribed(topic)
	case g.share != nil:
		return g.share.subscribed(topic)
	}
	return g.classic.subscribed(topic)
}

// response is the empty answer to r, of its version.
func response[R kmsg.Response](r *Request) R { return r.Body.ResponseKind().(R) }

func ptr[T any](v T) *T { return &v }

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
