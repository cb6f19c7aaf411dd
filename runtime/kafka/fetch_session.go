package kafka

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/consumer"
	"github.com/sluicehq/sluice/persistence/record"
)

// Sessions of fetches (KIP-227). A client that fetches many partitions names
// them once; from then on it sends what it wants changed, and is answered only
// about partitions of which there is something new.
//
//	id 0, epoch -1   no session is wanted; with an id, that one ends
//	id 0, epoch 0    begin one, here are all partitions; with an id, in its place
//	id, epoch n > 0  the n-th change of session id
type sessions struct {
	mu    sync.Mutex
	max   int
	byID  map[int32]*session
	clock func() time.Time
}

// session is what one client fetches.
type session struct {
	id int32
	// What follows is protected by sessions.mu.
	epoch    int32 // of the next request
	used     time.Time
	topicIDs bool
	// parts are in the order in which they are served: those that had records
	// go to the end.
	parts  []*fetchPart
	index  map[partKey]*fetchPart
	topics map[topicKey]*fetchTopic
	busy   bool // a request of the session is on its way
	spare  []*fetchPart
}

// fetchTopic is a topic as a client names it: by name or, from version 13 on,
// by id.
type fetchTopic struct {
	key  topicKey
	name string // known also of one that was named by its id, if it exists
	id   [16]byte
}

type topicKey struct {
	name string
	id   [16]byte
}

type partKey struct {
	topic topicKey
	index int32
}

// fetchPart is one partition of a fetch.
type fetchPart struct {
	topic        *fetchTopic
	index        int32
	offset       int64
	maxBytes     int32
	currentEpoch int32
	lastEpoch    int32

	// What the client knows.
	highWatermark, logStart record.Offset
	told                    bool // the answer speaks of it
	served                  bool // and had records
}

const (
	noSession    = 0
	initialEpoch = 0
	finalEpoch   = -1

	// sessionIdle is after which time a session may make room for a new one.
	sessionIdle = 2 * time.Minute
	// sessionPartsMax bounds the partitions of one session.
	sessionPartsMax = 1 << 16
)

func newSessions(most int) *sessions {
	return &sessions{max: most, byID: map[int32]*session{}, clock: time.Now}
}

// fetchContext is what one request is about.
type fetchContext struct {
	all     *sessions
	session *session // nil: none
	full    bool     // everything is answered
	parts   []*fetchPart
}

