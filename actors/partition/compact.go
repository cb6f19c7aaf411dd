package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// compactions bounds how many partitions of a process are compacted at a time:
// each takes memory for the keys, and much of the disk.
var compactions = make(chan struct{}, 1)

func (c *Config) compaction() partitionlog.Compaction {
	return partitionlog.Compaction{
		DirtyRatio: c.MinCleanableRatio, MinLag: c.MinCompactionLag, MaxLag: c.MaxCompactionLag,
		DeleteRetention: c.DeleteRetention, SegmentBytes: c.SegmentBytes, SegmentAge: c.SegmentAge,
	}
}

// compact has the log compacted when enough of it is new. The work is done in
// goroutines, one pass at a time; the actor takes note in between.
func (a *Actor) compact(now time.Time) {
	c := a.config.Load()
	if !c.Compact || a.compacting || !a.view.leading {
		return
	}
	a.compacting = true
	p, ref, stable := a.part, Ref{a.part}, a.view.stable
	p.background.Go(func() {
		pass, err := p.preparePass(c.compaction(), stable, now.UnixMilli())
		ref.call(call{
			do:   func(a *Actor) { a.prepared(pass, err) },
			fail: func(error) { p.dropPass(pass) },
		})
	})
}

// preparePass rewrites the log beside the one that counts; nil: it is not worth
// it yet. Whoever gets a pass holds the right to compact until it ends.
func (p *part) preparePass(c partitionlog.Compaction, stable record.Offset, now int64) (pass *partitionlog.Pass, err error) {
	log, index := p.log.Load(), p.index.Load()
	plan := func() (partitionlog.Range, bool, error) {
		return c.Plan(log, index, log.Rewritten(), stable, log.Next(), now)
	}
	if _, ok, err := plan(); err != nil || !ok {
		return nil, err
	}
	select {
	case compactions <- struct{}{}:
	case <-p.life.Done():
		return nil, p.life.Err()
	}
	defer func() {
		if pass == nil {
			<-compactions
		}
	}()
	r, ok, err := plan()
	if err != nil || !ok {
		return nil, err
	}
	p.stateMu.RLock()
	producers, aborted := p.state.Producers(), p.state.Aborted(r.From, r.To)
	p.stateMu.RUnlock()
	return c.Prepare(p.life, log, r, producers, aborted, now)
}

// prepared goes on with a pass. The state forgets the transactions whose
// markers it removes, on disk too, before the markers are gone: a reader that
// was told of one would wait for its marker, and skip what follows.
func (a *Actor) prepared(pass *partitionlog.Pass, err error) {
	if pass == nil {
		a.compacting = false
		if err != nil && !errors.Is(err, persistence.ErrTrimmed) && a.life.Err() == nil {
			a.Log.Warn("compaction", "partition", a.ID.String(), "err", err)
		}
		return
	}
	if len(pass.Gone) == 0 {
		a.finishPass(pass)
		return
	}
	a.dropAborted(pass.Gone)
	a.pass = pass // should this life of the actor end meanwhile
	a.keepThen(func(a *Actor, err error) {
		if a.pass != pass {
			return // it was given up meanwhile
		}
		a.pass = nil
		if err != nil {
			a.background.Go(func() { a.dropPass(pass) })
			a.compacting = false
			return
		}
		a.finishPass(pass)
	})
}

// finishPass makes the rewritten log the one that counts.
func (a *Actor) finishPass(pass *partitionlog.Pass) {
	p, ref := a.part, Ref{a.part}
	p.background.Go(func() {
		err := pass.Finish()
		if err == nil {
			err = p.index.Load().Recount(p.log.Load(), pass.From, pass.To)
		}
		<-compactions
		ref.call(call{do: func(a *Actor) { a.compacted(pass, err) }, fail: func(error) {}})
	})
}

func (a *Actor) compacted(pass *partitionlog.Pass, err error) {
	a.compacting = false
	if err != nil {
		a.Log.Warn("compaction", "partition", a.ID.String(), "err", err)
		return
	}
	a.keepThen(func(*Actor, error) {}) // the index has other sizes now
	a.Log.Debug("compacted", "partition", a.ID.String(), "from", int64(pass.From), "to", int64(pass.To), "before", pass.Before, "after", pass.After)
}

// dropPass gives a pass up.
func (p *part) dropPass(pass *partitionlog.Pass) {
	if pass == nil {
		return
	}
	if err := pass.Cancel(); err != nil {
		p.Log.Warn("compaction given up", "partition", p.ID.String(), "err", fmt.Errorf("cancel: %w", err))
	}
	<-compactions
}

// abandonPass gives up what an earlier life of the actor was about to finish.
func (a *Actor) abandonPass() {
	if pass := a.pass; pass != nil {
		a.pass = nil
		a.background.Go(func() { a.dropPass(pass) })
	}
}
