package channel

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// waiting is a source that waits for room.
type waiting struct {
	who     *actor.PID
	want    *Reserve
	since   time.Time
	expires *time.Timer
}

// used is what counts against the capacity.
func (a *Actor) used() int { return a.queue.Held() - a.goneRecords + a.reserved }

func (a *Actor) fits(r *Reserve) bool {
	if a.used()+r.Records > a.Capacity {
		return false
	}
	return a.ByteCapacity == 0 || a.bytes+a.reservedBytes+r.Bytes <= a.ByteCapacity || a.used() == 0
}

// granted is the answer that most get; made once.
var granted any = Reserved{}

// expired says that a source has waited long enough.
type expired struct{ want *Reserve }

func (a *Actor) reserve(ctx actor.Context, m *Reserve) {
	a.count.PutAttempt += int64(m.Records)
	switch {
	case m.Records > a.Capacity:
		a.count.PutError++
		ctx.Respond(Reserved{fmt.Errorf("%w: %d records, capacity %d", ErrTooLarge, m.Records, a.Capacity)})
	case len(a.waiting) == 0 && a.fits(m):
		a.keepRoom(m)
		ctx.Respond(granted)
	default:
		w := waiting{who: ctx.Sender(), want: m, since: time.Now()}
		if m.Wait > 0 {
			system, self := ctx.ActorSystem(), ctx.Self()
			w.expires = time.AfterFunc(m.Wait, func() { system.Root.Send(self, expired{m}) })
		}
		a.waiting = append(a.waiting, w)
	}
}

func (a *Actor) keepRoom(m *Reserve) {
	a.reserved += m.Records
	a.reservedBytes += m.Bytes
}

func (a *Actor) giveBack(m Return) {
	// Room reserved in an earlier life is not counted in this one.
	a.reserved = max(0, a.reserved-m.Records)
	a.reservedBytes = max(0, a.reservedBytes-m.Bytes)
}

// grant answers those who wait, in the order they came.
func (a *Actor) grant(ctx actor.Context) {
	for len(a.waiting) > 0 && a.fits(a.waiting[0].want) {
		w := a.waiting[0]
		a.waiting = a.waiting[1:]
		if w.expires != nil {
			w.expires.Stop()
		}
		a.keepRoom(w.want)
		ctx.Send(w.who, granted)
	}
}

func (a *Actor) withdraw(ctx actor.Context) {
	for i, w := range a.waiting {
		if w.who.Equal(ctx.Sender()) {
			a.dropWaiting(i)
			ctx.Respond(Reserved{errWithdrawn})
			a.grant(ctx)
			return
		}
	}
}

func (a *Actor) expire(ctx actor.Context, m expired) {
	for i, w := range a.waiting {
		if w.want == m.want {
			a.dropWaiting(i)
			a.count.PutError++
			ctx.Send(w.who, Reserved{ErrFull})
			a.grant(ctx)
			return
		}
	}
}

func (a *Actor) dropWaiting(i int) {
	if t := a.waiting[i].expires; t != nil {
		t.Stop()
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
}
