package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// spoolList is what waited in the directory when it was last listed, in the
// order in which it is consumed.
type spoolList struct {
	queue   []*spoolFile
	streams map[string]bool // of all files that were there
	until   time.Time       // when it is too old: a younger or older file may have come
}

// listFor is how long a listing serves, at least.
const listFor = 500 * time.Millisecond

// nextFile is the next file to be read, or nil.
func (s *spooldir) nextFile() (*spoolFile, error) {
	if len(s.list.queue) == 0 || time.Now().After(s.list.until) {
		if err := s.relist(); err != nil {
			return nil, err
		}
	}
	if len(s.list.queue) == 0 {
		return nil, nil
	}
	f := s.list.queue[0]
	s.list.queue = s.list.queue[1:]
	return f, nil
}

func (s *spooldir) relist() error {
	begun := time.Now()
	s.list = spoolList{streams: map[string]bool{}}
	if err := s.listDir("."); err != nil {
		return fmt.Errorf("list %s: %w", s.dir, err)
	}
	// A large directory is not listed all the time.
	s.list.until = time.Now().Add(max(listFor, 10*time.Since(begun)))
	q := s.list.queue
	switch s.order {
	case "random":
		rand.Shuffle(len(q), func(i, j int) { q[i], q[j] = q[j], q[i] })
	default:
		slices.SortFunc(q, func(x, y *spoolFile) int {
			c := x.mtime.Compare(y.mtime)
			if s.order == "youngest" {
				c = -c
			}
			if c == 0 { // as Flume: the smallest name first
				c = strings.Compare(x.rel, y.rel)
			}
			return c
		})
	}
	return nil
}

func (s *spooldir) listDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return err
	}
	for _, e := range entries {
		rel := filepath.Join(dir, e.Name())
		if e.IsDir() {
			// A directory below may vanish, or be closed to us.
			if s.recursive && !strings.HasPrefix(e.Name(), ".") && !s.full(s.ignore, e.Name()) {
				if err := s.listDir(rel); err != nil {
					s.once("dir "+rel, "directory cannot be listed", "dir", rel, "err", err)
				}
			}
			continue
		}
		if s.wanted(e.Name()) {
			s.consider(rel)
		}
	}
	return nil
}

// wanted says whether a file's name makes it a candidate.
func (s *spooldir) wanted(name string) bool {
	return !strings.HasSuffix(name, s.suffix) && !strings.HasPrefix(name, ".") &&
		!s.isCanary(name) && s.full(s.include, name) && !s.full(s.ignore, name)
}

// isCanary knows the test files of a source on the same directory, and of one
// that was killed at its start.
func (s *spooldir) isCanary(name string) bool {
	return strings.HasPrefix(name, "flume-spooldir-perm-check-") && strings.HasSuffix(name, ".canary")
}

func (s *spooldir) full(m interface {
	Full(b []byte) (bool, error)
}, name string) bool {
	ok, err := m.Full([]byte(name))
	if err != nil {
		s.once("pattern "+name, "pattern cannot be matched; it counts as not matching", "file", name, "err", err)
	}
	return ok
}

// consider queues a file unless it is already on its way or done.
func (s *spooldir) consider(rel string) {
	info, err := s.root.Lstat(rel)
	if err != nil {
		return // gone since
	}
	if !info.Mode().IsRegular() {
		s.once("type "+rel, "passed over: no regular file", "file", rel, "type", info.Mode().Type().String())
		return
	}
	id, ok := idOf(info)
	if !ok {
		return
	}
	f := &spoolFile{rel: rel, id: id, size: info.Size(), mtime: info.ModTime()}
	f.stream = fmt.Sprintf("%s:%d:%d:%d", rel, id.inode, f.size, f.mtime.UnixNano())
	// Somebody may give a file its old name back, to have it read again.
	s.mu.Lock()
	if n := s.ended[f.stream]; n > 0 {
		f.stream = fmt.Sprintf("%s:%d", f.stream, n)
	}
	s.mu.Unlock()
	if s.track && s.tracked(rel) {
		return
	}
	s.list.streams[f.stream] = true
	if s.busy(f) {
		return
	}
	s.list.queue = append(s.list.queue, f)
}

// busy says whether a file is being read or waits for being settled. Then a
// change of it is found when it is marked as done.
func (s *spooldir) busy(f *spoolFile) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.files {
		if other.rel == f.rel && (other.id == f.id || other.aside == nil) {
			return true
		}
	}
	return false
}

// tracked says whether the tracker directory says that the file is done.
func (s *spooldir) tracked(rel string) bool {
	_, err := os.Lstat(s.trackerPath(rel))
	return err == nil
}

func (s *spooldir) trackerPath(rel string) string {
	return filepath.Join(s.trackerDir, rel+s.suffix)
}

// freeName is a path at or beside path that nothing has yet.
func freeName(path string) string {
	free := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); err != nil {
			return free
		}
		free = fmt.Sprintf("%s.%d", path, n)
	}
}
