package group

import (
	"cmp"
	"slices"
)

// subscriber is a member as an assignor sees it.
type subscriber struct {
	id, instance string
	topics       []Topic // sorted by name
	has          partitionSet
}

// assignors decide who gets what. They get the members in the order of their
// ids and give the same answer to the same question.
var assignors = map[string]func([]subscriber) map[string]partitionSet{
	"uniform": uniform,
	"range":   ranges,
}

// assignorNames are the names of assignors, the one taken by default first.
var assignorNames = []string{"uniform", "range"}

// ranges gives each member of a topic a run of its partitions, and members the
// same runs of topics with equally many.
func ranges(members []subscriber) map[string]partitionSet {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b subscriber) int { return cmp.Compare(a.name(), b.name()) })
	readers := map[TopicID][]string{}
	topics := map[TopicID]Topic{}
	out := map[string]partitionSet{}
	for _, m := range sorted {
		out[m.id] = partitionSet{}
		for _, t := range m.topics {
			readers[t.ID] = append(readers[t.ID], m.id)
			topics[t.ID] = t
		}
	}
	for id, t := range topics {
		n := int32(len(readers[id]))
		each, more, next := t.Partitions/n, t.Partitions%n, int32(0)
		for i, reader := range readers[id] {
			count := each
			if int32(i) < more {
				count++
			}
			for ; count > 0; count-- {
				out[reader].add(id, next)
				next++
			}
		}
	}
	return out
}

// name orders members: a static one keeps its place when its id changes.
func (m subscriber) name() string {
	if m.instance != "" {
		return m.instance
	}
	return m.id
}

// spread is an assignment as uniform makes it.
type spread struct {
	members []subscriber
	reads   []map[TopicID]bool
	load    []int
	holder  map[TopicID][]int // by partition: index of a member, -1 nobody
}

// uniform gives every member nearly as many partitions as every other that
// could have them, and leaves as many as it can where they are.
func uniform(members []subscriber) map[string]partitionSet {
	s := &spread{members: members, load: make([]int, len(members)), holder: map[TopicID][]int{}}
	var topics []Topic
	for _, m := range members {
		reads := map[TopicID]bool{}
		for _, t := range m.topics {
			reads[t.ID] = true
			if s.holder[t.ID] == nil && t.Partitions > 0 {
				s.holder[t.ID] = slices.Repeat([]int{-1}, int(t.Partitions))
				topics = append(topics, t)
			}
		}
		s.reads = append(s.reads, reads)
	}
	slices.SortFunc(topics, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	s.keep()
	s.fill(topics)
	s.even(topics)
	return s.result(topics)
}

// keep leaves partitions with the members that have them and still read them.
func (s *spread) keep() {
	for i, m := range s.members {
		for id, list := range m.has {
			if !s.reads[i][id] {
				continue
			}
			for _, p := range list {
				if h := s.holder[id]; int(p) < len(h) && h[p] < 0 {
					h[p] = i
					s.load[i]++
				}
			}
		}
	}
}

// fill gives what nobody has to whoever has least.
func (s *spread) fill(topics []Topic) {
	for _, t := range topics {
		for p, holder := range s.holder[t.ID] {
			if holder < 0 {
				i := s.least(t.ID)
				s.holder[t.ID][p] = i
				s.load[i]++
			}
		}
	}
}

// least is the reader of a topic with the fewest partitions.
func (s *spread) least(id TopicID) int {
	best := -1
	for i := range s.members {
		if s.reads[i][id] && (best < 0 || s.load[i] < s.load[best]) {
			best = i
		}
	}
	return best
}

// even moves partitions from members that have two more than another reader,
// until there is none. Every move brings the loads nearer to each other, so it
// ends.
func (s *spread) even(topics []Topic) {
	for moved := true; moved; {
		moved = false
		for _, t := range topics {
			holders := s.holder[t.ID]
			for p := len(holders) - 1; p >= 0; p-- {
				from, to := holders[p], s.least(t.ID)
				if s.load[from] > s.load[to]+1 {
					holders[p] = to
					s.load[from]--
					s.load[to]++
					moved = true
				}
			}
		}
	}
}

func (s *spread) result(topics []Topic) map[string]partitionSet {
	out := map[string]partitionSet{}
	for _, m := range s.members {
		out[m.id] = partitionSet{}
	}
	for _, t := range topics {
		for p, i := range s.holder[t.ID] {
			set := out[s.members[i].id]
			set[t.ID] = append(set[t.ID], int32(p))
		}
	}
	return out
}
