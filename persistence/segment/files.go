package segment

import (
	"container/list"
	"os"
	"sync"
)

// Faults is asked before everything that changes the disk; an error makes the
// step fail without being tried. Production has none. Since it sees every
// step with its file, in order, tests use it as a log too.
type Faults interface {
	Before(op, path string) error
}

// The names of the steps.
const (
	OpWrite  = "segment.write"
	OpSync   = "segment.sync"
	OpCreate = "segment.create"
	OpDir    = "dir.sync"
	OpUnlink = "segment.unlink"
)

// Before asks f, which may be nil.
func Before(f Faults, op, path string) error {
	if f == nil {
		return nil
	}
	return f.Before(op, path)
}

// Files keeps the files of all logs open, as many as were used lately, so
// that ten thousand logs do not need ten thousand descriptors.
type Files struct {
	max int

	mu   sync.Mutex
	open map[fileKey]*file
	lru  *list.List // of *file, the least lately used in front
}

type fileKey struct{ gid, segment uint32 }

type file struct {
	*os.File
	key     fileKey
	refs    int
	place   *list.Element
	dropped bool // deleted: close when the last user is done
}

// NewFiles keeps at most max files open, more only while more are in use.
func NewFiles(max int) *Files {
	return &Files{max: max, open: map[fileKey]*file{}, lru: list.New()}
}

// acquire opens the file or finds it open; the caller gives it back.
func (s *Files) acquire(l *Log, segment uint32) (*file, error) {
	key := fileKey{l.gid, segment}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.open[key]; f != nil {
		f.refs++
		return f, nil
	}
	h, err := os.OpenFile(l.path(segment), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	f := &file{File: h, key: key, refs: 1}
	s.open[key], f.place = f, s.lru.PushBack(f)
	return f, nil
}

func (s *Files) release(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.refs--
	if f.refs > 0 {
		return
	}
	if f.dropped {
		f.Close()
		return
	}
	s.lru.MoveToBack(f.place)
	for e := s.lru.Front(); e != nil && s.lru.Len() > s.max; {
		old := e.Value.(*file)
		e = e.Next()
		if old.refs == 0 {
			s.close(old)
		}
	}
}

func (s *Files) close(f *file) {
	s.lru.Remove(f.place)
	delete(s.open, f.key)
	f.Close()
}

// drop forgets a file that is about to be unlinked. Who reads it goes on: the
// bytes stay until the last descriptor is closed.
func (s *Files) drop(key fileKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.open[key]; f != nil {
		s.dropFile(f)
	}
}

func (s *Files) dropFile(f *file) {
	if f.refs == 0 {
		s.close(f)
		return
	}
	f.dropped = true
	s.lru.Remove(f.place)
	delete(s.open, f.key)
}

// Forget drops every file of log gid.
func (s *Files) Forget(gid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range s.open {
		if key.gid == gid {
			s.dropFile(f)
		}
	}
}

// Close closes every file.
func (s *Files) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		s.close(f)
	}
}
