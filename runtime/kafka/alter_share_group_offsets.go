package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
)

// AlterShareGroupOffsets (91), version 0: move a share group that has no members. A group that nobody
// knows is made.
func (s *Server) alterShareGroupOffsets(r *request) {
	b := r.body.(*kmsg.AlterShareGroupOffsetsRequest)
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
