package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refuse is the answer to body that says code wherever such an answer can: for
// a coordinator that cannot deal with it at all.
func refuse(body kmsg.Request, code int16) kmsg.Response {
	switch b := body.(type) {
	case *kmsg.OffsetCommitRequest:
		resp := b.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range b.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.TxnOffsetCommitRequest:
		resp := b.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, t := range b.Topics {
			rt := kmsg.NewTxnOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.OffsetFetchRequest:
		return refuseFetch(b, code)
	case *kmsg.ReadShareGroupStateRequest, *kmsg.WriteShareGroupStateRequest:
		return refuseShareState(body, code)
	}
	return refusePlain(body, code)
}

func refuseFetch(b *kmsg.OffsetFetchRequest, code int16) kmsg.Response {
	resp := b.ResponseKind().(*kmsg.OffsetFetchResponse)
	resp.ErrorCode = code
	for _, t := range b.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: ptr(""), ErrorCode: code,
			})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, g := range b.Groups {
		resp.Groups = append(resp.Groups, kmsg.OffsetFetchResponseGroup{Group: g.Group, ErrorCode: code})
	}
	return resp
}

func refuseShareState(body kmsg.Request, code int16) kmsg.Response {
	switch b := body.(type) {
	case *kmsg.ReadShareGroupStateRequest:
		resp := b.ResponseKind().(*kmsg.ReadShareGroupStateResponse)
		for _, t := range b.Topics {
			rt := kmsg.ReadShareGroupStateResponseTopic{TopicID: t.TopicID}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.ReadShareGroupStateResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.WriteShareGroupStateRequest:
		resp := b.ResponseKind().(*kmsg.WriteShareGroupStateResponse)
		for _, t := range b.Topics {
			rt := kmsg.WriteShareGroupStateResponseTopic{TopicID: t.TopicID}
			for _, p := range t.Partitions {
				rt.Partitions = append(rt.Partitions, kmsg.WriteShareGroupStateResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	}
	return body.ResponseKind()
}

// refusePlain is refuse for answers with one error, or one a group.
func refusePlain(body kmsg.Request, code int16) kmsg.Response {
	text := ptr(kerr.ErrorForCode(code).Error())
	resp := body.ResponseKind()
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		r.ErrorCode, r.Generation, r.MemberID = code, -1, body.(*kmsg.JoinGroupRequest).MemberID
	case *kmsg.SyncGroupResponse:
		r.ErrorCode = code
	case *kmsg.HeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		r.ErrorCode = code
	case *kmsg.ListGroupsResponse:
		r.ErrorCode = code
	case *kmsg.OffsetDeleteResponse:
		r.ErrorCode = code
	case *kmsg.ConsumerGroupHeartbeatResponse:
		r.ErrorCode, r.ErrorMessage = code, text
	case *kmsg.ShareGroupHeartbeatResponse:
		r.ErrorCode, r.ErrorMessage = code, text
	case *kmsg.AlterShareGroupOffsetsResponse:
		r.ErrorCode, r.ErrorMessage = code, text
	case *kmsg.DeleteShareGroupOffsetsResponse:
		r.ErrorCode, r.ErrorMessage = code, text
	case *kmsg.DescribeGroupsResponse:
		for _, id := range body.(*kmsg.DescribeGroupsRequest).Groups {
			e := kmsg.NewDescribeGroupsResponseGroup()
			e.Group, e.ErrorCode = id, code
			r.Groups = append(r.Groups, e)
		}
	case *kmsg.DeleteGroupsResponse:
		for _, id := range body.(*kmsg.DeleteGroupsRequest).Groups {
			r.Groups = append(r.Groups, kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: code})
		}
	case *kmsg.ConsumerGroupDescribeResponse:
		for _, id := range body.(*kmsg.ConsumerGroupDescribeRequest).Groups {
			e := kmsg.NewConsumerGroupDescribeResponseGroup()
			e.Group, e.ErrorCode, e.ErrorMessage = id, code, text
			r.Groups = append(r.Groups, e)
		}
	case *kmsg.ShareGroupDescribeResponse:
		for _, id := range body.(*kmsg.ShareGroupDescribeRequest).GroupIDs {
			e := kmsg.NewShareGroupDescribeResponseGroup()
			e.GroupID, e.ErrorCode, e.ErrorMessage = id, code, text
			r.Groups = append(r.Groups, e)
		}
	case *kmsg.DescribeShareGroupOffsetsResponse:
		for _, q := range body.(*kmsg.DescribeShareGroupOffsetsRequest).Groups {
			e := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
			e.GroupID, e.ErrorCode, e.ErrorMessage = q.GroupID, code, text
			r.Groups = append(r.Groups, e)
		}
	}
	return resp
}

// Refuse is the answer to body that says code.
func Refuse(body kmsg.Request, code int16) kmsg.Response { return refuse(body, code) }
