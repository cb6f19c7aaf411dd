package kafka

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/group"
)

// The requests of groups are dealt with by their coordinators, one for each
// partition of __consumer_offsets; see actors/group. Here they only find their
// way. One coordinator is as good as another to a client of one node, so a
// request about several groups is cut up by coordinator and its answers are put
// together again.

// toGroup hands a request about one group to its coordinator.
func (s *Server) toGroup(r *request, id string) {
	ref, err := s.broker.Group(id)
	if err != nil {
		r.answer(group.Refuse(r.body, codeOf(err)))
		return
	}
	ref.Handle(r.ofGroup(r.body, r.answer))
}

// ofGroup is body as a question to a coordinator from whoever sent r.
func (r *request) ofGroup(body kmsg.Request, done func(kmsg.Response)) group.Request {
	body.SetVersion(r.version)
	return group.Request{
		Client: group.Client{
			ID: r.client.id, Host: "/" + r.client.host, Software: r.client.software,
			SoftwareVersion: r.client.softwareVersion, Principal: r.client.principal,
		},
		Body: body, Done: done,
	}
}

// spread asks the coordinators of several groups. part is the question about
// some of ids, by their places; entries are what an answer says of each of
// them, in order; join gets all of it in the order of ids.
func spread[E any](s *Server, r *request, ids []string, part func(places []int) kmsg.Request,
	entries func(kmsg.Response) []E, join func([]E)) {
	places := map[group.Ref][]int{}
	failed := map[int16][]int{}
	for i, id := range ids {
		if ref, err := s.broker.Group(id); err != nil {
			failed[codeOf(err)] = append(failed[codeOf(err)], i)
		} else {
			places[ref] = append(places[ref], i)
		}
	}
	all := make([]E, len(ids))
	var left atomic.Int64
	left.Store(int64(len(places) + len(failed) + 1))
	take := func(mine []int, resp kmsg.Response) {
		if resp != nil {
			for n, e := range entries(resp) {
				all[mine[n]] = e
			}
		}
		if left.Add(-1) == 0 {
			join(all)
		}
	}
	for code, mine := range failed {
		body := part(mine)
		body.SetVersion(r.version)
		take(mine, group.Refuse(body, code))
	}
	for ref, mine := range places {
		ref.Handle(r.ofGroup(part(mine), func(resp kmsg.Response) { take(mine, resp) }))
	}
	take(nil, nil)
}

// pick are the elements of list at the places.
func pick[T any](list []T, places []int) []T {
	out := make([]T, len(places))
	for n, i := range places {
		out[n] = list[i]
	}
	return out
}
