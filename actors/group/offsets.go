package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit is one committed offset.
type commit struct {
	offset   int64
	epoch    int32 // the leader's, as the client knew it; -1: it did not say
	metadata string
	at       int64 // ms
	expires  int64 // ms, where the client asked for it; -1: by the group's rules
	topicID  TopicID
	order    uint64 // in the log: the later of two counts
}

// retention makes sure that the group is looked at when its offsets may expire.
func (g *Group) retention(at int64) {
	g.s.timers.atMost(timerKey{retentionTimer, g.id, ""}, at)
}

// commit writes an offset down and takes it over.
func (g *Group) commit(tp topicPartition, c *commit) {
	g.s.write(offsetRecord(g.id, tp, c))
	g.s.commits++
	c.order = g.s.commits
	g.put(tp, c)
}

func (g *Group) put(tp topicPartition, c *commit) {
	g.offsets[tp] = c
	index(g.s.byTopic, tp.topic, g)
	at := c.at + g.s.config.OffsetsRetention.Milliseconds()
	if c.expires >= 0 {
		at = c.expires
	}
	g.retention(at)
}

// forget drops an offset; the caller writes that down.
func (g *Group) forget(tp topicPartition) {
	delete(g.offsets, tp)
	for other := range g.offsets {
		if other.topic == tp.topic {
			return
		}
	}
	unindex(g.s.byTopic, tp.topic, g)
}

func index[K comparable](set map[K]map[*Group]bool, key K, g *Group) {
	if set[key] == nil {
		set[key] = map[*Group]bool{}
	}
	set[key][g] = true
}

func unindex[K comparable](set map[K]map[*Group]bool, key K, g *Group) {
	delete(set[key], g)
	if len(set[key]) == 0 {
		delete(set, key)
	}
}

// partitions are the partitions with an offset, in their order.
func partitions(m map[topicPartition]*commit) []topicPartition {
	return slices.SortedFunc(maps.Keys(m), func(a, b topicPartition) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition) - int(b.partition)
	})
}

// dropTopic drops the offsets of a topic that is gone, or that is another one
// of the same name now.
func (g *Group) dropTopic(name string, now Topic, exists bool) {
	for _, tp := range partitions(g.offsets) {
		c := g.offsets[tp]
		if tp.topic == name && (!exists || c.topicID != TopicID{} && c.topicID != now.ID) {
			g.s.write(Record{Key: offsetKey(g.id, tp)})
			g.forget(tp)
		}
	}
	for _, set := range g.pending {
		for tp := range set {
			if tp.topic == name && !exists {
				delete(set, tp)
			}
		}
	}
}

// expireOffsets drops the offsets whose time has come, and the group with the
// last of them when nobody is in it.
func (s *State) expireOffsets(g *Group) {
	next := int64(-1)
	for _, tp := range partitions(g.offsets) {
		at, may := g.expiry(tp, g.offsets[tp])
		if may && at <= s.now {
			s.write(Record{Key: offsetKey(g.id, tp)})
			g.forget(tp)
			continue
		}
		if !may {
			// Not before the group changes, and that sets a timer where it must.
			at = s.now + s.config.OffsetsRetention.Milliseconds()
		}
		if next < 0 || at < next {
			next = at
		}
	}
	switch {
	case len(g.offsets) == 0 && len(g.pending) == 0 && g.size() == 0 && g.idle():
		s.remove(g)
	case next >= 0:
		g.retention(next)
	}
}

// idle says that nobody is about to join a group without members.
func (g *Group) idle() bool { return g.classic == nil || len(g.classic.given) == 0 }

// expiry is when an offset expires; false while the group still reads there.
func (g *Group) expiry(tp topicPartition, c *commit) (at int64, may bool) {
	for _, set := range g.pending {
		if set[tp] != nil {
			return 0, false
		}
	}
	keep := g.s.config.OffsetsRetention.Milliseconds()
	from := c.at
	switch k := g.classic; {
	case k == nil:
		if g.size() > 0 && g.subscribed(tp.topic) {
			return 0, false
		}
	case k.state == empty && k.protocolType != "":
		from = k.since
	case k.state != empty && k.state != stable, k.subscribed(tp.topic):
		return 0, false
	}
	if c.expires >= 0 {
		return c.expires, true
	}
	return from + keep, true
}

// remove deletes a group with all it has.
func (s *State) remove(g *Group) {
	for _, tp := range partitions(g.offsets) {
		s.write(Record{Key: offsetKey(g.id, tp)})
		g.forget(tp)
	}
	for _, producer := range slices.Sorted(maps.Keys(g.pending)) {
		for _, tp := range partitions(g.pending[producer]) {
			s.write(Record{Key: offsetKey(g.id, tp)})
		}
		unindex(s.byProducer, producer, g)
	}
	switch {
	case g.consumer != nil:
		g.consumer.tombstone()
	case g.share != nil:
		g.share.tombstone()
	default:
		s.write(Record{Key: groupKey(g.id)})
	}
	s.cancel(retentionTimer, g, "")
	delete(s.groups, g.id)
}

// complete decides the offsets of a producer's transaction.
func (s *State) complete(producer int64, committed bool) {
	for _, g := range s.sorted(s.byProducer[producer]) {
		set := g.pending[producer]
		delete(g.pending, producer)
		for _, tp := range partitions(set) {
			c := set[tp]
			if before := g.offsets[tp]; committed && (before == nil || before.order < c.order) {
				g.put(tp, c)
			}
		}
		s.settle(g)
	}
	delete(s.byProducer, producer)
}

// unstable says whether a transaction that is not decided has an offset here.
func (g *Group) unstable(tp topicPartition) bool {
	for _, set := range g.pending {
		if set[tp] != nil {
			return true
		}
	}
	return false
}

// offsetDelete serves OffsetDelete: the offsets of topics that no member of the
// group reads.
func (s *State) offsetDelete(r *Request, b *kmsg.OffsetDeleteRequest) {
	resp := response[*kmsg.OffsetDeleteResponse](r)
	g := s.group(b.Group)
	switch {
	case b.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil || g.share != nil:
		resp.ErrorCode = kerr.GroupIDNotFound.Code
	case g.size() > 0 && g.protocolType() != "consumer":
		resp.ErrorCode = kerr.NonEmptyGroup.Code
	}
	if resp.ErrorCode != 0 {
		s.answer(r, resp)
		return
	}
	for _, t := range b.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = p.Partition
			rp.ErrorCode = g.deleteOffset(topicPartition{t.Topic, p.Partition})
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.answer(r, resp)
}

func (g *Group) deleteOffset(tp topicPartition) int16 {
	if t, known := g.s.world.Topic(tp.topic); !known || tp.partition < 0 || tp.partition >= t.Partitions {
		return kerr.UnknownTopicOrPartition.Code
	}
	if g.size() > 0 && g.subscribed(tp.topic) {
		return kerr.GroupSubscribedToTopic.Code
	}
	if g.offsets[tp] != nil || g.unstable(tp) {
		g.s.write(Record{Key: offsetKey(g.id, tp)})
		g.forget(tp)
		for _, set := range g.pending {
			delete(set, tp)
		}
	}
	return 0
}
