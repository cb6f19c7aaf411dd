package share

import (
	"cmp"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/group"
)

// session is what a member looks at, so that it has to say only what changes.
type session struct {
	id    sessionID
	epoch int32 // of the next request
	parts []place
	turn  int   // where the next fetch begins, so that every partition has its turn
	used  int64 // ms
}

type sessionID struct{ group, member string }

// place is a partition of a topic.
type place struct {
	topic     group.TopicID
	partition int32
}

// Epochs of a session with a meaning of their own.
const (
	opening = 0
	closing = -1
)

const (
	sessionsMax    = 2000
	sessionIdleMax = 5 * 60 * 1000 // ms
)

// session finds the session of a request, or makes it.
func (a *Actor) session(id sessionID, epoch int32, now int64) (*session, int16) {
	s := a.sessions[id]
	switch {
	case epoch == opening:
		if s == nil && len(a.sessions) >= sessionsMax && !a.evict(now) {
			return nil, kerr.ShareSessionLimitReached.Code
		}
		if s != nil {
			a.release(id)
		}
		s = &session{id: id}
		a.sessions[id] = s
	case s == nil:
		return nil, kerr.ShareSessionNotFound.Code
	case epoch == closing:
		return s, 0
	case epoch != s.epoch:
		return nil, kerr.InvalidShareSessionEpoch.Code
	}
	s.used = now
	if s.epoch = epoch + 1; epoch == math.MaxInt32 {
		s.epoch = 1
	}
	return s, 0
}

// evict makes room for a session where another has not been used for long.
func (a *Actor) evict(now int64) bool {
	var oldest *session
	for _, s := range a.sessions {
		if oldest == nil || s.used < oldest.used {
			oldest = s
		}
	}
	if oldest == nil || now-oldest.used < sessionIdleMax {
		return false
	}
	a.close(oldest.id)
	return true
}

// close ends a session: what its member has is given back.
func (a *Actor) close(id sessionID) {
	delete(a.sessions, id)
	a.release(id)
}

// release gives back what a member has.
func (a *Actor) release(id sessionID) {
	for _, p := range a.of(id.group) {
		if p.state != nil && p.state.Release(id.member) {
			a.changed(p, nil)
		}
	}
}

// of are the partitions of a group, in order.
func (a *Actor) of(group string) []*part {
	var list []*part
	for k, p := range a.parts {
		if k.group == group {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y *part) int {
		return cmp.Or(slices.Compare(x.topic[:], y.topic[:]), cmp.Compare(x.partition, y.partition))
	})
	return list
}

func (s *session) add(p place) {
	if !slices.Contains(s.parts, p) {
		s.parts = append(s.parts, p)
	}
}

func (s *session) drop(p place) {
	s.parts = slices.DeleteFunc(s.parts, func(q place) bool { return p == q })
}
