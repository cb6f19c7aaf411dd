package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// DeleteTopics (20), versions 0 to 6: topics with all their records, by name or,
// from version 6 on, by id. Each has a result of its own. The topic is gone when
// the answer comes; its space is given back after that.
func (s *Server) deleteTopics(r *request) {
	req := r.body.(*kmsg.DeleteTopicsRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	var refs []controller.TopicRef
	resp := kmsg.NewPtrDeleteTopicsResponse()
	add := func(name *string, id [16]byte) {
		ref := controller.TopicRef{ID: id}
		if name != nil {
			ref.Name = *name
		}
		refs = append(refs, ref)
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID = name, id
		resp.Topics = append(resp.Topics, t)
	}
	if r.version < 6 {
		for _, name := range req.TopicNames {
			add(&name, [16]byte{})
		}
	} else {
		for i := range req.Topics {
			add(req.Topics[i].Topic, req.Topics[i].TopicID)
		}
	}
	results, err := s.broker.Controller().DeleteTopics(ctx, refs)
	for i := range resp.Topics {
		t, failed := &resp.Topics[i], resultOf(results, err, i)
		t.ErrorCode, t.ErrorMessage = codeOf(failed), explain(failed)
		if failed == nil {
			t.Topic, t.TopicID = &results[i].Topic.Name, results[i].Topic.ID
		}
	}
	_ = s.broker.AwaitTopics(ctx) // their partitions have ended
	r.answer(resp)
}
