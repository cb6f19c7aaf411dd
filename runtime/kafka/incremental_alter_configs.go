package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// IncrementalAlterConfigs (44), versions 0 and 1: some configs of a resource are
// set, go back to their default, or, where they are lists, get or lose members.
// For each resource all of it happens or none.
func (s *Server) incrementalAlterConfigs(r *request) {
	req := r.body.(*kmsg.IncrementalAlterConfigsRequest)
	list := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		q := &req.Resources[i]
		list[i] = alteration{kind: q.ResourceType, name: q.ResourceName}
		for _, c := range q.Configs {
			list[i].ops = append(list[i].ops, controller.ConfigOp{Name: c.Name, Op: controller.Op(c.Op), Value: c.Value})
		}
	}
	failed := s.alter(list, req.ValidateOnly)
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	for i, a := range list {
		to := kmsg.NewIncrementalAlterConfigsResponseResource()
		to.ResourceType, to.ResourceName = a.kind, a.name
		to.ErrorCode, to.ErrorMessage = codeOf(failed[i]), explain(failed[i])
		resp.Resources = append(resp.Resources, to)
	}
	r.answer(resp)
}
