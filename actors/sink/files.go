package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// outKept is how many bytes all staging buffers together may keep between
// batches.
const outKept = 64 << 20

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

// closeWait bounds how long Close waits for commits.
const closeWait = 10 * time.Second

// keyNumber is the number in a file's key.
func keyNumber(key string) (uint64, bool) {
	text, ok := strings.CutPrefix(key, fileKeyPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
