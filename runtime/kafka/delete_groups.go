package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// DeleteGroups (42), versions 0 to 2: forget groups that have no members, of any
// type, with their offsets.
func (s *Server) deleteGroups(r *request) {
	b := r.body.(*kmsg.DeleteGroupsRequest)
	spread(s, r, b.Groups,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrDeleteGroupsRequest()
			q.Groups = pick(b.Groups, places)
			return q
		},
		func(resp kmsg.Response) []kmsg.DeleteGroupsResponseGroup {
			return resp.(*kmsg.DeleteGroupsResponse).Groups
		},
		func(all []kmsg.DeleteGroupsResponseGroup) {
			resp := kmsg.NewPtrDeleteGroupsResponse()
			resp.Groups = all
			for _, g := range all {
				s.broker.Share().Forget(g.Group) // no share partition works by a state that is gone
			}
			r.answer(resp)
		})
}
