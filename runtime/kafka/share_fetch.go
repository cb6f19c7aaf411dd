package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/share"
)

// ShareFetch (78), versions 1 and 2: records for a member of a share group, each
// of which it has for share.record.lock.duration.ms, and what it says of those it
// had (accept, release, reject; renew from version 2 on).
//
//   - A session remembers which partitions the member looks at: epoch 0 opens it,
//     -1 closes it, which gives back what the member has, as does the end of its
//     connection.
//   - The answer waits for records, at most for max wait. What was said of
//     records is on disk before it comes.
//   - About max records are handed out, in whole batches; exactly so many in
//     record-limit mode (version 2).
//   - A record that was handed out too often without being accepted is given up.
func (s *Server) shareFetch(r *request) { s.toShare(r) }

// toShare hands a request to the share partitions of this node.
func (s *Server) toShare(r *request) {
	gone := s.broker.Share().Handle(share.Request{Body: r.body, Done: func(resp kmsg.Response) { r.answer(resp) }})
	if !r.whenGone(gone) {
		gone()
	}
}
