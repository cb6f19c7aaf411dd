package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// JoinGroup (11), versions 0 to 9: become a member of a classic group, or say so
// once more when the group rebalances. The answer comes when all have joined.
//
//   - From version 4 on a member without an id is given one and has to come again
//     with it (MEMBER_ID_REQUIRED), unless it has an instance id (version 5).
//   - A member with an instance id takes its old place without a rebalance when it
//     comes back; if it leads, it is told to assign nothing (version 9) or that
//     somebody else leads (before).
//   - A group of the newer protocol takes classic members too, see
//     consumerGroupHeartbeat.
//   - The session must lie within group.min.session.timeout.ms and
//     group.max.session.timeout.ms; before version 1 it is the rebalance's timeout
//     as well.
func (s *Server) joinGroup(r *request) {
	b := r.body.(*kmsg.JoinGroupRequest)
	s.toGroup(r, b.Group)
}
