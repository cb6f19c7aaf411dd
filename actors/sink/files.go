package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// files are the files of one sink, which grow only by commits: after a crash
// each is exactly as long as was committed together with the channel.
//
// A sink stages what one Deliver makes of its batch (begin, tail, finish) and
// then calls write, or undo where the batch cannot be written. What write has
// written the next Pending makes durable. The life of a file:
//
//	created empty → intent committed → bytes written → synced → its length
//	committed with the channel (once finished: also that it is being renamed)
//	→ renamed to its final name → forgotten
//
// At start a file that is longer than committed is cut, where what was cut off
// comes again, and what was in use gets its final name. Nothing is ever
// appended to a file of an earlier run.
//
// begin, tail, finish, write, undo and Pending are called under a lock of the
// sink, one at a time. Pending's own methods may run beside them.
type files struct {
	filesOptions
	env  Env
	dir  string // absolute; the root of all new files
	stop context.CancelFunc
	wake chan struct{} // something is ready to be closed
	over chan struct{} // closed when the closer has ended

	// Of the sink's goroutine:
	touched []*file

	closing sync.Mutex // one closes at a time; taken before mu

	mu      sync.Mutex
	roots   map[string]*os.Root
	moved   []*os.Root         // of directories that are gone by now
	next    uint64             // number of the next file's key
	live    map[*file]struct{} // all that are made and not yet ready
	dirty   []*file            // written since the last Pending
	dirs    []dirEntry         // whose entries changed: the next Pending syncs them
	ready   []*file            // finished and committed: to be closed
	gone    []string           // keys that the next state removes
	renamed []string           // the same, but only once dirs are synced
}

type filesOptions struct {
	// CloseTries is how often closing and renaming a file is tried, 0 for
	// ever, with RetryInterval between.
	CloseTries    int
	RetryInterval time.Duration
}

// file is one file of a sink.
type file struct {
	set  *files
	key  string
	rec  fileRecord
	name func() (path, final string) // of a file that is not made yet

	os   *os.File // nil before it is made and after it is closed
	out  []byte   // staged
	size int64    // bytes in the file
	// before is the size when the staged batch began.
	before    int64
	touched   bool
	queued    bool // in dirty
	finished  bool // nothing more will be staged
	renaming  bool // that is committed
	givenUp   bool // has bytes that will not be committed and come again
	broken    bool // has bytes that do not count: only the next start may close it
	committed int64
	holds     int // Pendings not yet committed that have it
	tries     int
	notBefore time.Time // of the next try to close it
}

// fileRecord is what is committed about a file under its key. Paths are below
// Dir.
type fileRecord struct {
	Dir      string `json:"dir"`
	Path     string `json:"path"`
	Final    string `json:"final"`
	Device   uint64 `json:"dev"`
	Inode    uint64 `json:"ino"`
	Length   int64  `json:"len"`
	Renaming bool   `json:"renaming,omitempty"`
}

const fileKeyPrefix = "file/"

func (r fileRecord) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// openFiles opens the files of a sink below dir, an absolute path that need
// not exist yet, and recovers what an earlier run left.
func openFiles(env Env, dir string, o filesOptions) (*files, error) {
	if !path.IsAbs(dir) {
		return nil, fmt.Errorf("directory %s is not absolute", dir)
	}
	if o.RetryInterval <= 0 {
		o.RetryInterval = 180 * time.Second
	}
	s := &files{filesOptions: o, env: env, dir: path.Clean(dir), wake: make(chan struct{}, 1), over: make(chan struct{}),
		roots: map[string]*os.Root{}, live: map[*file]struct{}{}}
	if err := s.recover(); err != nil {
		s.closeRoots()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.closer(ctx)
	return s, nil
}

// begin stages a new file. It is made by the next write, under the first of
// the names that name offers, one call after the other, of which both are
// free: path while it is written and final afterwards, below the directory.
// They may be the same.
func (s *files) begin(name func() (path, final string)) *file {
	f := &file{set: s, name: name}
	s.touch(f)
	return f
}

func (s *files) touch(f *file) {
	if !f.touched {
		f.touched, f.before = true, f.size
		s.touched = append(s.touched, f)
	}
}

// tail is the staging buffer of f, to be appended to:
//
//	out := f.tail()
//	*out = append(*out, …)
func (f *file) tail() *[]byte {
	f.set.touch(f)
	return &f.out
}

// cancel takes a file back that is staged and not made yet.
func (f *file) cancel() {
	if f.os == nil {
		f.out, f.finished = nil, true
		f.set.touched = slices.DeleteFunc(f.set.touched, func(o *file) bool { return o == f })
	}
}

// length is the size of f with what is staged.
func (f *file) length() int64 { return f.size + int64(len(f.out)) }

// finish says that nothing more will be staged for f. It is closed, and
// renamed, when all of it is committed.
func (f *file) finish() {
	s := f.set
	s.mu.Lock()
	defer s.mu.Unlock()
	f.finished = true
	if s.settle(f) {
		s.poke()
	}
}

// settle makes f ready to be closed once nothing is missing. Under mu.
func (s *files) settle(f *file) bool {
	if !f.finished || f.touched || f.queued || f.broken || f.holds > 0 || f.os == nil || f.committed != f.size {
		return false
	}
	delete(s.live, f)
	s.ready = append(s.ready, f)
	return true
}

// poke wakes the closer.
func (s *files) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keyNumber is the number in a file's key.
func keyNumber(key string) (uint64, bool) {
	text, ok := strings.CutPrefix(key, fileKeyPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
