package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// Heartbeat (12), versions 0 to 4: a member of a classic group lives, and hears
// whether the group rebalances (REBALANCE_IN_PROGRESS).
func (s *Server) heartbeat(r *request) {
	b := r.body.(*kmsg.HeartbeatRequest)
	s.toGroup(r, b.Group)
}
