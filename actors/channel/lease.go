package channel

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/persistence/channelstate"
)

// held is what a lease that is out takes.
type held struct {
	holder  string
	records int
	bytes   int  // of bodies in memory
	room    int  // as counted against the byte capacity
	gone    bool // delivered: its room is given back
}

func (a *Actor) take(ctx actor.Context, m *Take) {
	a.count.TakeAttempt += int64(m.Max)
	if !a.offers() {
		ctx.Respond(&Taken{})
		return
	}
	a.turnEpoch()
	l := a.queue.Take(m.Max, m.Holder)
	if l == nil {
		ctx.Respond(&Taken{})
		return
	}
	a.hold(l)
	t := &Taken{Lease: l.ID, Life: a.life, Epoch: l.Epoch, Chunks: l.Chunks}
	for _, c := range t.Chunks {
		if c.Slab != nil {
			c.Slab.Retain()
		}
	}
	ctx.Respond(t)
}

// hold notes what a lease takes.
func (a *Actor) hold(l *channelstate.Lease) {
	h := held{holder: l.Holder}
	for _, c := range l.Chunks {
		h.records += c.Count
		if c.Slab == nil {
			continue
		}
		for i := c.First; i < c.First+c.Count; i++ {
			n := len(c.Slab.Body(i))
			h.bytes += n
			h.room += slots(n)
		}
	}
	if a.Log != nil {
		h.room = 0
	}
	a.out[l.ID] = h
	a.outBytes += h.bytes
	a.epoch.add(h)
}

// letGo forgets that a lease is out. Its room stays as it is.
func (a *Actor) letGo(id uint64) held {
	h := a.out[id]
	delete(a.out, id)
	a.outBytes -= h.bytes
	if h.gone {
		a.goneRecords -= h.records
	}
	return h
}

// takeBack offers a lease again.
func (a *Actor) takeBack(id uint64) {
	if h := a.letGo(id); h.gone {
		a.bytes += h.room
	}
	a.queue.Rollback(id)
}

func (a *Actor) delivered(ctx actor.Context, m Delivered) {
	h, out := a.out[m.Lease]
	if m.Life != a.life || !out || a.Log != nil || h.gone {
		return
	}
	h.gone = true
	a.out[m.Lease] = h
	a.goneRecords += h.records
	a.bytes -= h.room
	a.grant(ctx)
}

func (a *Actor) rollback(ctx actor.Context, m Rollback) {
	if m.Life != a.life {
		return
	}
	a.count.TakeErr++
	if _, out := a.out[m.Lease]; out {
		a.takeBack(m.Lease)
	}
	a.wake(ctx)
}

func (a *Actor) abandon(ctx actor.Context, m Abandon) {
	mine := func(c *commit) bool { return c.holder == m.Holder }
	for _, c := range a.parked {
		if mine(c) {
			ctx.Send(c.who, Committed{ErrAbandoned})
		}
	}
	a.parked = slices.DeleteFunc(a.parked, mine)
	for id, h := range a.out {
		if h.holder == m.Holder {
			a.takeBack(id)
		}
	}
	a.wake(ctx)
}
