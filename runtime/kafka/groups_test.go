package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
)

// quickGroups does not wait for members that might still come.
func quickGroups() group.Config {
	c := group.Defaults()
	c.InitialRebalanceDelay = 0
	return c
}

// fill writes n numbered records over the partitions of a topic.
func (w *whole) fill(topic string, n int) {
	w.t.Helper()
	cl := w.kgo(kgo.DefaultProduceTopic(topic), kgo.DisableIdempotentWrite())
	for i := range n {
		if err := cl.ProduceSync(w.t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *whole) kgo(o ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(o, kgo.SeedBrokers(w.addr))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

// consume polls until n records have come, commits, and returns their values.
func consume(t testing.TB, cl *kgo.Client, n int) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(values) < n {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d records of %d: %v", len(values), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatalf("commit: %v", err)
	}
	return values
}

// A member that takes over goes on where the one before it has committed, with
// the classic protocol and with the newer one.
func TestAGroupGoesOnWhereItHasCommitted(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{
		"cooperative": nil,
		"eager":       {kgo.Balancers(kgo.RangeBalancer())},
		"static":      {kgo.InstanceID("i")},
		"consumer":    {kgo.ServerSideBalancer()},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWhole(t)
			w.topic("orders", 4)
			w.fill("orders", 20)
			member := func() *kgo.Client {
				return w.kgo(append([]kgo.Opt{
					kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
					kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
				}, opts...)...)
			}
			first := member()
			got := consume(t, first, 20)
			first.Close()
			w.fill("orders", 5)
			second := member()
			got = append(got, consume(t, second, 5)...)
			slices.Sort(got)
			if len(got) != 25 || got[0] != "0" || got[1] != "0" || got[2] != "1" || got[3] != "1" {
				t.Errorf("read %q, want 0 to 19 and then 0 to 4", got)
			}
		})
	}
}

// A request about several groups is answered whole and in its order, whoever
// coordinates them.
func TestARequestAboutSeveralGroupsIsAnsweredInItsOrder(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	c := w.client()
	groups := []string{"a", "b", "c", "d", "e"}
	for i, g := range groups {
		w.commit(c, g, int64(i))
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	for _, g := range append(groups, "nobody") {
		q := kmsg.NewOffsetFetchRequestGroup()
		q.Group = g
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = "orders", []int32{0}
		q.Topics = append(q.Topics, t)
		fetch.Groups = append(fetch.Groups, q)
	}
	got := on[*kmsg.OffsetFetchResponse](c, 9, fetch)
	for i, g := range got.Groups {
		want := int64(i)
		if i == len(groups) {
			want = -1
		}
		if g.Group != fetch.Groups[i].Group || g.ErrorCode != 0 || g.Topics[0].Partitions[0].Offset != want {
			t.Errorf("group %d: %+v, want offset %d of %q", i, g, want, fetch.Groups[i].Group)
		}
	}
	list := on[*kmsg.ListGroupsResponse](c, 5, kmsg.NewPtrListGroupsRequest())
	var listed []string
	for _, g := range list.Groups {
		listed = append(listed, g.Group)
	}
	slices.Sort(listed)
	if !slices.Equal(listed, groups) {
		t.Errorf("listed %q, want %q", listed, groups)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"e", "nobody", "a"}
	for i, g := range on[*kmsg.DeleteGroupsResponse](c, 2, del).Groups {
		want := map[string]int16{"nobody": kerr.GroupIDNotFound.Code}[del.Groups[i]]
		if g.Group != del.Groups[i] || g.ErrorCode != want {
			t.Errorf("delete %q: %+v, want error %d", del.Groups[i], g, want)
		}
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"c", "a", "b"}
	for i, g := range on[*kmsg.DescribeGroupsResponse](c, 5, describe).Groups {
		want := map[string]string{"a": "Dead", "b": "Empty", "c": "Empty"}[describe.Groups[i]]
		if g.Group != describe.Groups[i] || g.State != want {
			t.Errorf("describe %q: %+v, want %s", describe.Groups[i], g, want)
		}
	}
}

// commit commits an offset of orders-0, as often as the coordinator is not
// ready.
func (w *whole) commit(c *asker, id string, offset int64) {
	w.t.Helper()
	for {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group = id
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = "orders"
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = offset
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		switch code := on[*kmsg.OffsetCommitResponse](c, 8, req).Topics[0].Partitions[0].ErrorCode; code {
		case 0:
			return
		case kerr.CoordinatorLoadInProgress.Code:
		default:
			w.t.Fatalf("commit of %s: error %d", id, code)
		}
	}
}
