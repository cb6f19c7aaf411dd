package group

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of the keys in the log. The numbers up to 2 and their values are
// Kafka's own, so that any tool that reads __consumer_offsets understands them.
// Kafka has further ones for the new protocols, whose values it splits up
// differently; ours have numbers that Kafka has not.
const (
	offsetKeyVersion         = 1
	groupKeyVersion          = 2
	consumerKeyVersion       = 20100 // a consumer group
	consumerMemberKeyVersion = 20101 // one of its members
	shareKeyVersion          = 20110 // a share group
	shareMemberKeyVersion    = 20111
	shareStateKeyVersion     = 20112 // what a share group has done with a partition
)

// valueVersion begins the values of our own records; JSON follows.
const valueVersion = 1

func offsetKey(group string, tp topicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: tp.topic, Partition: tp.partition}
	return k.AppendTo(nil)
}

func offsetRecord(group string, tp topicPartition, c *commit) Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = 3, c.offset, c.epoch, c.metadata, c.at
	switch {
	case c.expires >= 0:
		v.Version, v.ExpireTimestamp = 1, c.expires
	case c.topicID != TopicID{}:
		v.Version, v.TopicID = 4, c.topicID
	}
	return Record{offsetKey(group, tp), v.AppendTo(nil)}
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: group}
	return k.AppendTo(nil)
}

// groupRecord tells of the members that the log is to have.
func groupRecord(c *classic, leader string) Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = 3, c.protocolType, c.generation, c.since
	if c.protocol != "" {
		v.Protocol = ptr(c.protocol)
	}
	if leader != "" {
		v.Leader = ptr(leader)
	}
	for _, id := range c.order {
		m := c.members[id]
		if !m.noted {
			continue
		}
		e := kmsg.NewGroupMetadataValueMember()
		e.MemberID, e.InstanceID, e.ClientID, e.ClientHost = id, m.instance, m.clientID, m.clientHost
		e.RebalanceTimeoutMillis, e.SessionTimeoutMillis = m.rebalance, m.session
		e.Subscription, e.Assignment = m.metadata(c.protocol), m.assignment
		v.Members = append(v.Members, e)
	}
	return Record{groupKey(c.g.id), v.AppendTo(nil)}
}

// ownKey is a key of ours: version, group and further names.
func ownKey(version uint16, names ...string) []byte {
	k := binary.BigEndian.AppendUint16(nil, version)
	for _, n := range names {
		k = binary.AppendUvarint(k, uint64(len(n)))
		k = append(k, n...)
	}
	return k
}

func readOwnKey(key []byte, names ...*string) error {
	rest := key[2:]
	for _, n := range names {
		size, used := binary.Uvarint(rest)
		if used <= 0 || size > uint64(len(rest)-used) {
			return fmt.Errorf("key %x ends within a name", key)
		}
		*n, rest = string(rest[used:used+int(size)]), rest[used+int(size):]
	}
	if len(rest) > 0 {
		return fmt.Errorf("key %x has %d bytes too many", key, len(rest))
	}
	return nil
}

func ownValue(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encode %T for the log: %w", v, err)) // our own plain structs
	}
	return append([]byte{0, valueVersion}, b...)
}

func readOwnValue(b []byte, v any) error {
	if len(b) < 2 || binary.BigEndian.Uint16(b) != valueVersion {
		return fmt.Errorf("value of %d bytes begins with no version that is known", len(b))
	}
	return json.Unmarshal(b[2:], v)
}

