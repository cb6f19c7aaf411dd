package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// DeleteRecords (21), versions 0 to 2: what lies below an offset, for each of
// many partitions.
//
//   - Offset -1 is the high watermark: everything. Above it there is nothing to
//     delete, which is OFFSET_OUT_OF_RANGE. Below the first record there is not
//     either, but what was asked for is true: that is no error.
//   - The answer has the first offset that is left, and comes when that is on
//     disk: a restart does not bring records back.
//   - Topics that are only compacted, and internal ones, keep their records.
func (s *Server) deleteRecords(r *request) {
	req := r.body.(*kmsg.DeleteRecordsRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	resp := kmsg.NewPtrDeleteRecordsResponse()
	var all []cutting
	for i := range req.Topics {
		q := &req.Topics[i]
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = q.Topic
		for j := range q.Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = q.Partitions[j].Partition, -1
			t.Partitions = append(t.Partitions, p)
			all = append(all, cutting{i, j, s.cutBelow(q.Topic, &q.Partitions[j])})
		}
		resp.Topics = append(resp.Topics, t)
	}
	for _, w := range all {
		p := &resp.Topics[w.topic].Partitions[w.partition]
		p.LowWatermark, p.ErrorCode = w.wait(ctx)
	}
	r.answer(resp)
}

// cut is what became of the deletion of records.
type cut struct {
	low record.Offset
	err error
}

// cutting is a deletion on its way, and its place in the answer.
type cutting struct {
	topic, partition int
	done             chan cut
}

func (c cutting) wait(ctx context.Context) (low int64, code int16) {
	select {
	case is := <-c.done:
		if is.err != nil {
			return -1, codeOf(is.err)
		}
		return int64(is.low), 0
	case <-ctx.Done():
		return -1, kerr.RequestTimedOut.Code
	}
}

// cutBelow begins to delete the records of one partition.
func (s *Server) cutBelow(topic string, q *kmsg.DeleteRecordsRequestTopicPartition) chan cut {
	done := make(chan cut, 1)
	ref, err := s.cuttable(topic, q)
	if err != nil {
		done <- cut{-1, err}
		return done
	}
	ref.DeleteRecords(record.Offset(q.Offset), func(low record.Offset, err error) { done <- cut{low, err} })
	return done
}

// cuttable is the partition, if its records may be deleted.
func (s *Server) cuttable(topic string, q *kmsg.DeleteRecordsRequestTopicPartition) (partition.Ref, error) {
	t, ok := s.image().Topic(topic)
	switch {
	case !ok:
		return partition.Ref{}, unknownTopic(topic)
	case t.Internal:
		return partition.Ref{}, kerr.InvalidTopicException
	}
	ref, err := s.partition(t, q.Partition)
	switch {
	case err != nil:
		return ref, err
	case q.Offset < -1:
		return ref, kerr.OffsetOutOfRange
	case !ref.Config().Delete:
		return ref, kerr.PolicyViolation
	}
	return ref, ref.CheckEpoch(-1)
}
