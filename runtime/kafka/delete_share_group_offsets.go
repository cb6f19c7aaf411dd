package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
)

// DeleteShareGroupOffsets (92), version 0: make a share group that has no members forget
// topics.
func (s *Server) deleteShareGroupOffsets(r *request) {
	b := r.body.(*kmsg.DeleteShareGroupOffsetsRequest)
	ref, err := s.broker.Group(b.GroupID)
	if err != nil {
		r.answer(group.Refuse(b, codeOf(err)))
		return
	}
	ref.Handle(r.ofGroup(b, func(resp kmsg.Response) {
		s.broker.Share().Forget(b.GroupID) // whoever still works by the old state
		r.answer(resp)
	}))
}
