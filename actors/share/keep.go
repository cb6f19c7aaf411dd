package share

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// part finds a partition of a group. One that is not known yet is loaded; until
// then it has no state.
func (a *Actor) part(k key) (*part, int16) {
	t, known := a.World().TopicByID(k.topic)
	if !known {
		return nil, kerr.UnknownTopicID.Code
	}
	if p := a.parts[k]; p != nil {
		return p, 0
	}
	if k.partition < 0 || k.partition >= t.Partitions {
		return nil, kerr.UnknownTopicOrPartition.Code
	}
	ref, err := a.Partition(partition.ID{Topic: t.Name, Index: k.partition})
	if err != nil {
		return nil, kerr.NotLeaderForPartition.Code
	}
	p := &part{key: k, ref: ref, waiting: map[*fetch]bool{}}
	s := a.shares
	p.watcher = &partition.Watcher{Wake: func() { s.put(moved{p}) }}
	a.parts[k] = p
	ref.Watch(p.watcher)
	a.load(p)
	return p, 0
}

// drop forgets a partition; whoever looks at it next has it loaded anew.
func (a *Actor) drop(p *part, code int16) {
	if p.gone {
		return
	}
	p.gone = true
	p.ref.Unwatch(p.watcher)
	delete(a.parts, p.key)
	for _, done := range append(p.now, p.next...) {
		done(code)
	}
	p.now, p.next = nil, nil
	a.wake(p)
}

// ask asks the coordinator of a group.
func (a *Actor) ask(id string, body kmsg.Request, done func(kmsg.Response)) {
	ref, err := a.Group(id)
	if err != nil {
		done(group.Refuse(body, kerr.CoordinatorLoadInProgress.Code))
		return
	}
	ref.Handle(group.Request{Client: group.Client{ID: "share"}, Body: body, Done: done})
}

func (a *Actor) load(p *part) {
	b := kmsg.NewPtrReadShareGroupStateRequest()
	b.GroupID = p.group
	t := kmsg.NewReadShareGroupStateRequestTopic()
	t.TopicID = p.topic
	q := kmsg.NewReadShareGroupStateRequestTopicPartition()
	q.Partition, q.LeaderEpoch = p.partition, p.ref.LeaderEpoch()
	t.Partitions = append(t.Partitions, q)
	b.Topics = append(b.Topics, t)
	s := a.shares
	a.ask(p.group, b, func(resp kmsg.Response) {
		got := resp.(*kmsg.ReadShareGroupStateResponse).Topics[0].Partitions[0]
		m := loaded{part: p, epoch: got.StateEpoch, start: got.StartOffset, code: got.ErrorCode}
		for _, k := range got.StateBatches {
			m.runs = append(m.runs, Run{First: k.FirstOffset, Last: k.LastOffset, State: Delivery(k.DeliveryState), Count: k.DeliveryCount})
		}
		s.put(m)
	})
}

func (a *Actor) loaded(m loaded) {
	p := m.part
	switch {
	case p.gone:
	case m.code != 0:
		for f := range p.waiting {
			if a.parked[f] {
				f.errors[place{p.topic, p.partition}] = m.code
				a.answer(f)
			}
		}
		a.drop(p, m.code)
	case m.start >= 0:
		p.epoch = m.epoch
		p.state = NewPartition(m.start, a.deliveryMax(p.group), a.locksMax(p.group))
		p.state.Restore(m.runs)
		a.wake(p)
	default:
		p.epoch = m.epoch
		a.begin(p)
	}
}

// begin finds out where a group begins that has not looked at the partition
// before.
func (a *Actor) begin(p *part) {
	reset, s := a.config(p.group, "share.auto.offset.reset"), a.shares
	text, byTime := strings.CutPrefix(reset, "by_duration:")
	switch {
	case byTime:
		age, err := duration(text)
		go func() {
			start := p.ref.HighWatermark()
			if err == nil {
				var o record.Offset
				if o, _, _, err = p.ref.OffsetAt(time.Now().Add(-age).UnixMilli()); o >= 0 {
					start = o
				}
			}
			s.put(begun{p, int64(start), err})
		}()
	case reset == "earliest":
		a.begun(begun{part: p, start: int64(p.ref.LogStart())})
	default:
		a.begun(begun{part: p, start: int64(p.ref.HighWatermark())})
	}
}

func (a *Actor) begun(m begun) {
	p := m.part
	if p.gone {
		return
	}
	if m.err != nil {
		a.Logger.Warn("share group begins at the end of a partition", "group", p.group, "partition", p.ref.ID(), "err", m.err)
	}
	p.state = NewPartition(m.start, a.deliveryMax(p.group), a.locksMax(p.group))
	a.changed(p, nil)
}

// changed has the state of a partition kept. done is told when it is.
func (a *Actor) changed(p *part, done func(code int16)) {
	p.dirty = true
	if done != nil {
		p.next = append(p.next, done)
	}
	a.write(p)
	a.wake(p)
}

func (a *Actor) write(p *part) {
	if p.writing || !p.dirty || p.gone {
		return
	}
	p.writing, p.dirty = true, false
	p.now, p.next = p.next, nil
	b := kmsg.NewPtrWriteShareGroupStateRequest()
	b.Version, b.GroupID = 1, p.group
	t := kmsg.NewWriteShareGroupStateRequestTopic()
	t.TopicID = p.topic
	q := kmsg.NewWriteShareGroupStateRequestTopicPartition()
	q.Partition, q.StateEpoch, q.LeaderEpoch = p.partition, p.epoch, p.ref.LeaderEpoch()
	q.StartOffset, q.DeliveryCompleteCount = p.state.Start(), int32(p.state.Done())
	for _, r := range p.state.Keep() {
		q.StateBatches = append(q.StateBatches, kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{
			FirstOffset: r.First, LastOffset: r.Last, DeliveryState: int8(r.State), DeliveryCount: r.Count,
		})
	}
	t.Partitions = append(t.Partitions, q)
	b.Topics = append(b.Topics, t)
	s := a.shares
	a.ask(p.group, b, func(resp kmsg.Response) {
		s.put(kept{p, resp.(*kmsg.WriteShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode})
	})
}

// kept goes on after a write. What could not be kept is not so: the partition
// is loaded anew.
func (a *Actor) kept(m kept) {
	p := m.part
	if p.gone {
		return
	}
	if m.code != 0 {
		a.Logger.Warn("state of a share group not kept", "group", p.group, "partition", p.ref.ID(), "err", kerr.ErrorForCode(m.code))
		a.drop(p, m.code)
		return
	}
	p.writing = false
	now := p.now
	p.now = nil
	for _, done := range now {
		done(0)
	}
	a.write(p)
}

// wake has the fetches that wait for a partition look once more.
func (a *Actor) wake(p *part) {
	if len(p.waiting) == 0 || !p.gone && (p.state == nil || p.busy || !a.hasMore(p)) {
		return
	}
	for _, f := range a.inOrder(p.waiting) {
		if a.parked[f] {
			a.attempt(f)
		}
	}
}

func (a *Actor) hasMore(p *part) bool {
	next, may := p.state.Next()
	return may && next < int64(a.end(p))
}
