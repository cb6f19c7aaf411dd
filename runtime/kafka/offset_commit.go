package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetCommit (8), versions 0 to 10: write down how far a group is.
//
//   - A member commits with its generation, or member epoch (version 9); whoever
//     is no member with -1, to a group without members, which it brings into being.
//   - While members wait for their assignment commits are refused
//     (REBALANCE_IN_PROGRESS); while they rejoin, not.
//   - A topic or partition that does not exist is refused, by its name or, in
//     version 10, its id; so is metadata above offset.metadata.max.bytes.
//   - Versions 2 to 4 may say for how long the offset is kept.
func (s *Server) offsetCommit(r *request) {
	b := r.body.(*kmsg.OffsetCommitRequest)
	s.toGroup(r, b.Group)
}
