package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every broker answers, also one that has nothing to tell of.
func TestDescribeLogDirsNamesTheDirectoryAlways(t *testing.T) {
	w := startWhole(t)
	sizes := func(v int16, topics []kmsg.DescribeLogDirsRequestTopic) map[string]int64 {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = topics
		resp := ask[*kmsg.DescribeLogDirsResponse](w, v, req)
		if len(resp.Dirs) != 1 || resp.Dirs[0].ErrorCode != 0 {
			t.Fatalf("v%d: %+v", v, resp.Dirs)
		}
		if v >= 4 && resp.Dirs[0].UsableBytes <= 0 {
			t.Errorf("v%d: %d bytes are left", v, resp.Dirs[0].UsableBytes)
		}
		all := map[string]int64{}
		for _, topic := range resp.Dirs[0].Topics {
			for _, p := range topic.Partitions {
				all[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = p.Size
			}
		}
		return all
	}
	for v := int16(0); v <= 5; v++ {
		if got := sizes(v, nil); len(got) != 0 {
			t.Errorf("v%d: an empty broker has %v", v, got)
		}
	}
	w.topic("orders", 2)
	w.topic("others", 1)
	ask[*kmsg.ProduceResponse](w, 9, produceRequest("orders", [16]byte{}, 1, batchOf("some bytes")))
	got := sizes(5, nil)
	if len(got) != 3 || got["orders-1"] == 0 || got["orders-0"] != 0 {
		t.Errorf("all topics: %v", got)
	}
	only := kmsg.NewDescribeLogDirsRequestTopic()
	only.Topic, only.Partitions = "orders", []int32{1}
	if got := sizes(5, []kmsg.DescribeLogDirsRequestTopic{only}); len(got) != 1 || got["orders-1"] == 0 {
		t.Errorf("one partition: %v", got)
	}
}

func TestReassignmentsOnOneNodeAreCompleteAtOnce(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 2)
	move := func(partition int32, allow bool, nodes ...int32) int16 {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis, req.AllowReplicationFactorChange = 10_000, allow
		q := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		q.Topic = "orders"
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = partition, nodes
		q.Partitions = append(q.Partitions, p)
		req.Topics = append(req.Topics, q)
		return ask[*kmsg.AlterPartitionAssignmentsResponse](w, 1, req).Topics[0].Partitions[0].ErrorCode
	}
	wantCode(t, "where it is", move(1, true, 1), nil)
	wantCode(t, "to no broker", move(1, true, 2), kerr.InvalidReplicaAssignment)
	wantCode(t, "to one broker twice", move(1, true, 1, 1), kerr.InvalidReplicaAssignment)
	wantCode(t, "to more brokers, which is not allowed", move(1, false, 1, 2), kerr.InvalidReplicationFactor)
	wantCode(t, "taken back", move(1, true), kerr.NoReassignmentInProgress)
	wantCode(t, "no such partition", move(9, true, 1), kerr.UnknownTopicOrPartition)
	list := ask[*kmsg.ListPartitionReassignmentsResponse](w, 0, kmsg.NewPtrListPartitionReassignmentsRequest())
	if list.ErrorCode != 0 || len(list.Topics) != 0 {
		t.Errorf("under way: %+v", list)
	}
	// Where nothing moved, everything goes on.
	wantCode(t, "produce", ask[*kmsg.ProduceResponse](w, 9, produceRequest("orders", [16]byte{}, 1, batchOf("x"))).Topics[0].Partitions[0].ErrorCode, nil)
}

func TestElectLeadersNeedsNoElectionWhereTheLeaderIsRight(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 2)
	elect := func(v int16, kind int8, topics ...string) *kmsg.ElectLeadersResponse {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType, req.TimeoutMillis = kind, 10_000
		for _, name := range topics {
			q := kmsg.NewElectLeadersRequestTopic()
			q.Topic, q.Partitions = name, []int32{0}
			req.Topics = append(req.Topics, q)
		}
		return ask[*kmsg.ElectLeadersResponse](w, v, req)
	}
	for v := int16(0); v <= 2; v++ {
		resp := elect(v, 0, "orders", "none")
		wantCode(t, "the leader is right", resp.Topics[0].Partitions[0].ErrorCode, kerr.ElectionNotNeeded)
		wantCode(t, "no such topic", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		if all := elect(v, 0); len(all.Topics) != 0 || all.ErrorCode != 0 {
			t.Errorf("v%d: of all partitions there is to say: %+v", v, all)
		}
	}
	wantCode(t, "unclean", elect(2, 1, "orders").Topics[0].Partitions[0].ErrorCode, kerr.ElectionNotNeeded)
	wantCode(t, "no such election", elect(2, 5, "orders").ErrorCode, kerr.InvalidRequest)
}

