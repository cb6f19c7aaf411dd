package share

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Actor holds all partitions that share groups of this node work through. What
// must survive it is with the coordinators of the groups.
type Actor struct {
	*shares
	parts    map[key]*part
	sessions map[sessionID]*session
	parked   map[*fetch]bool // wait for records
	timer    *time.Timer
	timerAt  int64
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.start()
		a.self.Store(ctx.Self())
		a.work()
	case Arrived:
		a.work()
	case *actor.Restarting:
		a.rest()
	case *actor.Stopping:
		a.rest()
		a.stop()
	}
}

// start begins without memory: members open their sessions anew.
func (a *Actor) start() {
	a.parts, a.sessions, a.parked = map[key]*part{}, map[sessionID]*session{}, map[*fetch]bool{}
	a.refuseOpen(kerr.ShareSessionNotFound.Code) // of the life before
}

func (a *Actor) rest() {
	for _, p := range a.parts {
		p.gone = true
		p.ref.Unwatch(p.watcher)
	}
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *Actor) stop() {
	for _, item := range a.inbox.Close() {
		if q, ok := item.(*Request); ok {
			a.open[q] = true
		}
	}
	a.refuseOpen(kerr.NotLeaderForPartition.Code)
}

func (a *Actor) refuseOpen(code int16) {
	for q := range a.open {
		a.reply(q, Refuse(q.Body, code))
	}
}

func (a *Actor) reply(q *Request, resp kmsg.Response) {
	if a.open[q] {
		delete(a.open, q)
		q.Done(resp)
	}
}

func (a *Actor) now() int64 { return time.Now().UnixMilli() }

// work deals with everything in the inbox.
func (a *Actor) work() {
	items := a.inbox.Take(nil)
	for _, item := range items { // so that a panic forgets none of them
		if q, ok := item.(*Request); ok {
			a.open[q] = true
		}
	}
	for _, item := range items {
		switch item := item.(type) {
		case *Request:
			a.request(item)
		case read:
			a.readDone(item)
		case kept:
			a.kept(item)
		case loaded:
			a.loaded(item)
		case begun:
			a.begun(item)
		case moved:
			a.wake(item.part)
		case deserted:
			a.desert(item.request)
		case forget:
			for _, p := range a.of(item.group) {
				a.drop(p, kerr.FencedStateEpoch.Code)
			}
		case due:
			a.timerAt = 0
		}
	}
	a.passTime()
}

func (a *Actor) request(q *Request) {
	switch b := q.Body.(type) {
	case *kmsg.ShareFetchRequest:
		a.shareFetch(q, b)
	case *kmsg.ShareAcknowledgeRequest:
		a.shareAcknowledge(q, b)
	}
}

// desert ends the session of a member whose connection is gone, unless it has
// opened another one meanwhile.
func (a *Actor) desert(q *Request) {
	for _, f := range a.inOrder(a.parked) {
		if f.request != q {
			continue
		}
		if id := f.session.id; a.sessions[id] == f.session {
			a.close(id)
		}
		a.answer(f)
	}
}

// passTime ends the locks and the waiting whose time is over, and sets the timer
// for the rest.
func (a *Actor) passTime() {
	now, next := a.now(), int64(0)
	want := func(at int64) {
		if next == 0 || at < next {
			next = at
		}
	}
	for _, p := range a.parts {
		if p.state == nil {
			continue
		}
		if p.state.Expire(now) {
			a.changed(p, nil)
		}
		if at, any := p.state.NextExpiry(); any {
			want(at)
		}
	}
	for _, f := range a.inOrder(a.parked) {
		if f.until <= now {
			a.answer(f)
		} else {
			want(f.until)
		}
	}
	if next == 0 || a.timerAt != 0 && a.timerAt <= next {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timerAt = next
	s := a.shares
	a.timer = time.AfterFunc(time.Until(time.UnixMilli(next)), func() { s.put(due{}) })
}

// inOrder are fetches in the order in which they wait no longer.
func (a *Actor) inOrder(set map[*fetch]bool) []*fetch {
	return slices.SortedFunc(maps.Keys(set), func(x, y *fetch) int { return cmp.Compare(x.until, y.until) })
}
