package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// ShareGroupHeartbeat (76), version 1: all that a member of a share group (KIP-932)
// says: it joins with epoch 0, leaves with -1, and hears which partitions to look
// at. Several members look at the same ones.
func (s *Server) shareGroupHeartbeat(r *request) {
	b := r.body.(*kmsg.ShareGroupHeartbeatRequest)
	s.toGroup(r, b.GroupID)
}
