package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareFromStart makes a share group begin with the oldest records.
func (w *whole) shareFromStart(group string) {
	w.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "share.auto.offset.reset", kmsg.StringPtr("earliest")
	res.Configs = append(res.Configs, c)
	req.Resources = append(req.Resources, res)
	if got := ask[*kmsg.IncrementalAlterConfigsResponse](w, 1, req); got.Resources[0].ErrorCode != 0 {
		w.t.Fatalf("configure %s: %+v", group, got.Resources[0])
	}
}

// A record that was accepted is not handed out again; one that was released is,
// to whoever asks next, and it counts how often.
func TestAShareGroupHandsOutAgainWhatWasReleased(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	w.shareFromStart("g")
	w.fill("orders", 10)
	member := func() *kgo.Client {
		return w.kgo(kgo.ShareGroup("g"), kgo.ConsumeTopics("orders"), kgo.FetchMaxWait(100*time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := member()
	for n := 0; n < 10; {
		fetches := first.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records of 10: %v", n, ctx.Err())
		}
		for r := range fetches.RecordsAll() {
			n++
			if r.Offset%2 == 0 {
				r.Ack(kgo.AckAccept)
			} else {
				r.Ack(kgo.AckRelease)
			}
		}
		if n == 10 {
			break
		}
	}
	first.Close()
	second := member()
	got := map[int64]int32{}
	for len(got) < 5 {
		fetches := second.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the second member got %v: %v", got, ctx.Err())
		}
		for r := range fetches.RecordsAll() {
			got[r.Offset] = r.DeliveryCount()
			r.Ack(kgo.AckAccept)
		}
	}
	for offset, count := range got {
		// The first member may get what it has just released once more.
		if offset%2 == 0 || count < 2 {
			t.Errorf("record %d came again, delivery %d", offset, count)
		}
	}
	if err := second.FlushAcks(ctx); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	q := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	q.GroupID = "g"
	req.Groups = append(req.Groups, q)
	p := ask[*kmsg.DescribeShareGroupOffsetsResponse](w, 1, req).Groups[0].Topics[0].Partitions[0]
	if p.StartOffset != 10 || p.Lag != 0 {
		t.Errorf("all is accepted: start %d, lag %d, want 10 and 0", p.StartOffset, p.Lag)
	}
}

// shareMember joins a share group (epoch 0) or leaves it (-1).
func (w *whole) shareMember(group, member string, epoch int32) {
	w.t.Helper()
	patient(w, 1, func(r *kmsg.ShareGroupHeartbeatResponse) int16 { return r.ErrorCode }, func() kmsg.Request {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.MemberEpoch = group, member, epoch
		if epoch == 0 {
			req.SubscribedTopicNames = []string{"orders"}
		}
		return req
	})
}

// shareFetch asks for records of orders-0, and accepts those up to an offset.
func shareFetch(c *asker, topic [16]byte, member string, epoch int32, accepted ...int64) kmsg.ShareFetchResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr("g"), &member, epoch
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 10, 1, 1<<20, 500, 500
	p := kmsg.NewShareFetchRequestTopicPartition()
	for _, offset := range accepted {
		a := kmsg.NewShareFetchRequestTopicPartitionAcknowledgementBatch()
		a.LastOffset, a.AcknowledgeTypes = offset, []int8{1}
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, a)
	}
	t := kmsg.NewShareFetchRequestTopic()
	t.TopicID, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp := on[*kmsg.ShareFetchResponse](c, 1, req)
	if resp.ErrorCode != 0 {
		c.t.Fatalf("share fetch at epoch %d: %v", epoch, kerr.ErrorForCode(resp.ErrorCode))
	}
	if len(resp.Topics) == 0 {
		return kmsg.NewShareFetchResponseTopicPartition()
	}
	return resp.Topics[0].Partitions[0]
}

// untilShared fetches until there are records, and returns the next epoch.
func untilShared(c *asker, topic [16]byte, member string) (p kmsg.ShareFetchResponseTopicPartition, epoch int32) {
	c.t.Helper()
	for len(p.AcquiredRecords) == 0 {
		p = shareFetch(c, topic, member, epoch)
		epoch++
	}
	return p, epoch
}

// The Java client cannot read null records.
func TestAShareFetchThatOnlyAcknowledgesHasRecordsWithNothingInThem(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	w.shareFromStart("g")
	w.fill("orders", 3)
	w.shareMember("g", "m", 0)
	c := w.client()
	got, epoch := untilShared(c, id, "m")
	last := got.AcquiredRecords[len(got.AcquiredRecords)-1].LastOffset
	if p := shareFetch(c, id, "m", epoch, last); p.Records == nil || len(p.Records) > 0 || p.AcknowledgeErrorCode != 0 {
		t.Errorf("the records are %#v, the acknowledgement's code %d, want no records, none null, and 0", p.Records, p.AcknowledgeErrorCode)
	}
}

func TestAShareGroupThatWasDeletedBeginsAnew(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	w.fill("orders", 3)
	w.shareMember("g", "m", 0)
	begun := func() int64 {
		req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		q := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		q.GroupID = "g"
		req.Groups = append(req.Groups, q)
		for _, topic := range ask[*kmsg.DescribeShareGroupOffsetsResponse](w, 1, req).Groups[0].Topics {
			return topic.Partitions[0].StartOffset
		}
		return -1
	}
	c := w.client()
	for epoch := int32(0); begun() != 3; epoch++ { // at the end: the default
		shareFetch(c, id, "m", epoch)
	}
	w.shareMember("g", "m", -1)
	w.shareFromStart("g")
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g"}
	wantCode(t, "delete the group", ask[*kmsg.DeleteGroupsResponse](w, 2, del).Groups[0].ErrorCode, nil)
	w.shareMember("g", "n", 0)
	if got, _ := untilShared(w.client(), id, "n"); got.AcquiredRecords[0].FirstOffset != 0 {
		t.Errorf("the first record is %+v, want that at 0", got.AcquiredRecords[0])
	}
}
