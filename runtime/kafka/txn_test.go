package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
)

// patient asks until the answer is not that a coordinator is busy.
func patient[R kmsg.Response](w *whole, version int16, code func(R) int16, make func() kmsg.Request) R {
	w.t.Helper()
	c := w.client()
	for {
		r := on[R](c, version, make())
		switch code(r) {
		case kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.ConcurrentTransactions.Code:
			<-time.After(2 * time.Millisecond)
		default:
			return r
		}
	}
}

func (w *whole) initProducer(version int16, id string) *kmsg.InitProducerIDResponse {
	w.t.Helper()
	return patient(w, version, func(r *kmsg.InitProducerIDResponse) int16 { return r.ErrorCode }, func() kmsg.Request {
		m := kmsg.NewPtrInitProducerIDRequest()
		m.TransactionalID, m.TransactionTimeoutMillis = &id, 60_000
		return m
	})
}

func (w *whole) endTransaction(version int16, id string, producer int64, epoch int16, commit bool) *kmsg.EndTxnResponse {
	w.t.Helper()
	return patient(w, version, func(r *kmsg.EndTxnResponse) int16 { return r.ErrorCode }, func() kmsg.Request {
		m := kmsg.NewPtrEndTxnRequest()
		m.TransactionalID, m.ProducerID, m.ProducerEpoch, m.Commit = id, producer, epoch, commit
		return m
	})
}

func (w *whole) addToTransaction(version int16, id string, producer int64, epoch int16, topics ...string) (codes []int16) {
	w.t.Helper()
	r := patient(w, version, func(r *kmsg.AddPartitionsToTxnResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode }, func() kmsg.Request {
		m := kmsg.NewPtrAddPartitionsToTxnRequest()
		m.TransactionalID, m.ProducerID, m.ProducerEpoch = id, producer, epoch
		for _, t := range topics {
			m.Topics = append(m.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: t, Partitions: []int32{0}})
		}
		return m
	})
	for _, t := range r.Topics {
		codes = append(codes, t.Partitions[0].ErrorCode)
	}
	return codes
}

func TestOldClientsOfTransactionsAreToldInWordsTheyKnow(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	first := w.initProducer(0, "a")
	if first.ErrorCode != 0 || first.ProducerEpoch != 0 {
		t.Fatalf("init: %+v", first)
	}
	id := first.ProducerID
	want := []int16{kerr.OperationNotAttempted.Code, kerr.UnknownTopicOrPartition.Code}
	if got := w.addToTransaction(0, "a", id, 0, "orders", "nothing"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("one of two partitions unknown: codes %v, want %v", got, want)
	}
	if got := w.addToTransaction(0, "a", id, 0, "orders"); got[0] != 0 {
		t.Errorf("add: code %d", got[0])
	}
	if r := w.endTransaction(0, "a", id, 0, true); r.ErrorCode != 0 {
		t.Errorf("end: code %d", r.ErrorCode)
	}
	if second := w.initProducer(4, "a"); second.ProducerID != id || second.ProducerEpoch != 1 {
		t.Errorf("init again: %+v, want epoch 1 of %d", second, id)
	}
	for _, c := range []struct {
		version int16
		want    *kerr.Error
	}{{1, kerr.InvalidProducerEpoch}, {2, kerr.ProducerFenced}} {
		if got := w.addToTransaction(c.version, "a", id, 0, "orders"); got[0] != c.want.Code {
			t.Errorf("add v%d of a fenced producer: code %d, want %d", c.version, got[0], c.want.Code)
		}
		if r := w.endTransaction(c.version, "a", id, 0, true); r.ErrorCode != c.want.Code {
			t.Errorf("end v%d of a fenced producer: code %d, want %d", c.version, r.ErrorCode, c.want.Code)
		}
	}
}

func TestIdempotentProducersGetIdsOfTheirOwn(t *testing.T) {
	w := startWhole(t)
	seen := map[int64]bool{}
	c := w.client()
	for range 1100 { // more than a block
		r := on[*kmsg.InitProducerIDResponse](c, 4, kmsg.NewPtrInitProducerIDRequest())
		if r.ErrorCode != 0 || r.ProducerEpoch != 0 || seen[r.ProducerID] {
			t.Fatalf("after %d: %+v", len(seen), r)
		}
		seen[r.ProducerID] = true
	}
	if r := w.initProducer(4, "a"); seen[r.ProducerID] {
		t.Errorf("a transactional producer has the id %d of another", r.ProducerID)
	}
}

// hang leaves a transaction open in orders-0.
func (w *whole) hang(id string) *kgo.Client {
	w.t.Helper()
	cl := w.kgo(kgo.TransactionalID(id), kgo.DefaultProduceTopic("orders"))
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.ProduceSync(w.t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return cl
}

func TestOpenTransactionsCanBeLookedAt(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	w.hang("a")
	w.initProducer(4, "b")

	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{"a", "nobody"}
	d := ask[*kmsg.DescribeTransactionsResponse](w, 0, describe)
	a := d.TransactionStates[0]
	if a.State != "Ongoing" || a.ErrorCode != 0 || len(a.Topics) != 1 || a.Topics[0].Topic != "orders" || a.StartTimestamp <= 0 {
		t.Errorf("describe a: %+v", a)
	}
	if code := d.TransactionStates[1].ErrorCode; code != kerr.TransactionalIDNotFound.Code {
		t.Errorf("describe nobody: code %d", code)
	}
	list := kmsg.NewPtrListTransactionsRequest()
	list.StateFilters = []string{"Ongoing", "Odd"}
	l := ask[*kmsg.ListTransactionsResponse](w, 1, list)
	if len(l.TransactionStates) != 1 || l.TransactionStates[0].TransactionalID != "a" || fmt.Sprint(l.UnknownStateFilters) != "[Odd]" {
		t.Errorf("list: %+v", l)
	}
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "orders", Partitions: []int32{0, 7}}}
	p := ask[*kmsg.DescribeProducersResponse](w, 0, producers).Topics[0].Partitions
	if len(p[0].ActiveProducers) != 1 || p[0].ActiveProducers[0].ProducerID != a.ProducerID || p[0].ActiveProducers[0].CurrentTxnStartOffset != 0 {
		t.Errorf("producers of orders-0: %+v", p[0])
	}
	if p[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("producers of orders-7: %+v", p[1])
	}
}

