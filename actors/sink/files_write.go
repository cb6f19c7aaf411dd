package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// outKept is how many bytes all staging buffers together may keep between
// batches.
const outKept = 64 << 20

// write makes the staged files, commits their intents and writes all that is
// staged. After an error nothing that was staged stands in any file, and those
// that had something staged are finished: the sink begins others.
func (s *files) write(ctx context.Context) error {
	err := s.makeFiles(ctx)
	for _, f := range s.touched {
		if err != nil {
			break
		}
		err = f.flush()
	}
	if err != nil {
		s.undo()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.touched {
		s.env.Counters.BytesWrote.Add(f.size - f.before)
		f.touched = false
		// An empty file waits for no commit: its intent says all about it. That
		// a file is to be renamed is committed with the others' lengths.
		if !f.queued && (f.size != f.before || f.finished && f.rec.Path != f.rec.Final) {
			f.queued = true
			s.dirty = append(s.dirty, f)
		} else if s.settle(f) {
			s.poke()
		}
		if cap(f.out)*len(s.live) > outKept {
			f.out = nil
		}
		f.out = f.out[:0]
	}
	clear(s.touched)
	s.touched = s.touched[:0]
	return nil
}

func (f *file) flush() error {
	if len(f.out) == 0 {
		return nil
	}
	n, err := f.os.Write(f.out)
	f.set.mu.Lock()
	f.size += int64(n)
	f.set.mu.Unlock()
	return err // names the file
}

// makeFiles creates the staged files, empty, and commits their intents. With
// them goes what else waits for a commit.
func (s *files) makeFiles(ctx context.Context) error {
	intents := State{}
	for _, f := range s.touched {
		if f.os != nil {
			continue
		}
		if err := s.create(f); err != nil {
			s.env.Counters.ConnectionFailed.Add(1)
			return err
		}
		s.env.Counters.ConnectionCreated.Add(1)
		intents[f.key] = f.rec.encode()
	}
	if len(intents) == 0 {
		return nil
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	if err := s.commit(ctx, intents); err != nil {
		return fmt.Errorf("commit the intent to write files: %w", err)
	}
	s.closeReady()
	return nil
}

// commit commits state, the removal of keys that are gone, and that the files
// that are ready are being renamed. Under closing.
func (s *files) commit(ctx context.Context, state State) error {
	s.mu.Lock()
	gone := s.gone
	s.gone = nil
	for _, key := range gone {
		state[key] = nil
	}
	var renaming []*file
	for _, f := range s.ready {
		if !f.renaming && !f.unused() && f.rec.Path != f.rec.Final {
			rec := f.rec
			rec.Length, rec.Renaming = f.committed, true
			state[f.key] = rec.encode()
			renaming = append(renaming, f)
		}
	}
	s.mu.Unlock()
	if len(state) == 0 {
		return nil
	}
	err := s.env.Keep(ctx, state)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.gone = append(gone, s.gone...)
		return err
	}
	for _, f := range renaming {
		f.renaming = true
	}
	return nil
}

// namesMax bounds how many taken names are passed over for one file.
const namesMax = 10_000

func (s *files) create(f *file) error {
	root, err := s.ownRoot()
	if err != nil {
		return err
	}
	for range namesMax {
		name, final := f.name()
		name, final = path.Clean(name), path.Clean(final)
		if err := s.makeDirs(root, path.Dir(name)); err != nil {
			return err
		}
		if final != name {
			if err := s.makeDirs(root, path.Dir(final)); err != nil {
				return err
			}
			if _, err := root.Lstat(final); err == nil {
				continue // taken
			}
		}
		o, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		device, inode, err := identity(o)
		if err != nil {
			_ = o.Close()
			return err
		}
		lockFile(o)
		f.rec = fileRecord{Dir: s.dir, Path: name, Final: final, Device: device, Inode: inode}
		s.mu.Lock()
		f.os, f.key = o, fileKeyPrefix+strconv.FormatUint(s.next, 10)
		s.next++
		s.live[f] = struct{}{}
		s.dirs = append(s.dirs, dirEntry{root, path.Dir(name)})
		s.mu.Unlock()
		return nil
	}
	return fmt.Errorf("make a file in %s: %d names are taken", s.dir, namesMax)
}

// undo drops all that is staged. Files that had something staged are finished.
func (s *files) undo() {
	for _, f := range s.touched {
		f.out = nil
		if f.os != nil {
			s.undoFile(f)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.touched {
		f.touched, f.finished = false, true
		s.settle(f)
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

func (s *files) undoFile(f *file) {
	root, err := s.rootOf(f.rec.Dir)
	isNew := f.before == 0 && f.committed == 0 && f.holds == 0 && !f.queued
	if err == nil && isNew {
		_ = f.os.Close()
		err = root.Remove(f.rec.Path)
		s.mu.Lock()
		f.os = nil
		delete(s.live, f)
		s.gone = append(s.gone, f.key)
		s.mu.Unlock()
	} else if err == nil && f.size != f.before {
		if err = f.os.Truncate(f.before); err == nil {
			s.mu.Lock()
			f.size = f.before
			s.mu.Unlock()
		}
	}
	if err != nil {
		s.env.Log.Error("a failed write could not be taken back; the file is closed at the next start", "file", path.Join(f.rec.Dir, f.rec.Path), "err", err)
		s.mu.Lock()
		f.broken = true
		s.mu.Unlock()
	}
}
