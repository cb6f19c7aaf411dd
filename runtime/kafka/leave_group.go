package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaveGroup (13), versions 0 to 5: members leave a classic group at once. From
// version 3 on several, which may be named by their instance ids alone, as
// operators do.
func (s *Server) leaveGroup(r *request) {
	b := r.body.(*kmsg.LeaveGroupRequest)
	s.toGroup(r, b.Group)
}
