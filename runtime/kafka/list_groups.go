package kafka

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups (16), versions 0 to 5: the groups of this node, of all types; from
// version 4 on only those in certain states, from version 5 on of certain types,
// in whatever case they are written. While a coordinator reads its log the answer
// says so, as it does not know them all.
func (s *Server) listGroups(r *request) {
	b := r.body.(*kmsg.ListGroupsRequest)
	refs := s.broker.Groups()
	answers := make([]*kmsg.ListGroupsResponse, len(refs))
	var left atomic.Int64
	left.Store(int64(len(refs) + 1))
	done := func() {
		if left.Add(-1) == 0 {
			r.answer(joined(answers))
		}
	}
	for i, ref := range refs {
		q := kmsg.NewPtrListGroupsRequest()
		q.StatesFilter, q.TypesFilter = b.StatesFilter, b.TypesFilter
		ref.Handle(r.ofGroup(q, func(resp kmsg.Response) {
			answers[i] = resp.(*kmsg.ListGroupsResponse)
			done()
		}))
	}
	done()
}

// joined is the one answer that several make.
func joined(answers []*kmsg.ListGroupsResponse) *kmsg.ListGroupsResponse {
	all := kmsg.NewPtrListGroupsResponse()
	for _, a := range answers {
		all.Groups = append(all.Groups, a.Groups...)
		if a.ErrorCode != 0 {
			all.ErrorCode = a.ErrorCode
		}
	}
	return all
}
