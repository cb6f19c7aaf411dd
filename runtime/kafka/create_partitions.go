package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// CreatePartitions (37), versions 0 to 3: more partitions for topics, while they
// are in use. The number is that of all partitions and must be above what there
// is. Records stay where they are; the new partitions begin empty and take
// records when the answer comes. Replicas that are given are checked.
func (s *Server) createPartitions(r *request) {
	req := r.body.(*kmsg.CreatePartitionsRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	topics := make([]controller.MorePartitions, len(req.Topics))
	for i := range req.Topics {
		q := &req.Topics[i]
		topics[i] = controller.MorePartitions{Name: q.Topic, Count: q.Count}
		for _, a := range q.Assignment {
			topics[i].Replicas = append(topics[i].Replicas, a.Replicas)
		}
	}
	results, err := s.broker.Controller().CreatePartitions(ctx, topics, req.ValidateOnly)
	resp := kmsg.NewPtrCreatePartitionsResponse()
	var grown []string
	for i := range req.Topics {
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic = req.Topics[i].Topic
		failed := resultOf(results, err, i)
		t.ErrorCode, t.ErrorMessage = codeOf(failed), explain(failed)
		if failed == nil {
			grown = append(grown, t.Topic)
		}
		resp.Topics = append(resp.Topics, t)
	}
	if !req.ValidateOnly {
		_ = s.broker.AwaitTopics(ctx, grown...)
	}
	r.answer(resp)
}
