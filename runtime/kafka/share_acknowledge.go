package kafka

// ShareAcknowledge (79), versions 1 and 2: what a member of a share group says of
// the records it has, apart from a fetch. It must have a session; epoch -1 ends it.
// What was said is on disk before the answer comes.
func (s *Server) shareAcknowledge(r *request) { s.toShare(r) }
