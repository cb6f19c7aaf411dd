package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// ConsumerGroupHeartbeat (68), versions 0 and 1: all that a member of a consumer
// group (KIP-848) says. It joins with epoch 0, leaves with -1 (for a while, with an
// instance id: -2), tells what it reads and what it owns, and hears what it should
// own. Assignors are uniform and range.
//
//   - From version 1 on the member makes its own id, and may read by a pattern
//     (RE2) that topics' whole names must match.
//   - A partition is given to a member when nobody else holds it any more.
//   - A classic group that a member of this protocol joins becomes a consumer group
//     with its members still in it, and a classic one again when the last of the
//     newer members has left.
func (s *Server) consumerGroupHeartbeat(r *request) {
	b := r.body.(*kmsg.ConsumerGroupHeartbeatRequest)
	s.toGroup(r, b.Group)
}
