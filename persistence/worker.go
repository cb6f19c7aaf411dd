package persistence

import (
	"time"

	"github.com/sluicehq/sluice/persistence/segment"
)

// schedule gives l to a sync worker, unless one works on it already. Several
// segments are synced at the same time, one log's never.
func (s *Store) schedule(l *Log) {
	if l.working {
		return
	}
	l.working = true
	if s.readyLast == nil {
		s.readyFirst = l
	} else {
		s.readyLast.readyNext = l
	}
	s.readyLast = l
	if s.workersIdle == 0 && s.workers < s.opt.SyncWorkers {
		s.workers++
		s.wg.Add(1)
		go s.worker()
	}
	s.workReady.Signal()
}

// worker takes one log after the other: what waits in it is written with one
// write and synced with one sync.
func (s *Store) worker() {
	defer s.wg.Done()
	var g group
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.readyFirst == nil {
			if s.stopWorkers {
				s.workers-- // a log whose sync ends later may need one more
				return
			}
			s.workersIdle++
			s.workReady.Wait()
			s.workersIdle--
		}
		l := s.readyFirst
		if s.readyFirst, l.readyNext = l.readyNext, nil; s.readyFirst == nil {
			s.readyLast = nil
		}
		g.take(l)
		if s.failed == nil {
			s.mu.Unlock()
			err := g.store(s)
			s.mu.Lock()
			if err != nil {
				s.fail(err)
			}
		}
		g.hand(s)
		l.working = false
		if l.todo != nil || l.flushDue && l.syncing == nil {
			s.schedule(l)
		}
	}
}

// group is what one worker does for one log in one go.
type group struct {
	log    *Log
	parts  []*part
	frames []segment.Frame
	shares []segment.Share
	metas  []byte
	flush  bool // the lazy interval is over
	strict bool // some part is acknowledged after the commit only
	acked  int  // parts acknowledged after the write
	bundle *bundle
	// flushed are told when the bundles are committed.
	flushed []chan error
}

// take collects what waits in l; s.mu is held.
func (g *group) take(l *Log) {
	g.log, g.parts, g.acked, g.bundle = l, g.parts[:0], 0, nil
	g.flush, l.flushDue = l.flushDue, false
	g.flushed, l.flushed = l.flushed, nil
	g.strict = l.strict > 0
	bytes := 0
	p := l.todo
	for ; p != nil && bytes < groupBytes; p = p.next {
		if p.synced {
			continue
		}
		g.parts = append(g.parts, p)
		for i := range p.w.Appends {
			bytes += len(p.w.Appends[i].Payload)
		}
	}
	for p != nil && p.synced {
		p = p.next
	}
	l.todo = p
}

// store writes and syncs; no lock is held.
func (g *group) store(s *Store) error {
	l := g.log
	g.build()
	if len(g.frames) > 0 {
		if err := l.segs.Append(g.frames); err != nil {
			return err
		}
	}
	at := 0
	for _, p := range g.parts {
		at = g.place(p, at)
	}
	if l.flush.lazy() {
		g.acknowledge(s)
		if g.acked == len(g.parts) {
			g.syncBeside(s)
			return nil
		}
		l.awaitSync(s) // one after the other: commits keep the order of the log
	}
	if l.segs.Dirty() {
		if err := l.segs.Sync(); err != nil {
			return err
		}
	}
	g.bundle = l.takeBundles()
	return nil
}

// build makes the frames of the group.
func (g *group) build() {
	g.frames, g.shares, g.metas = g.frames[:0], g.shares[:0], g.metas[:0]
	for _, p := range g.parts {
		w := p.w
		if w.err != nil {
			continue
		}
		shares := 0
		if w.segs && len(w.Appends) > 1 && !w.Each {
			shares = len(w.Appends)
			for i := range w.Appends {
				g.shares = append(g.shares, segment.Share{GID: w.Appends[i].Log.gid, Base: w.Appends[i].Base})
			}
		}
		all := g.shares[len(g.shares)-shares:]
		for i := range w.Appends {
			a := &w.Appends[i]
			if a.Log != g.log || !w.segs {
				continue
			}
			f := segment.Frame{Kind: segment.Batch, Base: a.Base, Count: uint32(a.Count), MaxTime: a.MaxTime, Payload: a.Payload, Summed: a.Summed, Shares: all, Write: w.id, Term: a.Term, Entry: a.Index, Type: a.Type}
			if i == 0 {
				f.Meta = g.meta(w)
			}
			g.frames = append(g.frames, f)
		}
		if len(w.Appends) == 0 && len(w.parts) == 1 {
			g.frames = append(g.frames, segment.Frame{Kind: segment.Change, Meta: g.meta(w), Write: w.id})
		}
	}
}

// meta encodes the changes of w behind each other in one buffer.
func (g *group) meta(w *Write) []byte {
	if len(w.Sets)+len(w.Deletes)+len(w.Trims) == 0 {
		return nil
	}
	from := len(g.metas)
	g.metas = appendMeta(g.metas, w)
	return g.metas[from:len(g.metas):len(g.metas)]
}

// place notes where the frames of p, from number at on, have come to lie.
func (g *group) place(p *part, at int) int {
	w := p.w
	if w.err != nil {
		return at
	}
	for i := range w.Appends {
		if a := &w.Appends[i]; a.Log == g.log && w.segs {
			a.at = g.frames[at].At
			p.pos = g.frames[at].End
			at++
		}
	}
	if len(w.Appends) == 0 && len(w.parts) == 1 {
		p.pos = g.frames[at].End
		at++
	}
	return at
}

// hand gives what is safe to the committer; s.mu is held.
func (g *group) hand(s *Store) {
	for b := g.bundle; b != nil; b = b.next {
		s.commit(item{b: b})
	}
	if len(g.flushed) > 0 {
		s.commit(item{flushed: g.flushed})
	}
	for _, p := range g.parts[g.acked:] {
		p.synced = true
	}
	s.release(g.log)
	clear(g.frames)
	clear(g.parts)
}

// arm makes sure that what was written is synced in time. Half of the
// interval is left for the sync itself. All logs of an interval are synced at
// the same moments: a journaling file system writes out the new data of every
// file with the first sync of any, and a sync each at its own time would have it
// do so without end.
func (l *Log) arm(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.armed || s.closed {
		return
	}
	l.armed = true
	half := l.flush.every / 2
	time.AfterFunc(half-time.Duration(time.Now().UnixNano())%half, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.armed = false
		if s.failed == nil && !s.stopWorkers {
			l.flushDue = true
			s.schedule(l)
		}
	})
}