// context finds or begins the session of req. The code is for the whole answer.
func (s *sessions) context(req *kmsg.FetchRequest, version int16) (*fetchContext, int16) {
	if version < 7 || req.SessionEpoch == finalEpoch {
		s.end(req.SessionID)
		return &fetchContext{all: s, full: true, parts: listed(req)}, 0
	}
	if req.SessionEpoch == initialEpoch {
		s.end(req.SessionID)
		n := newSession(version)
		n.change(req)
		c := &fetchContext{all: s, full: true, parts: n.parts}
		if len(n.parts) > 0 && len(n.parts) <= sessionPartsMax && s.begin(n) {
			c.session = n
		}
		return c, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[req.SessionID]
	switch {
	case n == nil:
		return nil, kerr.FetchSessionIDNotFound.Code
	case n.busy, n.epoch != req.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch.Code
	case n.topicIDs != (version >= 13):
		return nil, kerr.FetchSessionTopicIDError.Code
	}
	n.change(req)
	if len(n.parts) > sessionPartsMax {
		delete(s.byID, n.id)
		return nil, kerr.FetchSessionIDNotFound.Code
	}
	n.used = s.clock()
	c := &fetchContext{all: s, session: n, parts: n.parts}
	if len(n.parts) == 0 {
		delete(s.byID, n.id)
		c.session, c.full = nil, true
		return c, 0
	}
	n.advance()
	return c, 0
}

// listed are the partitions of a request that has no session.
func listed(req *kmsg.FetchRequest) []*fetchPart {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	all, list := make([]fetchPart, n), make([]*fetchPart, 0, n)
	for i := range req.Topics {
		t := &req.Topics[i]
		topic := &fetchTopic{name: t.Topic, id: t.TopicID}
		for j := range t.Partitions {
			p := &all[len(list)]
			p.topic, p.index = topic, t.Partitions[j].Partition
			p.take(&t.Partitions[j])
			list = append(list, p)
		}
	}
	return list
}

// take is what a request says of p.
func (p *fetchPart) take(q *kmsg.FetchRequestTopicPartition) {
	p.offset, p.maxBytes, p.currentEpoch, p.lastEpoch = q.FetchOffset, q.PartitionMaxBytes, q.CurrentLeaderEpoch, q.LastFetchedEpoch
}

func newSession(version int16) *session {
	return &session{topicIDs: version >= 13, index: map[partKey]*fetchPart{}, topics: map[topicKey]*fetchTopic{}}
}

// advance says that a request is on its way, and which comes after it.
func (n *session) advance() {
	n.busy = true
	if n.epoch++; n.epoch <= 0 {
		n.epoch = 1
	}
}

// begin gives n an id, if there is room for it.
func (s *sessions) begin(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if len(s.byID) >= s.max && !s.evict(now) {
		return false
	}
	for n.id == noSession || s.byID[n.id] != nil {
		n.id = rand.Int32()
	}
	n.used, n.epoch = now, initialEpoch
	n.advance()
	s.byID[n.id] = n
	return true
}

// evict ends the session that nobody has used for the longest time, if that is
// long enough.
func (s *sessions) evict(now time.Time) bool {
	var oldest *session
	for _, n := range s.byID {
		if !n.busy && (oldest == nil || n.used.Before(oldest.used)) {
			oldest = n
		}
	}
	if oldest == nil || now.Sub(oldest.used) < sessionIdle {
		return false
	}
	delete(s.byID, oldest.id)
	return true
}

func (s *sessions) end(id int32) {
	if id == noSession {
		return
	}
	s.mu.Lock()
	delete(s.byID, id)
	s.mu.Unlock()
}

// change takes over what req says of partitions.
func (n *session) change(req *kmsg.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		topic := n.topic(t.Topic, t.TopicID)
		for j := range t.Partitions {
			n.want(topic, &t.Partitions[j])
		}
	}
	forgotten := false
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, index := range t.Partitions {
			key := partKey{topicKey{t.Topic, t.TopicID}, index}
			if n.index[key] != nil {
				n.index[key].topic = nil
				delete(n.index, key)
				forgotten = true
			}
		}
	}
	if !forgotten {
		return
	}
	n.parts = slices.DeleteFunc(n.parts, func(p *fetchPart) bool { return p.topic == nil })
	clear(n.topics)
	for _, p := range n.parts {
		n.topics[p.topic.key] = p.topic
	}
}

func (n *session) topic(name string, id [16]byte) *fetchTopic {
	key := topicKey{name, id}
	t := n.topics[key]
	if t == nil {
		t = &fetchTopic{key: key, name: name, id: id}
		n.topics[key] = t
	}
	return t
}

func (n *session) want(topic *fetchTopic, q *kmsg.FetchRequestTopicPartition) {
	key := partKey{topic.key, q.Partition}
	p := n.index[key]
	if p == nil {
		p = &fetchPart{topic: topic, index: q.Partition, highWatermark: -1, logStart: -1}
		n.index[key] = p
		n.parts = append(n.parts, p)
	}
	p.take(q)
}

// sessionID is what the client is told.
func (c *fetchContext) sessionID() int32 {
	if c.session == nil {
		return noSession
	}
	return c.session.id
}

// settle notes what the client knows after the answer, and which partitions it
// speaks of.
func (c *fetchContext) settle(results []consumer.Result) {
	for i, p := range c.parts {
		p.told = p.news(&results[i]) || c.full
		p.served = len(results[i].Records) > 0
	}
}

// news says whether r is more than the client knows.
func (p *fetchPart) news(r *consumer.Result) bool {
	if r.Err != nil {
		p.highWatermark = -1 // so that its recovery is news
		return true
	}
	changed := len(r.Records) > 0 || r.Diverging != nil || r.HighWatermark != p.highWatermark || r.LogStart != p.logStart
	p.highWatermark, p.logStart = r.HighWatermark, r.LogStart
	return changed
}

// run counts the partitions of one topic that are told together from i on.
func (c *fetchContext) run(i int) int {
	n, topic := 0, c.parts[i].topic
	for _, p := range c.parts[i:] {
		switch {
		case !p.told:
		case p.topic != topic:
			return n
		default:
			n++
		}
	}
	return n
}

// close ends the request. The partitions that had records go to the end, so
// that others come first the next time.
func (c *fetchContext) close() {
	n := c.session
	if n == nil {
		return
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	n.busy = false
	if len(n.parts) < 2 {
		return
	}
	n.spare = n.spare[:0]
	kept := n.parts[:0]
	for _, p := range n.parts {
		if p.served {
			n.spare = append(n.spare, p)
		} else {
			kept = append(kept, p)
		}
	}
	n.parts = append(kept, n.spare...)
}
