package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// ConsumerGroupDescribe (69), versions 0 and 1: consumer groups with the epochs of
// their members, what they have and what they should have. Version 1 says which of
// them still speak the classic protocol.
func (s *Server) consumerGroupDescribe(r *request) {
	b := r.body.(*kmsg.ConsumerGroupDescribeRequest)
	spread(s, r, b.Groups,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrConsumerGroupDescribeRequest()
			q.Groups = pick(b.Groups, places)
			q.IncludeAuthorizedOperations = b.IncludeAuthorizedOperations
			return q
		},
		func(resp kmsg.Response) []kmsg.ConsumerGroupDescribeResponseGroup {
			return resp.(*kmsg.ConsumerGroupDescribeResponse).Groups
		},
		func(all []kmsg.ConsumerGroupDescribeResponseGroup) {
			resp := kmsg.NewPtrConsumerGroupDescribeResponse()
			resp.Groups = all
			r.answer(resp)
		})
}
