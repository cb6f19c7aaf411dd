package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// tend looks after the log: producers that have been silent for long are
// forgotten, what retention does not want is given back, and what was superseded
// is left out.
func (a *Actor) tend() {
	a.timer.Reset(a.TendEvery)
	now := time.Now()
	if a.full != nil {
		a.admit(0)
		return
	}
	a.expire(now.UnixMilli())
	a.retain(now)
	a.compact(now)
}

func (p *part) expire(now int64) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.state.Expire(now, p.ProducerExpiry)
}

// retain finds out in a goroutine where the log should begin: that may read.
func (a *Actor) retain(now time.Time) {
	r := a.config.Load().retention()
	index, log, hw := a.index.Load(), a.log.Load(), a.view.hw
	unlimited := r.Bytes == partitionlog.Unlimited && r.Age == partitionlog.Unlimited
	if a.tending || unlimited || index.Size() == 0 || !a.view.leading {
		return
	}
	a.tending = true
	ref := Ref{a.part}
	a.background.Go(func() {
		to, err := index.Retain(log, r, hw, now.UnixMilli())
		ref.call(call{do: func(a *Actor) { a.retained(to, err) }, fail: func(error) {}})
	})
}

func (a *Actor) retained(to record.Offset, err error) {
	a.tending = false
	if err != nil {
		if !errors.Is(err, persistence.ErrTrimmed) {
			a.Log.Warn("retention", "partition", a.ID.String(), "err", err)
		}
		return
	}
	if to <= a.view.start {
		return
	}
	a.trimTo(to, func(_ record.Offset, err error) {
		if err != nil {
			a.Log.Warn("retention", "partition", a.ID.String(), "err", err)
		}
	})
}

func (a *Actor) deleteRecords(to record.Offset, done func(record.Offset, error)) {
	if !a.view.leading {
		done(-1, fmt.Errorf("delete records of %s: %w", a.ID, ErrNotLeader))
		return
	}
	low, err := partitionlog.DeleteTo(to, a.view.start, a.view.hw)
	switch {
	case errors.Is(err, partitionlog.ErrOffsetOutOfRange):
		done(-1, fmt.Errorf("delete records of %s below %d: %w: it has %d to %d", a.ID, to, ErrOffsetOutOfRange, a.view.start, a.view.hw))
	case err != nil:
		done(-1, fmt.Errorf("delete records of %s: %w", a.ID, err))
	case low == a.view.start:
		done(low, nil)
	default:
		a.trimTo(low, done)
	}
}

// trimTo gives back what lies below to, and tells done when that is on disk.
func (a *Actor) trimTo(to record.Offset, done func(low record.Offset, err error)) {
	w := &persistence.Write{}
	if err := a.member.State().Compact(w, to); err != nil {
		done(-1, fmt.Errorf("trim %s: %w", a.ID, err))
		return
	}
	a.submit(w, func(a *Actor, err error) {
		if err != nil {
			done(-1, fmt.Errorf("trim %s: %w", a.ID, err))
			return
		}
		a.view.start = max(a.view.start, to)
		a.trim(a.view.start)
		a.publish(a.view)
		done(a.view.start, nil)
	})
}

// configure goes by c from now on.
func (a *Actor) configure(c Config) {
	flush := a.config.Load().Flush
	a.config.Store(&c)
	if c.Flush == flush {
		return
	}
	go func() { // waits for the disk
		_, err := a.Store.OpenLog(a.log.Load().Name(), persistence.LogOptions{Flush: c.Flush, Raft: true})
		if err != nil {
			a.Log.Warn("flush policy not changed", "partition", a.ID.String(), "err", err)
		}
	}()
}
