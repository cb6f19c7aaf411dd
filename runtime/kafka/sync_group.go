package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// SyncGroup (14), versions 0 to 5: the leader of a classic group brings everybody's
// assignment, the others wait for theirs. A member that does not ask for it within
// the rebalance's timeout is taken out.
func (s *Server) syncGroup(r *request) {
	b := r.body.(*kmsg.SyncGroupRequest)
	s.toGroup(r, b.Group)
}
