package persistence

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// tender gives space back: entries below the start of a log first, then whole
// segments; and what deleted logs have left.
type tender struct {
	s    *Store
	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
	one  sync.Mutex // tends at a time

	mu      sync.Mutex
	trimmed map[*Log]bool
	gone    []uint32 // deleted logs
}

const (
	tendEvery = 250 * time.Millisecond
	tendKeys  = 1000
)

func (t *tender) init(s *Store) {
	t.s = s
	t.wake, t.quit, t.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	t.trimmed = map[*Log]bool{}
}

func (t *tender) start() { go t.run() }

func (t *tender) stop() {
	t.once.Do(func() {
		close(t.quit)
		<-t.done
	})
}

func (s *Store) reclaim(l *Log) {
	t := &s.tender
	t.mu.Lock()
	t.trimmed[l] = true
	t.mu.Unlock()
	t.nudge()
}

// forget has everything of a deleted log removed.
func (t *tender) forget(gid uint32) {
	t.mu.Lock()
	t.gone = append(t.gone, gid)
	t.mu.Unlock()
	t.nudge()
}

// forgets says whether log gid was deleted.
func (t *tender) forgets(gid uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.gone, gid)
}

func (t *tender) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *tender) run() {
	defer close(t.done)
	for {
		select {
		case <-t.quit:
			return
		case <-t.wake:
		}
		// Many trims become one.
		select {
		case <-t.quit:
			return
		case <-time.After(tendEvery):
		}
		if err := t.tend(); err != nil && !errors.Is(err, ErrClosed) {
			t.s.opt.Log.Error("space could not be given back", "err", err)
		}
	}
}

func (t *tender) tend() error {
	t.one.Lock()
	defer t.one.Unlock()
	t.mu.Lock()
	trimmed, gone := t.trimmed, t.gone
	t.trimmed, t.gone = map[*Log]bool{}, nil
	t.mu.Unlock()
	for l := range trimmed {
		if err := t.sweep(l); err != nil {
			return err
		}
	}
	for _, gid := range gone {
		if err := t.erase(gid); err != nil {
			return err
		}
	}
	return nil
}

// sweep deletes the entries below the start of l, and then the segments that
// hold nothing else.
func (t *tender) sweep(l *Log) error {
	start := l.Start()
	to := max(start, l.Rewritten())
	err := t.deleteKeys(logKey(l.gid, 'o'), entryKey(l.gid, l.swept), func(k []byte) bool { return offsetOf(k) < to })
	if err != nil {
		return err
	}
	l.swept = to
	n, err := l.segs.Unlink(to)
	if n > 0 && err == nil {
		err = segment.SyncDir(t.s.opt.Faults, l.segs.Folder())
	}
	if err != nil {
		return err
	}
	return t.sweepGenerations(l, start)
}

// erase deletes the keys of a log that is no more, and its segments. The
// registration stays: a gid is never used again.
func (t *tender) erase(gid uint32) error {
	prefix := logKey(gid, 0)[:5]
	if err := t.deleteKeys(prefix, prefix, func([]byte) bool { return true }); err != nil {
		return err
	}
	err := os.RemoveAll(segment.Dir(t.s.segmentDir(), gid))
	t.s.files.Forget(gid) // or their space stays taken
	return err
}

// deleteKeys deletes from from on the keys with the prefix, in small
// transactions, until one is not wanted.
func (t *tender) deleteKeys(prefix, from []byte, wanted func(k []byte) bool) error {
	for {
		var w Write
		err := t.s.scan(prefix, from, func(k, _ []byte) error {
			if !wanted(k) || len(w.Deletes) == tendKeys {
				return errStop
			}
			w.Deletes = append(w.Deletes, append([]byte(nil), k...))
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			return err
		}
		if len(w.Deletes) == 0 {
			return nil
		}
		from = w.Deletes[len(w.Deletes)-1]
		if err := t.s.do(&w); err != nil {
			return err
		}
		select {
		case <-t.quit:
			return ErrClosed
		default:
		}
	}
}

// DeleteLog deletes the log called name: at once for everyone who asks, its
// space follows. Writes to it are refused from now on.
func (s *Store) DeleteLog(name string) error {
	s.openMu.Lock()
	defer s.openMu.Unlock()
	s.mu.Lock()
	l := s.logs[name]
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	if err := s.flushLazy(); err != nil {
		return err
	}
	s.mu.Lock()
	l.deleted = true
	s.mu.Unlock()
	r := registration{name: name, flush: Always, deleted: true}
	if err := s.do(&Write{Sets: []KV{{registryKey(l.gid), r.encode()}}}); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.logs, name)
	delete(s.gids, l.gid)
	s.dropLazy(l)
	s.mu.Unlock()
	l.start.Store(int64(record.Offset(1)<<62 - 1))
	s.tender.forget(l.gid)
	return nil
}
