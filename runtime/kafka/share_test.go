package kafka

import (
	"context"
	"testing"
	"time"

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
		if offset%2 == 0 || count != 2 {
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
