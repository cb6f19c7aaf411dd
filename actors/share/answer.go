package share

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
)

// answer ends a fetch with what it has.
func (a *Actor) answer(f *fetch) {
	if f.done {
		return
	}
	f.done = true
	a.unpark(f)
	lock := int32(a.lock(f.session.id.group))
	if f.asked == nil {
		resp := f.request.Body.ResponseKind().(*kmsg.ShareAcknowledgeResponse)
		resp.AcquisitionLockTimeoutMillis = lock
		resp.Topics = byTopic(f.said, func(id group.TopicID) kmsg.ShareAcknowledgeResponseTopic {
			return kmsg.ShareAcknowledgeResponseTopic{TopicID: id}
		}, func(t *kmsg.ShareAcknowledgeResponseTopic, at place) {
			p := kmsg.NewShareAcknowledgeResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = at.partition, f.codes[at], message(f.codes[at])
			t.Partitions = append(t.Partitions, p)
		})
		a.reply(f.request, resp)
		return
	}
	resp := f.request.Body.ResponseKind().(*kmsg.ShareFetchResponse)
	resp.AcquisitionLockTimeoutMillis = lock
	resp.Topics = byTopic(f.mentioned(), func(id group.TopicID) kmsg.ShareFetchResponseTopic {
		return kmsg.ShareFetchResponseTopic{TopicID: id}
	}, func(t *kmsg.ShareFetchResponseTopic, at place) { t.Partitions = append(t.Partitions, f.told(at)) })
	a.reply(f.request, resp)
}

// mentioned are the partitions that the answer says something of, each once.
func (f *fetch) mentioned() []place {
	seen := map[place]bool{}
	var list []place
	add := func(at place) {
		if !seen[at] {
			seen[at] = true
			list = append(list, at)
		}
	}
	for _, at := range f.said {
		add(at)
	}
	for _, g := range f.got {
		add(g.place)
	}
	for _, at := range f.session.parts {
		if f.errors[at] != 0 {
			add(at)
		}
	}
	return list
}

func (f *fetch) told(at place) kmsg.ShareFetchResponseTopicPartition {
	p := kmsg.NewShareFetchResponseTopicPartition()
	p.Records = []byte{} // never null: the Java client cannot read that
	p.Partition, p.ErrorCode, p.AcknowledgeErrorCode = at.partition, f.errors[at], f.codes[at]
	p.ErrorMessage, p.AcknowledgeErrorMessage = message(p.ErrorCode), message(p.AcknowledgeErrorCode)
	for _, g := range f.got {
		if g.place != at {
			continue
		}
		if len(g.batches) > 0 {
			p.Records = g.batches
		}
		for _, r := range g.runs {
			p.AcquiredRecords = append(p.AcquiredRecords, kmsg.ShareFetchResponseTopicPartitionAcquiredRecord{
				FirstOffset: r.First, LastOffset: r.Last, DeliveryCount: r.Count,
			})
		}
	}
	return p
}

// byTopic puts partitions together by their topics, in the order they come.
func byTopic[T any](places []place, topic func(group.TopicID) T, add func(*T, place)) []T {
	at := map[group.TopicID]int{}
	var list []T
	for _, p := range places {
		n, known := at[p.topic]
		if !known {
			n = len(list)
			at[p.topic] = n
			list = append(list, topic(p.topic))
		}
		add(&list[n], p)
	}
	return list
}

func message(code int16) *string {
	if code == 0 {
		return nil
	}
	text := kerr.ErrorForCode(code).Error()
	return &text
}