func TestAnOperatorEndsATransactionThatHangs(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	w.hang("a")
	ref, err := w.broker.Partition(partition.ID{Topic: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	if ref.LastStable() != 0 || ref.HighWatermark() != 1 {
		t.Fatalf("before: stable up to %d of %d", ref.LastStable(), ref.HighWatermark())
	}
	var producer kmsg.DescribeTransactionsResponseTransactionState
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{"a"}
	producer = ask[*kmsg.DescribeTransactionsResponse](w, 0, describe).TransactionStates[0]
	m := kmsg.NewPtrWriteTxnMarkersRequest()
	m.Markers = []kmsg.WriteTxnMarkersRequestMarker{{
		ProducerID: producer.ProducerID, ProducerEpoch: producer.ProducerEpoch,
		Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "orders", Partitions: []int32{0, 3}}, {Topic: "nothing", Partitions: []int32{0}}},
	}}
	r := ask[*kmsg.WriteTxnMarkersResponse](w, 1, m).Markers[0]
	if r.Topics[0].Partitions[0].ErrorCode != 0 || r.Topics[0].Partitions[1].ErrorCode != kerr.UnknownTopicOrPartition.Code ||
		r.Topics[1].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("markers: %+v", r)
	}
	if ref.LastStable() != 2 {
		t.Errorf("after: stable up to %d of %d", ref.LastStable(), ref.HighWatermark())
	}
	// A transaction of its own epoch wants a newer one.
	m.Markers[0].TransactionVersion = 2
	if r := ask[*kmsg.WriteTxnMarkersResponse](w, 2, m).Markers[0]; r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidProducerEpoch.Code {
		t.Errorf("a marker that is not newer: %+v", r)
	}
}

// Offsets of a transaction count when it is committed, and not before.
func TestOffsetsOfATransactionCountWithIt(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	p := w.initProducer(4, "a")
	epoch := p.ProducerEpoch
	committed := func() int64 {
		m := kmsg.NewPtrOffsetFetchRequest()
		m.Group, m.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0}}}
		return ask[*kmsg.OffsetFetchResponse](w, 5, m).Topics[0].Partitions[0].Offset
	}
	for i, c := range []struct {
		version int16
		commit  bool
		want    int64
	}{{5, true, 10}, {5, false, 10}, {3, true, 30}} {
		if c.version < 5 {
			add := patient(w, 3, func(r *kmsg.AddOffsetsToTxnResponse) int16 { return r.ErrorCode }, func() kmsg.Request {
				m := kmsg.NewPtrAddOffsetsToTxnRequest()
				m.TransactionalID, m.ProducerID, m.ProducerEpoch, m.Group = "a", p.ProducerID, epoch, "g"
				return m
			})
			if add.ErrorCode != 0 {
				t.Fatalf("add offsets: code %d", add.ErrorCode)
			}
		}
		before := committed()
		r := patient(w, c.version, func(r *kmsg.TxnOffsetCommitResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode }, func() kmsg.Request {
			m := kmsg.NewPtrTxnOffsetCommitRequest()
			m.TransactionalID, m.Group, m.ProducerID, m.ProducerEpoch, m.Generation = "a", "g", p.ProducerID, epoch, -1
			m.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: int64(10 * (i + 1)), LeaderEpoch: -1}}}}
			return m
		})
		if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatalf("commit v%d: code %d", c.version, code)
		}
		if got := committed(); got != before {
			t.Errorf("before the end of transaction %d: offset %d, was %d", i, got, before)
		}
		end := w.endTransaction(5, "a", p.ProducerID, epoch, c.commit)
		if end.ErrorCode != 0 {
			t.Fatalf("end: code %d", end.ErrorCode)
		}
		epoch = end.ProducerEpoch
		w.awaitState("a", map[bool]string{true: "CompleteCommit", false: "CompleteAbort"}[c.commit])
		for committed() != c.want { // the group's coordinator reads the marker
			<-time.After(time.Millisecond)
		}
	}
	// Who is not part of the transaction may not.
	m := kmsg.NewPtrTxnOffsetCommitRequest()
	m.TransactionalID, m.Group, m.ProducerID, m.ProducerEpoch, m.Generation = "a", "g", p.ProducerID, epoch, -1
	m.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 99}}}}
	if r := ask[*kmsg.TxnOffsetCommitResponse](w, 4, m); r.Topics[0].Partitions[0].ErrorCode != kerr.TransactionAbortable.Code {
		t.Errorf("commit v4 without adding the group: %+v", r)
	}
}

func (w *whole) awaitState(id, state string) {
	w.t.Helper()
	m := kmsg.NewPtrDescribeTransactionsRequest()
	m.TransactionalIDs = []string{id}
	for ask[*kmsg.DescribeTransactionsResponse](w, 0, m).TransactionStates[0].State != state {
		<-time.After(time.Millisecond)
	}
}
