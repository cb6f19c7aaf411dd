package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
)

// AlterConfigs (33), versions 0 to 2: all configs of a resource. What is not
// named goes back to its default, which surprises everybody: newer clients use
// IncrementalAlterConfigs.
func (s *Server) alterConfigs(r *request) {
	req := r.body.(*kmsg.AlterConfigsRequest)
	list := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		q := &req.Resources[i]
		list[i] = alteration{kind: q.ResourceType, name: q.ResourceName, full: true}
		for _, c := range q.Configs {
			list[i].ops = append(list[i].ops, controller.ConfigOp{Name: c.Name, Op: controller.Set, Value: c.Value})
		}
	}
	failed := s.alter(list, req.ValidateOnly)
	resp := kmsg.NewPtrAlterConfigsResponse()
	for i, a := range list {
		to := kmsg.NewAlterConfigsResponseResource()
		to.ResourceType, to.ResourceName = a.kind, a.name
		to.ErrorCode, to.ErrorMessage = codeOf(failed[i]), explain(failed[i])
		resp.Resources = append(resp.Resources, to)
	}
	r.answer(resp)
}

// alteration is what a client wants changed in the configs of one resource.
type alteration struct {
	kind kmsg.ConfigResourceType
	name string
	full bool
	ops  []controller.ConfigOp
}

// alter changes configs, and waits until partitions go by them. It answers why
// each could not be changed.
func (s *Server) alter(list []alteration, validateOnly bool) []error {
	ctx, cancel := context.WithTimeout(context.Background(), changeMax)
	defer cancel()
	resources := make([]controller.Alteration, len(list))
	for i, a := range list {
		kind, ok := resourceKinds[a.kind]
		if !ok {
			kind = controller.ResourceKind(fmt.Sprintf("type %d", a.kind))
		}
		resources[i] = controller.Alteration{Resource: controller.Resource{Kind: kind, Name: a.name}, Full: a.full, Ops: a.ops}
	}
	results, err := s.broker.Controller().AlterConfigs(ctx, resources, validateOnly)
	failed := make([]error, len(list))
	for i := range list {
		failed[i] = resultOf(results, err, i)
	}
	if !validateOnly && s.broker.AwaitTopics(ctx) != nil {
		for i := range failed {
			if failed[i] == nil {
				failed[i] = kerr.RequestTimedOut
			}
		}
	}
	return failed
}
