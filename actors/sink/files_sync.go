package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// pendingFiles is a Pending of files.
type pendingFiles struct {
	set   *files
	files []pendingFile
	dirs  []dirEntry
	gone  []string
}

// pendingFile is a file as it was when the Pending was taken.
type pendingFile struct {
	file *file
	os   *os.File
	rec  fileRecord
}

// syncsAtOnce is how many files of one Pending are synced side by side: a disk
// takes several syncs at once better than one after the other.
const syncsAtOnce = 8

func (p *pendingFiles) Sync() (State, error) {
	var wg sync.WaitGroup
	errs := make([]error, len(p.files))
	slots := make(chan struct{}, syncsAtOnce)
	crashes := make(chan *crash, len(p.files))
	for i, f := range p.files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			defer func() {
				if r := recover(); r != nil {
					crashes <- newCrash(r)
				}
			}()
			if err := syncData(f.os); err != nil {
				errs[i] = fmt.Errorf("sync %s: %w", path.Join(f.rec.Dir, f.rec.Path), err)
			}
		})
	}
	wg.Wait()
	select {
	case c := <-crashes:
		panic(c) // for the goroutine that commits: it is not known what was synced
	default:
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := syncDirs(p.dirs); err != nil {
		return nil, err
	}
	state := State{}
	for _, key := range p.gone {
		state[key] = nil
	}
	for _, f := range p.files {
		state[f.file.key] = f.rec.encode()
	}
	return state, nil
}

func (p *pendingFiles) Committed() {
	s := p.set
	s.mu.Lock()
	for _, c := range p.files {
		f := c.file
		f.holds--
		f.committed = max(f.committed, c.rec.Length)
		f.renaming = f.renaming || c.rec.Renaming
		if s.settle(f) && !f.renaming {
			s.poke() // finished since the Pending was taken
		}
	}
	s.mu.Unlock()
	s.closing.Lock()
	defer s.closing.Unlock()
	s.closeReady()
}

// GivenUp notes what the next Close cuts off.
func (p *pendingFiles) GivenUp() {
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	for _, c := range p.files {
		c.file.holds--
		c.file.givenUp = true
	}
}

// dirEntry is a directory below root, or an absolute path where root is nil.
type dirEntry struct {
	root *os.Root
	name string
}

// syncDirs makes new entries of directories durable.
func syncDirs(dirs []dirEntry) error {
	done := map[dirEntry]bool{}
	for _, d := range dirs {
		if done[d] {
			continue
		}
		done[d] = true
		var f *os.File
		var err error
		if d.root == nil {
			f, err = os.Open(d.name)
		} else {
			f, err = d.root.Open(d.name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody has removed it, with all that was in it
		}
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("sync directory %s: %w", d.name, err)
		}
	}
	return nil
}

// ownRoot is the root of new files; it is made where it is missing.
func (s *files) ownRoot() (*os.Root, error) {
	s.dropMoved(s.dir)
	root, err := s.rootOf(s.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	var missing []string
	for dir := s.dir; ; dir = path.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, dir := range missing {
		s.dirs = append(s.dirs, dirEntry{nil, path.Dir(dir)})
	}
	s.mu.Unlock()
	return s.rootOf(s.dir)
}

// dropMoved forgets the root of dir when another directory, or none, is called
// so by now: somebody has removed the one that was open, and made it anew. What
// is still to be done in the old one keeps it open.
func (s *files) dropMoved(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.roots[dir]
	if root == nil {
		return
	}
	was, err := root.Stat(".")
	is, errNow := os.Stat(dir)
	if err == nil && errNow == nil && os.SameFile(was, is) {
		return
	}
	s.moved = append(s.moved, root)
	delete(s.roots, dir)
}

// rootOf opens dir, once. Nothing that is named by a record's headers can lead
// out of it, not even by a symbolic link.
func (s *files) rootOf(dir string) (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if root := s.roots[dir]; root != nil {
		return root, nil
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		s.roots[dir] = root
	}
	return root, err
}

func (s *files) closeRoots() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, root := range s.roots {
		_ = root.Close()
	}
	clear(s.roots)
	for _, root := range s.moved {
		_ = root.Close()
	}
	s.moved = nil
}

// makeDirs makes dir and its parents below root.
func (s *files) makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	at := "."
	for part := range strings.SplitSeq(dir, "/") {
		parent := at
		at = path.Join(at, part)
		err := root.Mkdir(at, 0o755)
		switch {
		case err == nil:
			s.mu.Lock()
			s.dirs = append(s.dirs, dirEntry{root, parent})
			s.mu.Unlock()
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return nil
}

// Pending is what was written since the last call, for Durable; nil when there
// is nothing.
func (s *files) Pending() Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) == 0 {
		return nil
	}
	p := &pendingFiles{set: s, dirs: s.dirs, gone: append(s.gone, s.renamed...)}
	for _, f := range s.dirty {
		f.queued = false
		f.holds++
		rec := f.rec
		rec.Length = f.size
		rec.Renaming = f.finished && !f.broken && rec.Path != rec.Final
		p.files = append(p.files, pendingFile{f, f.os, rec})
	}
	s.dirty, s.dirs, s.gone, s.renamed = s.dirty[:0], nil, nil, nil
	return p
}