func TestReplicasMoveBetweenDirectoriesOnlyToWhereTheyAre(t *testing.T) {
	w := startWhole(t)
	w.topic("orders", 1)
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		for _, name := range []string{w.dir(), "/elsewhere"} {
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			d.Dir = name
			q := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			q.Topic, q.Partitions = "orders", []int32{0, 7}
			d.Topics = append(d.Topics, q)
			req.Dirs = append(req.Dirs, d)
		}
		resp := ask[*kmsg.AlterReplicaLogDirsResponse](w, v, req)
		wantCode(t, "where it is", resp.Topics[0].Partitions[0].ErrorCode, nil)
		wantCode(t, "no such partition", resp.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
		wantCode(t, "elsewhere", resp.Topics[1].Partitions[0].ErrorCode, kerr.LogDirNotFound)
	}
}

func TestClientQuotasAreSetFoundAndRemoved(t *testing.T) {
	w := startWhole(t)
	alter := func(v int16, remove bool, value float64, key string, entity ...string) int16 {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		q := kmsg.NewAlterClientQuotasRequestEntry()
		for i := 0; i < len(entity); i += 2 {
			e := kmsg.NewAlterClientQuotasRequestEntryEntity()
			e.Type, e.Name = entity[i], &entity[i+1]
			if entity[i+1] == "" {
				e.Name = nil
			}
			q.Entity = append(q.Entity, e)
		}
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value, op.Remove = key, value, remove
		q.Ops = append(q.Ops, op)
		req.Entries = append(req.Entries, q)
		return ask[*kmsg.AlterClientQuotasResponse](w, v, req).Entries[0].ErrorCode
	}
	find := func(v int16, strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) (found []string, code int16) {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Components, req.Strict = components, strict
		resp := ask[*kmsg.DescribeClientQuotasResponse](w, v, req)
		for _, e := range resp.Entries {
			text := ""
			for _, n := range e.Entity {
				name := "*"
				if n.Name != nil {
					name = *n.Name
				}
				text += n.Type + "=" + name + " "
			}
			for _, v := range e.Values {
				text += fmt.Sprintf("%s=%v", v.Key, v.Value)
			}
			found = append(found, text)
		}
		return found, resp.ErrorCode
	}
	component := func(kind string, match int8, name string) kmsg.DescribeClientQuotasRequestComponent {
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType = kind, kmsg.QuotasMatchType(match)
		if match == 0 {
			c.Match = &name
		}
		return c
	}
	for v := int16(0); v <= 1; v++ {
		wantCode(t, "a user", alter(v, false, 100, "producer_byte_rate", "user", "alice"), nil)
		wantCode(t, "a client of any user", alter(v, false, 50, "consumer_byte_rate", "user", "", "client-id", "c"), nil)
		wantCode(t, "an unknown value", alter(v, false, 1, "no_such_rate", "user", "alice"), kerr.InvalidRequest)
		wantCode(t, "an unknown type", alter(v, false, 1, "producer_byte_rate", "host", "alice"), kerr.InvalidRequest)
		if got, _ := find(v, false); !slices.Equal(got, []string{"client-id=c user=* consumer_byte_rate=50", "user=alice producer_byte_rate=100"}) {
			t.Errorf("v%d: all: %q", v, got)
		}
		if got, _ := find(v, false, component("user", 2, "")); len(got) != 2 {
			t.Errorf("v%d: any user: %q", v, got)
		}
		if got, _ := find(v, true, component("user", 2, "")); len(got) != 1 {
			t.Errorf("v%d: any user and nothing else: %q", v, got)
		}
		if got, _ := find(v, false, component("user", 1, "")); len(got) != 1 {
			t.Errorf("v%d: the default user: %q", v, got)
		}
		if got, _ := find(v, false, component("user", 0, "bob")); len(got) != 0 {
			t.Errorf("v%d: bob: %q", v, got)
		}
		_, code := find(v, false, component("user", 2, ""), component("user", 1, ""))
		wantCode(t, "a type twice", code, kerr.InvalidRequest)
		_, code = find(v, false, component("host", 2, ""))
		wantCode(t, "an unknown type", code, kerr.UnsupportedVersion)
		wantCode(t, "removed", alter(v, true, 0, "producer_byte_rate", "user", "alice"), nil)
		wantCode(t, "removed", alter(v, true, 0, "consumer_byte_rate", "user", "", "client-id", "c"), nil)
		if got, _ := find(v, false); len(got) != 0 {
			t.Errorf("v%d: after that: %q", v, got)
		}
	}
}
