package persistence

import (
	"cmp"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Under a lazy policy a write is acknowledged once the operating system has
// its frames; its changes wait here, copied, until those are synced.

// bundle is what a transaction will hold of a lazy log.
type bundle struct {
	log     *Log
	entries []Entry
	changes []byte // as in frames, behind each other
	bytes   int    // of a transaction
	pos     segment.Position
	next    *bundle
	also    []*bundle // entries in other logs, of the same write
}

// acknowledge tells the callers of as many parts as may be told after the
// write: those before the first that needs a commit.
func (g *group) acknowledge(s *Store) {
	l := g.log
	if g.strict {
		return
	}
	for _, p := range g.parts {
		w := p.w
		if len(w.parts) > 1 {
			return
		}
		if w.err == nil {
			l.keep(p)
		}
		g.acked++
		s.witness.touch()
		s.mu.Lock()
		l.pop()
		s.mu.Unlock()
		w.landed()
		w.Done(w.err)
	}
}

// keep copies what the write of p changes.
func (l *Log) keep(p *part) {
	w := p.w
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	b := l.bundleLast
	if b == nil || b.bytes+w.size > lazyBytes || len(b.entries) > txnKeys/2 {
		b = &bundle{log: l}
		if l.bundleLast == nil {
			l.bundleFirst = b
		} else {
			l.bundleLast.next = b
		}
		l.bundleLast = b
	}
	b.bytes += w.size
	for i := range w.Appends {
		e := w.Appends[i].entry()
		b.entries = append(b.entries, e)
		l.unsyncedBytes += int64(e.Bytes)
		if e.Records() {
			l.unsynced = append(l.unsynced, e)
		}
		l.ends(e)
	}
	if len(w.Sets)+len(w.Deletes)+len(w.Trims) > 0 {
		b.changes = appendMeta(b.changes, w)
		for _, t := range w.Trims {
			t.Log.trimmed(t.To)
		}
	}
	b.pos = p.pos
}

// heavy says that so much waits for its sync that it should not wait longer.
func (l *Log) heavy() bool {
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	return l.unsyncedBytes > lazySyncBytes
}

// takeBundles takes what was synced just now.
func (l *Log) takeBundles() *bundle {
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	b := l.bundleFirst
	l.bundleFirst, l.bundleLast, l.unsyncedBytes = nil, nil, 0
	return b
}

// indexed forgets the entries of b: Badger has them.
func (l *Log) indexed(b *bundle) {
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	if len(b.entries) == 0 {
		return
	}
	last := b.entries[len(b.entries)-1].Last
	n, _ := slices.BinarySearchFunc(l.unsynced, last+1, func(e Entry, o record.Offset) int { return cmp.Compare(e.Base, o) })
	if n > 0 {
		l.unsynced = append(l.unsynced[:0:0], l.unsynced[n:]...)
	}
}

// memoryFrom returns the first n entries that Badger does not have yet and that
// end at from or behind it.
func (l *Log) memoryFrom(from record.Offset, n int) []Entry {
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	i, _ := slices.BinarySearchFunc(l.unsynced, from, func(e Entry, o record.Offset) int { return cmp.Compare(e.Last, o) })
	rest := l.unsynced[i:]
	return append([]Entry(nil), rest[:min(n, len(rest))]...)
}

// memory returns the entries that Badger does not have yet.
func (l *Log) memory() []Entry {
	l.lazyMu.Lock()
	defer l.lazyMu.Unlock()
	return append([]Entry(nil), l.unsynced...)
}

// syncBeside sees to the sync of what was acknowledged: now, when it is due or
// heavy, and else in time. The sync runs beside further writes, which would
// otherwise wait for the disk and with them their acknowledgements. While one
// runs the next waits; only when that has become heavy too, the log does.
func (g *group) syncBeside(s *Store) {
	l := g.log
	if !g.flush && !l.heavy() {
		l.arm(s)
		return
	}
	if l.heavy() {
		l.awaitSync(s)
	}
	s.mu.Lock()
	if l.syncing != nil {
		l.flushDue, l.flushed = true, append(g.flushed, l.flushed...)
		g.flushed = nil
		s.mu.Unlock()
		return
	}
	done := make(chan struct{})
	l.syncing = done
	s.wg.Add(1)
	s.mu.Unlock()
	unsynced, bundle, flushed := l.segs.Unsynced(), l.takeBundles(), g.flushed
	g.flushed = nil
	go func() {
		defer s.wg.Done()
		err := unsynced.Sync()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.fail(err)
		}
		for b := bundle; b != nil; b = b.next {
			s.commit(item{b: b})
		}
		if len(flushed) > 0 {
			s.commit(item{flushed: flushed})
		}
		l.syncing = nil
		close(done)
		if l.flushDue { // also when the store is being closed: what came meanwhile is due
			s.schedule(l)
		}
	}()
}

// awaitSync waits for the sync that runs beside the writes.
func (l *Log) awaitSync(s *Store) {
	s.mu.Lock()
	done := l.syncing
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

// flushLazy waits until everything that was acknowledged lazily is in Badger.
func (s *Store) flushLazy() error {
	s.mu.Lock()
	var waits []chan error
	for _, l := range s.lazies {
		l.lazyMu.Lock()
		pending := l.bundleFirst != nil || len(l.unsynced) > 0
		l.lazyMu.Unlock()
		if pending && s.failed == nil && !s.stopWorkers {
			done := make(chan error, 1)
			waits = append(waits, done)
			l.flushDue = true
			l.flushed = append(l.flushed, done)
			s.schedule(l)
		}
	}
	s.mu.Unlock()
	for _, done := range waits {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}
