package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wantCode fails unless a code is that of want; nil is none.
func wantCode(t *testing.T, what string, code int16, want *kerr.Error) {
	t.Helper()
	expected := int16(0)
	if want != nil {
		expected = want.Code
	}
	if code != expected {
		t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(code), kerr.ErrorForCode(expected))
	}
}

// newTopicRequest asks for topics of one partition with a factor and configs.
func newTopicRequest(names ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestCreateTopicsInEveryVersion(t *testing.T) {
	w := startWhole(t)
	for v := int16(0); v <= 7; v++ {
		name := fmt.Sprintf("topic-%d", v)
		req := newTopicRequest(name)
		req.Topics[0].NumPartitions = 3
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = "retention.ms", kmsg.StringPtr("1234")
		req.Topics[0].Configs = append(req.Topics[0].Configs, c)
		resp := ask[*kmsg.CreateTopicsResponse](w, v, req)
		to := resp.Topics[0]
		wantCode(t, fmt.Sprintf("v%d", v), to.ErrorCode, nil)
		known, ok := w.image().Topic(name)
		if !ok || len(known.Partitions) != 3 || known.Configs["retention.ms"] != "1234" {
			t.Fatalf("v%d: the topic is %+v", v, known)
		}
		if v >= 5 && (to.NumPartitions != 3 || to.ReplicationFactor != 1 || len(to.Configs) < 20) {
			t.Errorf("v%d: %d partitions, factor %d, %d configs", v, to.NumPartitions, to.ReplicationFactor, len(to.Configs))
		}
		if v >= 5 {
			at := slices.IndexFunc(to.Configs, func(c kmsg.CreateTopicsResponseTopicConfig) bool { return c.Name == "retention.ms" })
			if got := to.Configs[at]; *got.Value != "1234" || got.Source != 1 {
				t.Errorf("v%d: retention.ms is %s from %d", v, *got.Value, got.Source)
			}
		}
		if v >= 7 && to.TopicID != known.ID {
			t.Errorf("v%d: id %v, want %v", v, to.TopicID, known.ID)
		}
		again := ask[*kmsg.CreateTopicsResponse](w, v, newTopicRequest(name))
		wantCode(t, fmt.Sprintf("v%d again", v), again.Topics[0].ErrorCode, kerr.TopicAlreadyExists)
		if v >= 1 && (again.Topics[0].ErrorMessage == nil || !strings.Contains(*again.Topics[0].ErrorMessage, name)) {
			t.Errorf("v%d: the error says %v", v, again.Topics[0].ErrorMessage)
		}
	}
}

// A partition takes records as soon as its topic is answered for.
func TestATopicTakesRecordsWhenItsCreationIsAnswered(t *testing.T) {
	w := startWhole(t)
	c := w.client()
	for i := range 20 {
		name := fmt.Sprintf("topic-%d", i)
		on[*kmsg.CreateTopicsResponse](c, 7, newTopicRequest(name))
		resp := on[*kmsg.ProduceResponse](c, 9, produceRequest(name, [16]byte{}, 0, batchOf("x")))
		wantCode(t, name, resp.Topics[0].Partitions[0].ErrorCode, nil)
	}
}

func TestCreateTopicsRefusesWhatKafkaRefuses(t *testing.T) {
	w := startWhole(t)
	w.topic("a.b", 1)
	for _, c := range []struct {
		what   string
		change func(*kmsg.CreateTopicsRequestTopic)
		want   *kerr.Error
	}{
		{"a name with a slash", func(q *kmsg.CreateTopicsRequestTopic) { q.Topic = "a/b" }, kerr.InvalidTopicException},
		{"no name", func(q *kmsg.CreateTopicsRequestTopic) { q.Topic = "" }, kerr.InvalidTopicException},
		{"a name that collides", func(q *kmsg.CreateTopicsRequestTopic) { q.Topic = "a_b" }, kerr.InvalidTopicException},
		{"a name of 250 letters", func(q *kmsg.CreateTopicsRequestTopic) { q.Topic = strings.Repeat("x", 250) }, kerr.InvalidTopicException},
		{"no partition", func(q *kmsg.CreateTopicsRequestTopic) { q.NumPartitions = 0 }, kerr.InvalidPartitions},
		{"a factor above the brokers", func(q *kmsg.CreateTopicsRequestTopic) { q.ReplicationFactor = 3 }, kerr.InvalidReplicationFactor},
		{"a factor of 0", func(q *kmsg.CreateTopicsRequestTopic) { q.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor},
		{"an unknown config", func(q *kmsg.CreateTopicsRequestTopic) { q.Configs = newConfigs("no.such", "1") }, kerr.InvalidConfig},
		{"an invalid config", func(q *kmsg.CreateTopicsRequestTopic) { q.Configs = newConfigs("cleanup.policy", "shred") }, kerr.InvalidConfig},
		{"a config twice", func(q *kmsg.CreateTopicsRequestTopic) {
			q.Configs = newConfigs("retention.ms", "1", "retention.ms", "2")
		}, kerr.InvalidConfig},
		{"replicas and a number of partitions", func(q *kmsg.CreateTopicsRequestTopic) { q.ReplicaAssignment = assigned(1) }, kerr.InvalidRequest},
		{"replicas on no broker", func(q *kmsg.CreateTopicsRequestTopic) {
			q.NumPartitions, q.ReplicationFactor, q.ReplicaAssignment = -1, -1, assigned(9)
		}, kerr.InvalidReplicaAssignment},
		{"replicas of a partition twice", func(q *kmsg.CreateTopicsRequestTopic) {
			q.NumPartitions, q.ReplicationFactor, q.ReplicaAssignment = -1, -1, append(assigned(1), assigned(1)...)
		}, kerr.InvalidReplicaAssignment},
		{"good replicas", func(q *kmsg.CreateTopicsRequestTopic) {
			q.Topic, q.NumPartitions, q.ReplicationFactor, q.ReplicaAssignment = "good", -1, -1, assigned(1)
		}, nil},
		{"defaults", func(q *kmsg.CreateTopicsRequestTopic) {
			q.Topic, q.NumPartitions, q.ReplicationFactor = "defaults", -1, -1
		}, nil},
	} {
		req := newTopicRequest("topic")
		c.change(&req.Topics[0])
		resp := ask[*kmsg.CreateTopicsResponse](w, 7, req)
		wantCode(t, c.what, resp.Topics[0].ErrorCode, c.want)
	}
	twin := ask[*kmsg.CreateTopicsResponse](w, 7, newTopicRequest("twin", "twin", "lone"))
	wantCode(t, "a name twice", twin.Topics[0].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "a name twice", twin.Topics[1].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "beside it", twin.Topics[2].ErrorCode, nil)
	if d, _ := w.image().Topic("defaults"); len(d.Partitions) != 4 {
		t.Errorf("by default a topic has %d partitions", len(d.Partitions))
	}
	check := newTopicRequest("checked")
	check.ValidateOnly = true
	wantCode(t, "validate only", ask[*kmsg.CreateTopicsResponse](w, 7, check).Topics[0].ErrorCode, nil)
	if _, made := w.image().Topic("checked"); made {
		t.Error("what was to be checked was made")
	}
}

func newConfigs(pairs ...string) (list []kmsg.CreateTopicsRequestTopicConfig) {
	for i := 0; i < len(pairs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = pairs[i], &pairs[i+1]
		list = append(list, c)
	}
	return list
}

func assigned(node int32) []kmsg.CreateTopicsRequestTopicReplicaAssignment {
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = []int32{node}
	return []kmsg.CreateTopicsRequestTopicReplicaAssignment{a}
}

func deleteRequest(name *string, id [16]byte) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	q := kmsg.NewDeleteTopicsRequestTopic()
	q.Topic, q.TopicID = name, id
	req.Topics = append(req.Topics, q)
	return req
}

func TestDeleteTopicsByNameAndByID(t *testing.T) {
	w := startWhole(t)
	for v := int16(0); v <= 6; v++ {
		w.topic("orders", 2)
		req := deleteRequest(kmsg.StringPtr("orders"), [16]byte{})
		req.TopicNames = []string{"orders"}
		resp := ask[*kmsg.DeleteTopicsResponse](w, v, req)
		wantCode(t, fmt.Sprintf("v%d", v), resp.Topics[0].ErrorCode, nil)
		again := ask[*kmsg.DeleteTopicsResponse](w, v, req)
		wantCode(t, fmt.Sprintf("v%d again", v), again.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	}
	was := w.topic("orders", 1)
	resp := ask[*kmsg.DeleteTopicsResponse](w, 6, deleteRequest(nil, was))
	wantCode(t, "by id", resp.Topics[0].ErrorCode, nil)
	if resp.Topics[0].Topic == nil || *resp.Topics[0].Topic != "orders" {
		t.Errorf("by id the answer names %v", resp.Topics[0].Topic)
	}
	is := w.topic("orders", 1)
	if was == is {
		t.Error("the same name made again has the same id")
	}
	wantCode(t, "by the id before", ask[*kmsg.DeleteTopicsResponse](w, 6, deleteRequest(nil, was)).Topics[0].ErrorCode, kerr.UnknownTopicID)
	wantCode(t, "by neither", ask[*kmsg.DeleteTopicsResponse](w, 6, deleteRequest(nil, [16]byte{})).Topics[0].ErrorCode, kerr.InvalidRequest)
	// Clients that know the topic by its old id must hear of it.
	fetched := ask[*kmsg.FetchResponse](w, 13, fetchRequest("", was, 0, 0))
	wantCode(t, "fetch by the id before", fetched.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
}

func growRequest(topic string, count int32, nodes ...int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 10_000
	q := kmsg.NewCreatePartitionsRequestTopic()
	q.Topic, q.Count = topic, count
	for _, n := range nodes {
		a := kmsg.NewCreatePartitionsRequestTopicAssignment()
		a.Replicas = []int32{n}
		q.Assignment = append(q.Assignment, a)
	}
	req.Topics = append(req.Topics, q)
	return req
}

func TestCreatePartitionsWithAndWithoutReplicas(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	for v := int16(0); v <= 3; v++ {
		resp := ask[*kmsg.CreatePartitionsResponse](w, v, growRequest("orders", 2+int32(v)))
		wantCode(t, fmt.Sprintf("v%d", v), resp.Topics[0].ErrorCode, nil)
		produced := ask[*kmsg.ProduceResponse](w, 9, produceRequest("orders", [16]byte{}, 1+int32(v), batchOf("x")))
		wantCode(t, "produce to the new one", produced.Topics[0].Partitions[0].ErrorCode, nil)
	}
	for _, c := range []struct {
		what string
		req  *kmsg.CreatePartitionsRequest
		want *kerr.Error
	}{
		{"as many as there are", growRequest("orders", 5), kerr.InvalidPartitions},
		{"fewer", growRequest("orders", 1), kerr.InvalidPartitions},
		{"no such topic", growRequest("none", 3), kerr.UnknownTopicOrPartition},
		{"replicas on no broker", growRequest("orders", 6, 7), kerr.InvalidReplicaAssignment},
		{"too few replicas", growRequest("orders", 7, 1), kerr.InvalidReplicaAssignment},
		{"good replicas", growRequest("orders", 7, 1, 1), nil},
	} {
		wantCode(t, c.what, ask[*kmsg.CreatePartitionsResponse](w, 3, c.req).Topics[0].ErrorCode, c.want)
	}
	check := growRequest("orders", 20)
	check.ValidateOnly = true
	wantCode(t, "validate only", ask[*kmsg.CreatePartitionsResponse](w, 3, check).Topics[0].ErrorCode, nil)
	if topic, _ := w.image().Topic("orders"); len(topic.Partitions) != 7 {
		t.Errorf("there are %d partitions", len(topic.Partitions))
	}
}

func TestDeleteRecordsSaysWhereThePartitionBeginsThen(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	w.topic("latest", 1, "cleanup.policy", "compact")
	c := w.client()
	for range 5 {
		on[*kmsg.ProduceResponse](c, 9, produceRequest("orders", [16]byte{}, 0, batchOf("a", "b")))
	}
	for _, q := range []struct {
		what      string
		topic     string
		partition int32
		offset    int64
		low       int64
		want      *kerr.Error
	}{
		{"the middle", "orders", 0, 4, 4, nil},
		{"below the first record", "orders", 0, 2, 4, nil},
		{"above the end", "orders", 0, 11, -1, kerr.OffsetOutOfRange},
		{"a negative offset", "orders", 0, -2, -1, kerr.OffsetOutOfRange},
		{"inside a batch", "orders", 0, 7, 7, nil},
		{"everything", "orders", 0, -1, 10, nil},
		{"no such partition", "orders", 5, 0, -1, kerr.UnknownTopicOrPartition},
		{"no such topic", "none", 0, 0, -1, kerr.UnknownTopicOrPartition},
		{"a compacted topic", "latest", 0, 0, -1, kerr.PolicyViolation},
	} {
		for v := int16(0); v <= 2; v++ {
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.TimeoutMillis = 10_000
			to := kmsg.NewDeleteRecordsRequestTopic()
			to.Topic = q.topic
			p := kmsg.NewDeleteRecordsRequestTopicPartition()
			p.Partition, p.Offset = q.partition, q.offset
			to.Partitions = append(to.Partitions, p)
			req.Topics = append(req.Topics, to)
			got := on[*kmsg.DeleteRecordsResponse](c, v, req).Topics[0].Partitions[0]
			wantCode(t, q.what, got.ErrorCode, q.want)
			if got.LowWatermark != q.low {
				t.Errorf("%s: low watermark %d, want %d", q.what, got.LowWatermark, q.low)
			}
		}
	}
	fetched := on[*kmsg.FetchResponse](c, 12, fetchRequest("orders", [16]byte{}, 0, 0))
	wantCode(t, "fetch what was deleted", fetched.Topics[0].Partitions[0].ErrorCode, kerr.OffsetOutOfRange)
}

// describedPartitions follows the cursor to the end, with so many partitions in an answer.
func describedPartitions(w *whole, limit int32, topics ...string) (all []string, answers int) {
	w.t.Helper()
	var cursor *kmsg.DescribeTopicPartitionsRequestCursor
	for {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range topics {
			q := kmsg.NewDescribeTopicPartitionsRequestTopic()
			q.Topic = name
			req.Topics = append(req.Topics, q)
		}
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](w, 0, req)
		answers++
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				all = append(all, fmt.Sprintf("%s-%d", *topic.Topic, p.Partition))
				if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
					w.t.Errorf("%s-%d: the eligible leaders are %v and %v, want lists", *topic.Topic, p.Partition, p.EligibleLeaderReplicas, p.LastKnownELR)
				}
			}
		}
		if resp.NextCursor == nil {
			return all, answers
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		cursor = &next
	}
}

func TestDescribeTopicPartitionsGoesOnWhereItsCursorIs(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 3)
	w.topic("bills", 2)
	all := []string{"bills-0", "bills-1", "orders-0", "orders-1", "orders-2"}
	for limit, answers := range map[int32]int{1: 5, 2: 3, 3: 2, 5: 1, 2000: 1} {
		got, n := describedPartitions(w, limit, "orders", "bills")
		if !slices.Equal(got, all) || n != answers {
			t.Errorf("at most %d in an answer: %v in %d answers, want %v in %d", limit, got, n, all, answers)
		}
	}
	if got, _ := describedPartitions(w, 2000, "orders"); !slices.Equal(got, all[2:]) {
		t.Errorf("one topic: %v", got)
	}
}
