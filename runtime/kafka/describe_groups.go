package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeGroups (15), versions 0 to 6: classic groups with their members. A group
// that nobody knows is Dead, which is no error before version 6
// (GROUP_ID_NOT_FOUND). What members said and have is shown while the group is
// Stable.
func (s *Server) describeGroups(r *request) {
	b := r.body.(*kmsg.DescribeGroupsRequest)
	spread(s, r, b.Groups,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrDescribeGroupsRequest()
			q.Groups = pick(b.Groups, places)
			q.IncludeAuthorizedOperations = b.IncludeAuthorizedOperations
			return q
		},
		func(resp kmsg.Response) []kmsg.DescribeGroupsResponseGroup {
			return resp.(*kmsg.DescribeGroupsResponse).Groups
		},
		func(all []kmsg.DescribeGroupsResponseGroup) {
			resp := kmsg.NewPtrDescribeGroupsResponse()
			resp.Groups = all
			r.answer(resp)
		})
}
