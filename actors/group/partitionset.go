package group

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitionSet is partitions by topic, sorted and never an empty list. A set
// does not change once it is made; the operations make new ones.
type partitionSet map[TopicID][]int32

// ownedSet is what a member says it owns.
func ownedSet(topics []kmsg.ConsumerGroupHeartbeatRequestTopic) partitionSet {
	set := partitionSet{}
	for _, t := range topics {
		set.add(t.TopicID, t.Partitions...)
	}
	return set
}

// add is for sets that are being made.
func (s partitionSet) add(id TopicID, list ...int32) {
	if len(list) == 0 {
		return
	}
	all := append(slices.Clone(s[id]), list...)
	slices.Sort(all)
	s[id] = slices.Compact(all)
}

func (s partitionSet) has(id TopicID, p int32) bool {
	_, found := slices.BinarySearch(s[id], p)
	return found
}

func (s partitionSet) filter(keep func(TopicID, int32) bool) partitionSet {
	out := partitionSet{}
	for id, list := range s {
		var kept []int32
		for _, p := range list {
			if keep(id, p) {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			out[id] = kept
		}
	}
	return out
}

func (s partitionSet) both(other partitionSet) partitionSet { return s.filter(other.has) }

func (s partitionSet) minus(other partitionSet) partitionSet {
	return s.filter(func(id TopicID, p int32) bool { return !other.has(id, p) })
}

func (s partitionSet) plus(other partitionSet) partitionSet {
	out := maps.Clone(s)
	if out == nil {
		out = partitionSet{}
	}
	for id, list := range other {
		out.add(id, list...)
	}
	return out
}

func (s partitionSet) meets(other partitionSet) bool  { return len(s.both(other)) > 0 }
func (s partitionSet) within(other partitionSet) bool { return len(s.minus(other)) == 0 }
func (s partitionSet) equal(other partitionSet) bool {
	return maps.EqualFunc(s, other, slices.Equal[[]int32])
}

func (s partitionSet) size() int {
	n := 0
	for _, list := range s {
		n += len(list)
	}
	return n
}

// ids are the topics in order.
func (s partitionSet) ids() []TopicID {
	return slices.SortedFunc(maps.Keys(s), func(a, b TopicID) int { return bytes.Compare(a[:], b[:]) })
}

func (s partitionSet) wire() []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic {
	out := make([]kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic, 0, len(s))
	for _, id := range s.ids() {
		out = append(out, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: id, Partitions: s[id]})
	}
	return out
}

// MarshalJSON writes the topics by their ids in hex, in order.
func (s partitionSet) MarshalJSON() ([]byte, error) {
	names := make(map[string][]int32, len(s))
	for id, list := range s {
		names[hex.EncodeToString(id[:])] = list
	}
	return json.Marshal(names)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *partitionSet) UnmarshalJSON(b []byte) error {
	var names map[string][]int32
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = partitionSet{}
	for name, list := range names {
		raw, err := hex.DecodeString(name)
		if err != nil || len(raw) != len(TopicID{}) {
			return fmt.Errorf("topic id %q", name)
		}
		s.add(TopicID(raw), list...)
	}
	return nil
}
