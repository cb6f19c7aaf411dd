package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// AlterPartitionReassignments (45), versions 0 and 1: puts partitions on other
// brokers. The brokers named must be there. On one node there is one place, so a
// valid reassignment is complete with its answer; to take one back finds none
// under way.
func (s *Server) alterReassignments(r *request) {
	req := r.body.(*kmsg.AlterPartitionAssignmentsRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	var list []controller.Placement
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			list = append(list, controller.Placement{Topic: req.Topics[i].Topic, Index: p.Partition, Replicas: p.Replicas})
		}
	}
	failed := s.moveReplicas(ctx, list, r.version == 0 || req.AllowReplicationFactorChange)
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	n := 0
	for i := range req.Topics {
		to := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		to.Topic = req.Topics[i].Topic
		for _, q := range req.Topics[i].Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = q.Partition, codeOf(failed[n]), explain(failed[n])
			to.Partitions = append(to.Partitions, p)
			n++
		}
		resp.Topics = append(resp.Topics, to)
	}
	r.answer(resp)
}

// moveReplicas answers why each partition cannot be where it shall be. Unless
// factor is true it must keep its number of replicas.
func (s *Server) moveReplicas(ctx context.Context, list []controller.Placement, factor bool) []error {
	failed := make([]error, len(list))
	var good []controller.Placement
	var at []int
	image := s.image()
	for n, p := range list {
		t, ok := image.Topic(p.Topic)
		if !factor && ok && p.Replicas != nil && len(p.Replicas) != int(t.ReplicationFactor()) {
			failed[n] = &controller.Refusal{Code: kerr.InvalidReplicationFactor, Why: "the number of replicas would change, which the request does not allow"}
			continue
		}
		good, at = append(good, p), append(at, n)
	}
	results, err := s.broker.Controller().MoveReplicas(ctx, good)
	for k, n := range at {
		failed[n] = resultOf(results, err, k)
	}
	return failed
}

// ListPartitionReassignments (46), version 0: the reassignments under way. Each
// is complete when it is answered, so there are none.
func (s *Server) listReassignments(r *request) {
	r.answer(kmsg.NewPtrListPartitionReassignmentsResponse())
}