// Replay takes over a record of the log; producer is -1 where it belongs to no
// transaction.
func (s *State) Replay(key, value []byte, producer int64) error {
	if len(key) < 2 {
		return fmt.Errorf("key of %d bytes", len(key))
	}
	switch version := binary.BigEndian.Uint16(key); version {
	case 0, offsetKeyVersion:
		return s.replayOffset(key, value, producer)
	case groupKeyVersion:
		return s.replayGroup(key, value)
	case consumerKeyVersion:
		return s.replayConsumer(key, value)
	case consumerMemberKeyVersion:
		return s.replayConsumerMember(key, value)
	case shareKeyVersion:
		return s.replayShare(key, value)
	case shareMemberKeyVersion:
		return s.replayShareMember(key, value)
	case shareStateKeyVersion:
		return s.replayShareState(key, value)
	default:
		return fmt.Errorf("key version %d is not known", version)
	}
}

// ReplayMarker takes over the end of a transaction.
func (s *State) ReplayMarker(m Marker) { s.complete(m.Producer, m.Commit) }

// existing is the group called id, made when a record speaks of it first.
func (s *State) existing(id string) *Group {
	if g := s.groups[id]; g != nil {
		return g
	}
	return s.create(id)
}

func (s *State) replayOffset(key, value []byte, producer int64) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("offset key: %w", err)
	}
	g, tp := s.existing(k.Group), topicPartition{k.Topic, k.Partition}
	if value == nil {
		g.forget(tp)
		for _, set := range g.pending {
			delete(set, tp)
		}
		return nil
	}
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return fmt.Errorf("offset of %s in %s-%d: %w", k.Group, k.Topic, k.Partition, err)
	}
	c := &commit{offset: v.Offset, epoch: -1, metadata: v.Metadata, at: v.CommitTimestamp, expires: -1, topicID: v.TopicID}
	if v.Version >= 3 {
		c.epoch = v.LeaderEpoch
	}
	if v.Version == 1 {
		c.expires = v.ExpireTimestamp
	}
	if producer >= 0 {
		g.propose(producer, tp, c)
		return nil
	}
	s.commits++
	c.order = s.commits
	g.put(tp, c)
	return nil
}

func (s *State) replayGroup(key, value []byte) error {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(key); err != nil {
		return fmt.Errorf("group key: %w", err)
	}
	g := s.existing(k.Group)
	g.consumer, g.share = nil, nil
	c := &classic{s: s, g: g}
	c.clear()
	g.classic = c
	if value == nil {
		return nil // what is left of it goes when all is read, see Loaded
	}
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return fmt.Errorf("group %s: %w", k.Group, err)
	}
	c.generation, c.protocolType, c.since = v.Generation, v.ProtocolType, v.CurrentStateTimestamp
	for _, e := range v.Members {
		m := &member{
			id: e.MemberID, instance: e.InstanceID, clientID: e.ClientID, clientHost: e.ClientHost,
			session: e.SessionTimeoutMillis, rebalance: e.RebalanceTimeoutMillis, assignment: slices.Clone(e.Assignment),
			noted: true,
		}
		if v.Protocol != nil {
			m.protocols = []kmsg.JoinGroupRequestProtocol{{Name: *v.Protocol, Metadata: slices.Clone(e.Subscription)}}
		}
		c.add(m)
	}
	if len(c.members) > 0 {
		c.state = stable
		c.protocol = deref(v.Protocol)
		c.topics = c.subscriptions()
		if v.Leader != nil {
			c.leader = *v.Leader
		}
		c.unfinished = v.Leader == nil
	}
	return nil
}

func deref(p *string) string { return value(p) }

// Loaded says that the log has been read to its end: from now on members have
// to be heard of.
func (s *State) Loaded(now int64) {
	s.now = now
	for _, g := range s.groups {
		switch {
		case g.classic != nil:
			for _, m := range g.classic.members {
				g.classic.listen(m)
			}
			if g.classic.since < 0 {
				g.classic.since = now
			}
			if g.classic.unfinished {
				g.classic.unfinished = false
				g.classic.rebalance()
			}
		case g.consumer != nil:
			g.consumer.loaded()
		case g.share != nil:
			g.share.loaded()
		}
		g.retention(now + s.config.RetentionCheck.Milliseconds())
		s.settle(g)
	}
	s.observe(s.world)
}
