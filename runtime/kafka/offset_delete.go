package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetDelete (47), version 0: forget offsets of topics that no member of the group
// reads (GROUP_SUBSCRIBED_TO_TOPIC otherwise).
func (s *Server) offsetDelete(r *request) {
	b := r.body.(*kmsg.OffsetDeleteRequest)
	s.toGroup(r, b.Group)
}
