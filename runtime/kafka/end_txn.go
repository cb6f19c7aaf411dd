package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// EndTxn (26), versions 0 to 5: commits or aborts a transaction. The answer comes
// when the decision is on disk; the markers are written behind it. From version 5
// on the answer brings the epoch of the next transaction (KIP-890), at times with
// a new producer id. Before version 2 a fenced producer is told
// INVALID_PRODUCER_EPOCH.
func (s *Server) endTxn(r *request) {
	s.askTxn(r, r.body.(*kmsg.EndTxnRequest).TransactionalID)
}
