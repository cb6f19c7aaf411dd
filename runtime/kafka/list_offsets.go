package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// ListOffsets (2), versions 1 to 11: offsets by time.
//
//   - A time is answered with the first record that is as late, which is looked
//     for inside of its batch; without one with -1 and no error.
//   - -1 is the end: the high watermark, or the last stable offset for readers
//     of committed records. -2 is the beginning; so is -4 (version 8), as no
//     records lie elsewhere. -3 (version 7) is the record with the latest time.
//     -5 (version 9) and -6 (version 11) speak of records that lie elsewhere.
//   - Offsets come with their leader epoch from version 4 on.
func (s *Server) listOffsets(r *request) {
	req := r.body.(*kmsg.ListOffsetsRequest)
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			if at := req.Topics[i].Partitions[j].Timestamp; at >= 0 || at == offsetMaxTime {
				r.background(func() { r.answer(s.offsets(req, r.version)) }) // looks into batches
				return
			}
		}
	}
	r.answer(s.offsets(req, r.version))
}

// The times that are none.
const (
	offsetLatest        = -1
	offsetEarliest      = -2
	offsetMaxTime       = -3
	offsetEarliestLocal = -4
	offsetLatestTiered  = -5
	offsetPendingUpload = -6
	offsetUnknown       = -1
)

// offsetSince are the versions in which those came up.
var offsetSince = map[int64]int16{
	offsetLatest: 1, offsetEarliest: 1, offsetMaxTime: 7, offsetEarliestLocal: 8, offsetLatestTiered: 9, offsetPendingUpload: 11,
}

func (s *Server) offsets(req *kmsg.ListOffsetsRequest, version int16) *kmsg.ListOffsetsResponse {
	resp, image := kmsg.NewPtrListOffsetsResponse(), s.image()
	seen := map[partition.ID]int{}
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			seen[partition.ID{Topic: req.Topics[i].Topic, Index: req.Topics[i].Partitions[j].Partition}]++
		}
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = q.Topic
		t, _ := image.Topic(q.Topic)
		for j := range q.Partitions {
			want := &q.Partitions[j]
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition = want.Partition
			err := error(kerr.InvalidRequest)
			if seen[partition.ID{Topic: q.Topic, Index: want.Partition}] == 1 {
				var ref partition.Ref
				if ref, err = s.partition(t, want.Partition); err == nil {
					err = offsetAt(ref, want, req.IsolationLevel == 1, version, &p)
				}
			}
			p.ErrorCode = codeOf(err)
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func offsetAt(ref partition.Ref, want *kmsg.ListOffsetsRequestTopicPartition, committed bool, version int16, p *kmsg.ListOffsetsResponseTopicPartition) error {
	p.Offset, p.Timestamp, p.LeaderEpoch = offsetUnknown, offsetUnknown, -1
	if since, special := offsetSince[want.Timestamp]; want.Timestamp < 0 && (!special || version < since) {
		return kerr.UnsupportedVersion
	}
	if err := ref.CheckEpoch(want.CurrentLeaderEpoch); err != nil {
		return err
	}
	end := ref.HighWatermark()
	if committed {
		end = ref.LastStable()
	}
	var o record.Offset
	var err error
	switch want.Timestamp {
	case offsetLatest:
		o, p.LeaderEpoch = end, ref.LeaderEpoch()
	case offsetEarliest, offsetEarliestLocal:
		o = ref.LogStart()
		p.LeaderEpoch = ref.EpochAt(o)
	case offsetMaxTime:
		o, p.Timestamp, p.LeaderEpoch, err = ref.MaxTimestamp()
	case offsetLatestTiered, offsetPendingUpload:
		return nil
	default:
		o, p.Timestamp, p.LeaderEpoch, err = ref.OffsetAt(want.Timestamp)
		if o >= end {
			o, p.Timestamp, p.LeaderEpoch = offsetUnknown, offsetUnknown, -1
		}
	}
	if err == nil {
		p.Offset = int64(o)
	}
	return err
}
