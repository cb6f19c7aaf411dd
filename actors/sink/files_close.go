package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// recoverWait is how long the closer leaves the files of an earlier run to the
// first Deliver, which commits their renaming together with its own intents.
const recoverWait = time.Second

// closer closes the files that become ready between two Delivers, and those
// that are to be tried again.
func (s *files) closer(ctx context.Context) {
	defer s.env.contain()
	defer close(s.over)
	retry := time.NewTimer(recoverWait)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry.C:
		}
		if !s.closeSome(ctx) && ctx.Err() == nil {
			retry.Reset(s.RetryInterval)
		}
	}
}

// closeSome commits that what is ready is being renamed, renames it, and says
// whether nothing is left to do.
func (s *files) closeSome(ctx context.Context) bool {
	s.closing.Lock()
	defer s.closing.Unlock()
	if err := s.commit(ctx, State{}); err != nil {
		if ctx.Err() != nil {
			return false // Close does it
		}
		s.env.Log.Warn("commit that files are to be renamed, will be tried again", "after", s.RetryInterval, "err", err)
		return false
	}
	s.closeReady()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) == 0
}

// closeReady closes and renames the files that are ready and whose renaming is
// committed. The removal of their keys goes with the next commit that follows a
// sync of the directories. Under closing.
func (s *files) closeReady() {
	s.mu.Lock()
	ready, now := s.ready, time.Now()
	s.ready = nil
	s.mu.Unlock()
	for _, f := range ready {
		switch {
		case f.notBefore.After(now), !f.renaming && !f.unused() && f.rec.Path != f.rec.Final:
			s.later(f)
		default:
			s.close(f)
		}
	}
}

func (s *files) later(f *file) {
	s.mu.Lock()
	s.ready = append(s.ready, f)
	s.mu.Unlock()
}

func (s *files) close(f *file) {
	changed, err := s.closeFile(f)
	log := s.env.Log.With("file", path.Join(f.rec.Dir, f.rec.Path))
	f.tries++
	switch {
	case err == nil && len(changed) == 0:
		s.mu.Lock()
		s.gone = append(s.gone, f.key)
		s.mu.Unlock()
	case err == nil:
		s.mu.Lock()
		s.dirs, s.renamed = append(s.dirs, changed...), append(s.renamed, f.key)
		s.mu.Unlock()
	case s.CloseTries > 0 && f.tries >= s.CloseTries:
		// Its key stays: the next start tries again.
		log.Error("file keeps its name of use: renaming failed too often", "tries", f.tries, "err", err)
	default:
		log.Warn("rename file, will be tried again", "after", s.RetryInterval, "err", err)
		f.notBefore = time.Now().Add(s.RetryInterval)
		s.later(f)
		s.poke() // so that the closer sets its clock
	}
}

// unused says that nothing is in f, a file of this run: it gets no final name,
// but goes.
func (f *file) unused() bool {
	return f.name != nil && f.committed == 0 && f.size == 0 && !f.broken && !f.renaming && f.rec.Path != f.rec.Final
}

// closeFile closes f and gives it its final name. It answers with the
// directories whose entries have changed.
func (s *files) closeFile(f *file) ([]dirEntry, error) {
	if f.os != nil {
		err := f.os.Close()
		s.mu.Lock()
		f.os, f.out = nil, nil
		s.mu.Unlock()
		s.env.Counters.ConnectionClosed.Add(1)
		if err != nil {
			s.env.Log.Warn("close file", "file", path.Join(f.rec.Dir, f.rec.Path), "err", err) // its bytes are synced
		}
	}
	if f.rec.Path == f.rec.Final {
		return nil, nil
	}
	root, err := s.rootOf(f.rec.Dir)
	if err != nil {
		return nil, err
	}
	if f.unused() {
		if err := root.Remove(f.rec.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, nil
	}
	return renameFree(root, f.rec.Path, f.rec.Final)
}

// renameFree renames from to to, or to a name like it that is free: what
// somebody else has put there is not overwritten. A missing from is done
// already.
func renameFree(root *os.Root, from, to string) ([]dirEntry, error) {
	if _, err := root.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	free := to
	for n := 1; ; n++ {
		_, err := root.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err == nil && n > namesMax {
			err = fs.ErrExist
		}
		if err != nil {
			return nil, fmt.Errorf("rename %s to %s: %w", from, to, err)
		}
		free = fmt.Sprintf("%s.%d", to, n)
	}
	if err := root.Rename(from, free); err != nil {
		return nil, err
	}
	return []dirEntry{{root, path.Dir(from)}, {root, path.Dir(free)}}, nil
}

// closeWait bounds how long Close waits for commits.
const closeWait = 10 * time.Second

// Close finishes all files and closes those of which everything is committed.
// What was given up is cut off. The others are left in use: the next start cuts
// and closes them.
func (s *files) Close() error {
	s.stop()
	<-s.over
	s.closing.Lock()
	defer s.closing.Unlock()
	s.mu.Lock()
	for f := range s.live {
		f.finished = true
		s.cutBack(f)
		s.settle(f)
	}
	for _, f := range s.ready {
		f.notBefore = time.Time{}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := s.commit(ctx, State{})
	if err == nil {
		s.closeReady()
		err = s.forget(ctx)
	}
	s.mu.Lock()
	kept := len(s.live)
	s.mu.Unlock()
	if kept == 0 {
		s.closeRoots() // else a Pending may still sync directories
	}
	return err
}

// cutBack takes off a file what comes again. Under mu.
func (s *files) cutBack(f *file) {
	if !f.givenUp || f.os == nil || f.broken || f.holds > 0 || !s.env.Replays {
		return
	}
	log := s.env.Log.With("file", path.Join(f.rec.Dir, f.rec.Path), "size", f.size, "committed", f.committed)
	if err := f.os.Truncate(f.committed); err != nil {
		log.Error("what is not committed could not be cut off; the next start does it", "err", err)
		return
	}
	log.Info("file cut to what was committed")
	f.size, f.queued = f.committed, false
	s.dirty = slices.DeleteFunc(s.dirty, func(o *file) bool { return o == f })
}

// forget removes the keys of renamed files. Under closing.
func (s *files) forget(ctx context.Context) error {
	s.mu.Lock()
	dirs, renamed := s.dirs, s.renamed
	s.mu.Unlock()
	if err := syncDirs(dirs); err != nil {
		return err
	}
	s.mu.Lock()
	s.gone = append(s.gone, renamed...)
	s.renamed = s.renamed[len(renamed):]
	s.mu.Unlock()
	return s.commit(ctx, State{})
}

// abandon lets go of all files as they are.
func (s *files) abandon() {
	s.stop()
	<-s.over
	s.closing.Lock()
	defer s.closing.Unlock()
	s.mu.Lock()
	for f := range s.live {
		_ = f.os.Close()
	}
	for _, f := range s.ready {
		if f.os != nil {
			_ = f.os.Close()
		}
	}
	s.live, s.ready = map[*file]struct{}{}, nil
	s.mu.Unlock()
	s.closeRoots()
}
