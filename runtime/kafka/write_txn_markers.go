package kafka

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
)

// WriteTxnMarkers (27), versions 1 and 2: an operator ends a transaction that
// hangs in some partitions. From version 2 on the request says how its producer
// counts epochs: where each transaction has its own, the marker's must be newer.
func (s *Server) writeTxnMarkers(r *request) {
	req := r.body.(*kmsg.WriteTxnMarkersRequest)
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	var left atomic.Int64
	left.Store(1)
	done := func() {
		if left.Add(-1) == 0 {
			r.answer(resp)
		}
	}
	resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, len(req.Markers))
	for i := range req.Markers {
		m, out := &req.Markers[i], &resp.Markers[i]
		out.ProducerID = m.ProducerID
		out.Topics = make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(m.Topics))
		for j, t := range m.Topics {
			of := &out.Topics[j]
			of.Topic = t.Topic
			of.Partitions = make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(t.Partitions))
			left.Add(int64(len(t.Partitions)))
			for k, index := range t.Partitions {
				p := &of.Partitions[k]
				p.Partition = index
				s.writeTxnMarker(m, t.Topic, index, func(err error) {
					p.ErrorCode = codeOf(err)
					done()
				})
			}
		}
	}
	done()
}

func (s *Server) writeTxnMarker(m *kmsg.WriteTxnMarkersRequestMarker, topic string, index int32, done func(error)) {
	t, ok := s.image().Topic(topic)
	if !ok {
		done(kerr.UnknownTopicOrPartition)
		return
	}
	ref, err := s.partition(t, index)
	if err != nil {
		done(err)
		return
	}
	origin := partition.CoordinatorV1
	if m.TransactionVersion >= 2 {
		origin = partition.Coordinator
	}
	ref.Append(partition.Append{
		Batch: partitionlog.AppendMarker(nil, m.ProducerID, m.ProducerEpoch, partitionlog.Marker{
			Commit: m.Committed, CoordinatorEpoch: m.CoordinatorEpoch,
		}, time.Now().UnixMilli()),
		Origin: origin, LeaderEpoch: -1, MarkerCoordinatorEpoch: m.CoordinatorEpoch,
		Done: func(a partition.Appended) { done(a.Err) },
	})
}
