package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func mustProduce(w *whole, topic string, id [16]byte, partition int32, texts ...string) {
	w.t.Helper()
	resp := ask[*kmsg.ProduceResponse](w, 9, produceRequest(topic, id, partition, batchOf(texts...)))
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		w.t.Fatal(kerr.ErrorForCode(code))
	}
}

func TestAParkedFetchIsAnsweredByTheNextProduce(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	c := w.client()
	req := fetchRequest("orders", id, 0, 0)
	req.MaxWaitMillis = 60_000
	c.write(12, req)
	mustProduce(w, "orders", id, 0, "late")
	resp := read[*kmsg.FetchResponse](c, 12, req)
	if got := texts(t, resp.Topics[0].Partitions[0].RecordBatches); !slices.Equal(got, []string{"0 late"}) {
		t.Fatalf("got %q", got)
	}
}

// A client that goes away leaves nothing parked behind: the clean-up of the
// server waits for every connection.
func TestAParkedFetchEndsWithItsConnection(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 1)
	c := w.client()
	req := fetchRequest("orders", id, 0, 0)
	req.MaxWaitMillis = 1 << 30
	c.write(12, req)
	c.Close()
	other := w.client()
	req.MaxWaitMillis = 1 << 30
	other.write(12, req) // and this one with the server
}

func TestASessionTellsWhatIsNew(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 3)
	for version := int16(7); version <= 18; version++ {
		c := w.client()
		end := ask[*kmsg.FetchResponse](w, version, endOf(w, "orders", id))
		var ends []int64
		for _, p := range end.Topics[0].Partitions {
			ends = append(ends, p.HighWatermark)
		}
		all := fetchRequest("orders", id, 0, ends[0])
		all.SessionEpoch, all.MaxWaitMillis, all.MinBytes = initialEpoch, 0, 0
		for i := int32(1); i < 3; i++ {
			p := all.Topics[0].Partitions[0]
			p.Partition, p.FetchOffset = i, ends[i]
			all.Topics[0].Partitions = append(all.Topics[0].Partitions, p)
		}
		first := on[*kmsg.FetchResponse](c, version, all)
		if first.ErrorCode != 0 || first.SessionID == 0 || len(first.Topics[0].Partitions) != 3 {
			t.Fatalf("v%d: the session begins with %+v", version, first)
		}
		next := kmsg.NewPtrFetchRequest()
		next.SessionID, next.SessionEpoch, next.MinBytes, next.MaxBytes = first.SessionID, 1, 0, 1<<20
		if resp := on[*kmsg.FetchResponse](c, version, next); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			t.Fatalf("v%d: nothing has changed, but: %+v", version, resp)
		}
		mustProduce(w, "orders", id, 1, "new")
		next.SessionEpoch, next.MinBytes, next.MaxWaitMillis = 2, 1, 60_000
		resp := on[*kmsg.FetchResponse](c, version, next)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].Partition != 1 || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Fatalf("v%d: one partition has news, but: %+v", version, resp)
		}
		next.MaxWaitMillis = 0
		if resp := on[*kmsg.FetchResponse](c, version, next); resp.ErrorCode != kerr.InvalidFetchSessionEpoch.Code {
			t.Fatalf("v%d: an epoch that was used: %v", version, kerr.ErrorForCode(resp.ErrorCode))
		}
		next.SessionEpoch = 3
		forget := kmsg.NewFetchRequestForgottenTopic()
		forget.Topic, forget.TopicID, forget.Partitions = "orders", id, []int32{1}
		next.ForgottenTopics = append(next.ForgottenTopics, forget)
		if resp := on[*kmsg.FetchResponse](c, version, next); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			t.Fatalf("v%d: of a forgotten partition: %+v", version, resp)
		}
		next.SessionEpoch, next.ForgottenTopics = finalEpoch, nil
		if resp := on[*kmsg.FetchResponse](c, version, next); resp.ErrorCode != 0 || resp.SessionID != 0 {
			t.Fatalf("v%d: the end of the session: %+v", version, resp)
		}
		next.SessionEpoch = 4
		if resp := on[*kmsg.FetchResponse](c, version, next); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
			t.Fatalf("v%d: an ended session: %v", version, kerr.ErrorForCode(resp.ErrorCode))
		}
	}
	if n := len(w.sessions.byID); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// endOf is a fetch of the three partitions of topic that has no session and
// tells their ends.
func endOf(_ *whole, topic string, id [16]byte) *kmsg.FetchRequest {
	req := fetchRequest(topic, id, 0, 0)
	req.MinBytes, req.MaxWaitMillis, req.MaxBytes = 0, 0, 1
	for i := int32(1); i < 3; i++ {
		p := req.Topics[0].Partitions[0]
		p.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	return req
}

func TestAFullCacheOfSessionsMakesRoomOnlyForThoseOutOfUse(t *testing.T) {
	s := newSessions(2)
	now := s.clock()
	s.clock = func() time.Time { return now }
	begin := func() *fetchContext {
		req := fetchRequest("orders", [16]byte{}, 0, 0)
		req.SessionEpoch = initialEpoch
		c, code := s.context(req, 12)
		if code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		c.close()
		return c
	}
	if a, b := begin(), begin(); a.sessionID() == 0 || b.sessionID() == 0 || a.sessionID() == b.sessionID() {
		t.Fatal("two sessions have no ids of their own")
	}
	if c := begin(); c.sessionID() != 0 {
		t.Fatal("a third one is kept")
	}
	now = now.Add(sessionIdle)
	if c := begin(); c.sessionID() == 0 || len(s.byID) != 2 {
		t.Fatal("an old one does not make room")
	}
}
