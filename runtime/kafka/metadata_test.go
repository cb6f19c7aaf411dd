package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataRequest asks for topics by name; without any it asks for all.
func metadataRequest(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestMetadataDescribesTheClusterInEveryVersion(t *testing.T) {
	w := startWhole(t)
	id := w.topic("orders", 3)
	w.topic("bills", 1)
	for version := int16(0); version <= 13; version++ {
		req := metadataRequest()
		req.AllowAutoTopicCreation = true
		resp := ask[*kmsg.MetadataResponse](w, version, req)
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 || fmt.Sprintf("%s:%d", resp.Brokers[0].Host, resp.Brokers[0].Port) != w.addr || resp.Brokers[0].Rack != nil {
			t.Errorf("v%d: brokers %+v, want the one at %s", version, resp.Brokers, w.addr)
		}
		if version >= 1 && resp.ControllerID != 1 || version >= 2 && (resp.ClusterID == nil || *resp.ClusterID == "") {
			t.Errorf("v%d: controller %d of cluster %v", version, resp.ControllerID, resp.ClusterID)
		}
		var names []string
		for _, topic := range resp.Topics {
			names = append(names, *topic.Topic)
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 || p.Leader != 1 || !slices.Equal(p.ISR, []int32{1}) || version >= 7 && p.LeaderEpoch < 0 {
					t.Errorf("v%d: %s: %+v", version, *topic.Topic, p)
				}
			}
		}
		if !slices.Equal(names, []string{"bills", "orders"}) || len(resp.Topics[1].Partitions) != 3 || version >= 10 && resp.Topics[1].TopicID != id {
			t.Errorf("v%d: topics %q: %+v", version, names, resp.Topics)
		}
		if version == 0 {
			continue
		}
		none := metadataRequest()
		none.Topics = []kmsg.MetadataRequestTopic{}
		if resp := ask[*kmsg.MetadataResponse](w, version, none); len(resp.Topics) != 0 {
			t.Errorf("v%d: an empty list of topics is answered with %d", version, len(resp.Topics))
		}
	}
	byID := metadataRequest("")
	byID.Topics[0].Topic, byID.Topics[0].TopicID = nil, id
	if resp := ask[*kmsg.MetadataResponse](w, 12, byID); *resp.Topics[0].Topic != "orders" {
		t.Errorf("by its id: %+v", resp.Topics)
	}
	byID.Topics[0].TopicID = [16]byte{9}
	if resp := ask[*kmsg.MetadataResponse](w, 12, byID); resp.Topics[0].ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("by an unknown id: %+v", resp.Topics)
	}
}

func TestTopicsComeIntoBeingOnlyWhereBothSidesWantIt(t *testing.T) {
	w := startWhole(t)
	for n, c := range []struct {
		server, client bool
		version        int16
		made           bool
	}{
		{false, true, 4, false}, {true, false, 4, false}, {true, true, 4, true}, {true, false, 3, true}, {false, true, 3, false},
	} {
		w.SetAutoCreate(c.server)
		name := fmt.Sprintf("topic-%d", n)
		req := metadataRequest(name, "no/name")
		req.AllowAutoTopicCreation = c.client
		resp := ask[*kmsg.MetadataResponse](w, c.version, req)
		topic := resp.Topics[0]
		switch {
		case c.made && (topic.ErrorCode != 0 || len(topic.Partitions) != defaultPartitions):
			t.Errorf("%+v: %+v", c, topic)
		case !c.made && topic.ErrorCode != kerr.UnknownTopicOrPartition.Code:
			t.Errorf("%+v: %v", c, kerr.ErrorForCode(topic.ErrorCode))
		}
		if code := resp.Topics[1].ErrorCode; code != kerr.InvalidTopicException.Code {
			t.Errorf("%+v: an impossible name: %v", c, kerr.ErrorForCode(code))
		}
		if c.made {
			mustProduce(w, name, [16]byte{}, 3, "at once")
		}
	}
}

func TestDescribeClusterTellsBrokersOnly(t *testing.T) {
	w := startWhole(t)
	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = endpointBrokers
		resp := ask[*kmsg.DescribeClusterResponse](w, version, req)
		if resp.ErrorCode != 0 || len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 || resp.ControllerID != 1 || resp.ClusterID == "" {
			t.Errorf("v%d: %+v", version, resp)
		}
	}
	for kind, want := range map[int8]*kerr.Error{endpointControllers: kerr.MismatchedEndpointType, 7: kerr.UnsupportedEndpointType} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = kind
		if resp := ask[*kmsg.DescribeClusterResponse](w, 1, req); resp.ErrorCode != want.Code || len(resp.Brokers) != 0 {
			t.Errorf("endpoint type %d: %+v", kind, resp)
		}
	}
}

// Piece by piece, the cursor leads through everything once.
func TestDescribeTopicPartitionsGoesOnWhereItStopped(t *testing.T) {
	w := startWhole(t)
	w.topic("a", 3)
	w.topic("b", 1)
	w.topic("c", 4)
	for limit := int32(1); limit <= 9; limit++ {
		var got []string
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for range 20 {
			resp := ask[*kmsg.DescribeTopicPartitionsResponse](w, 0, req)
			n := int32(0)
			for _, topic := range resp.Topics {
				for _, p := range topic.Partitions {
					got = append(got, fmt.Sprintf("%s-%d", *topic.Topic, p.Partition))
					n++
				}
			}
			if n > limit {
				t.Fatalf("limit %d: %d partitions in one answer", limit, n)
			}
			if resp.NextCursor == nil {
				break
			}
			next := kmsg.NewDescribeTopicPartitionsRequestCursor()
			next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
			req.Cursor = &next
		}
		if want := []string{"a-0", "a-1", "a-2", "b-0", "c-0", "c-1", "c-2", "c-3"}; !slices.Equal(got, want) {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 5
	unknown := kmsg.NewDescribeTopicPartitionsRequestTopic()
	unknown.Topic = "nothing"
	req.Topics = append(req.Topics, unknown)
	if resp := ask[*kmsg.DescribeTopicPartitionsResponse](w, 0, req); resp.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("an unknown topic: %+v", resp.Topics)
	}
}

func TestFindCoordinatorNamesThisNode(t *testing.T) {
	w := startWhole(t)
	for version := int16(0); version <= 6; version++ {
		for kind := int8(0); kind <= 3; kind++ {
			if version == 0 && kind > 0 {
				continue
			}
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = "g", []string{"g", "h"}, kind
			resp := ask[*kmsg.FindCoordinatorResponse](w, version, req)
			list := resp.Coordinators
			if version < 4 {
				list = []kmsg.FindCoordinatorResponseCoordinator{{NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port, ErrorCode: resp.ErrorCode}}
			} else if len(list) != 2 || list[1].Key != "h" {
				t.Fatalf("v%d: %+v", version, list)
			}
			for _, c := range list {
				switch {
				case kind == 3 && c.ErrorCode != kerr.InvalidRequest.Code:
					t.Errorf("v%d: of no kind: %+v", version, c)
				case kind < 2 && (c.ErrorCode != 0 || c.NodeID != 1 || fmt.Sprintf("%s:%d", c.Host, c.Port) != w.addr):
					t.Errorf("v%d: kind %d: %+v", version, kind, c)
				}
			}
		}
	}
}
