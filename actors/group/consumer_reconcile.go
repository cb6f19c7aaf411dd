package group

import (
	"fmt"
	"hash/fnv"
	"io"
	"slices"
)

// topicsChanged says whether the subscribed topics are others, or have other
// partitions, than when it was asked last.
func (c *consumer) topicsChanged() bool {
	if c.seen == c.s.worlds && c.shapeFor == c.epoch {
		return false
	}
	seen := map[string]bool{}
	var lines []string
	for _, m := range c.members {
		for _, t := range c.topicsOf(m) {
			if !seen[t.Name] {
				seen[t.Name] = true
				lines = append(lines, fmt.Sprintf("%s %x %d", t.Name, t.ID, t.Partitions))
			}
		}
	}
	slices.Sort(lines)
	sum := fnv.New64a()
	for _, l := range lines {
		io.WriteString(sum, l+"\n")
	}
	shape := sum.Sum64()
	changed := shape != c.shape
	c.seen, c.shape, c.shapeFor = c.s.worlds, shape, c.epoch
	return changed
}

// retarget computes the targets of all members when they are of an older epoch.
// What changed for others than current is written down.
func (c *consumer) retarget(current *consumerMember) {
	if c.targetEpoch >= c.epoch {
		return
	}
	in := make([]subscriber, 0, len(c.members))
	for _, id := range c.ids() {
		m := c.members[id]
		in = append(in, subscriber{id: id, instance: value(m.Instance), topics: c.topicsOf(m), has: m.Target})
	}
	targets := assignors[c.assignor()](in)
	for _, id := range c.ids() {
		m := c.members[id]
		if target := targets[id]; !target.equal(m.Target) {
			m.Target = target
			if m != current {
				c.writeMember(m)
			}
		}
	}
	c.targetEpoch = c.epoch
}

// assignor is the one that most members want.
func (c *consumer) assignor() string {
	votes := map[string]int{}
	for _, m := range c.members {
		if m.Assignor != "" {
			votes[m.Assignor]++
		}
	}
	best := assignorNames[0]
	for _, name := range assignorNames {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// reconcile moves a member towards its target, as far as may be. told says
// that the member told what it owns.
func (c *consumer) reconcile(m *consumerMember, told bool, owned partitionSet) (moved bool) {
	switch m.State {
	case memberStable:
		if m.Epoch == c.targetEpoch {
			return false
		}
	case unrevoked:
		if !told || owned.meets(m.Revoking) {
			return false // still has what it shall give up
		}
	}
	before := *m
	c.advance(m, told, owned)
	return m.State != before.State || m.Epoch != before.Epoch || !m.Assigned.equal(before.Assigned) || !m.Revoking.equal(before.Revoking)
}

func (c *consumer) advance(m *consumerMember, told bool, owned partitionSet) {
	c.hold(m, false)
	keep := m.Assigned.both(m.Target)
	revoking := m.Assigned.minus(keep)
	wanted := m.Target.minus(keep)
	free := wanted.filter(func(id TopicID, p int32) bool {
		_, held := c.owner[id][p]
		return !held
	})
	if len(revoking) > 0 && (!told || owned.meets(revoking)) {
		m.Assigned, m.Revoking, m.State = keep, revoking, unrevoked
		c.s.after(int64(m.Rebalance), revokeTimer, c.g, m.ID)
		c.hold(m, true)
		return
	}
	c.s.cancel(revokeTimer, c.g, m.ID)
	m.Assigned, m.Revoking, m.State = keep.plus(free), nil, memberStable
	if !wanted.within(free) {
		m.State = unreleased
	}
	if m.Epoch != c.targetEpoch {
		m.Previous, m.Epoch = m.Epoch, c.targetEpoch
	}
	c.hold(m, true)
}
