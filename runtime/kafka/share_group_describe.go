package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// ShareGroupDescribe (77), version 1: share groups with their members and what they
// look at.
func (s *Server) shareGroupDescribe(r *request) {
	b := r.body.(*kmsg.ShareGroupDescribeRequest)
	spread(s, r, b.GroupIDs,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrShareGroupDescribeRequest()
			q.GroupIDs = pick(b.GroupIDs, places)
			q.IncludeAuthorizedOperations = b.IncludeAuthorizedOperations
			return q
		},
		func(resp kmsg.Response) []kmsg.ShareGroupDescribeResponseGroup {
			return resp.(*kmsg.ShareGroupDescribeResponse).Groups
		},
		func(all []kmsg.ShareGroupDescribeResponseGroup) {
			resp := kmsg.NewPtrShareGroupDescribeResponse()
			resp.Groups = all
			r.answer(resp)
		})
}
