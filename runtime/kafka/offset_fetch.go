package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetFetch (9), versions 0 to 10: how far groups are; from version 8 on several
// groups at once, in version 10 with topics by id.
//
//   - What nobody has committed is -1, also of a group that nobody knows, and that
//     is no error. No topics at all means every offset there is (version 2).
//   - Who wants stable offsets (version 7) is told where a transaction is not
//     decided yet (UNSTABLE_OFFSET_COMMIT).
//   - From version 9 on members say their member epoch (STALE_MEMBER_EPOCH).
func (s *Server) offsetFetch(r *request) {
	b := r.body.(*kmsg.OffsetFetchRequest)
	if r.version < 8 {
		s.toGroup(r, b.Group)
		return
	}
	ids := make([]string, len(b.Groups))
	for i := range b.Groups {
		ids[i] = b.Groups[i].Group
	}
	spread(s, r, ids,
		func(places []int) kmsg.Request {
			q := kmsg.NewPtrOffsetFetchRequest()
			q.RequireStable, q.Groups = b.RequireStable, pick(b.Groups, places)
			return q
		},
		func(resp kmsg.Response) []kmsg.OffsetFetchResponseGroup {
			return resp.(*kmsg.OffsetFetchResponse).Groups
		},
		func(all []kmsg.OffsetFetchResponseGroup) {
			resp := kmsg.NewPtrOffsetFetchResponse()
			resp.Groups = all
			r.answer(resp)
		})
}
