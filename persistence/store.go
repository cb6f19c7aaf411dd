package persistence

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Store is a node's store. Its methods may be called by anyone at any time.
type Store struct {
	dir   string
	opt   Options
	db    *badger.DB
	files *segment.Files
	space space

	openMu sync.Mutex // one log is opened or deleted at a time

	sequence atomic.Uint64 // of the last transaction
	live     atomic.Bool   // between Open and Close

	mu       sync.Mutex
	logs     map[string]*Log
	gids     map[uint32]*Log
	lazies   []*Log
	nextGID  uint32
	closed   bool
	failed   error
	fatality sync.Once

	ready       []*Log // for the sync workers
	workReady   sync.Cond
	workers     int
	workersIdle int
	stopWorkers bool
	wg          sync.WaitGroup

	queue         []item // for the committer
	commitReady   sync.Cond
	stopCommitter bool
	committerDone chan struct{}

	tender tender
}

// Open opens the store in dir, or makes one there. What an unclean stop has
// left is brought in order first; damage is refused with *ErrDamaged.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		dir: dir, opt: o.withDefaults(),
		logs: map[string]*Log{}, gids: map[uint32]*Log{}, nextGID: 1,
		committerDone: make(chan struct{}),
	}
	s.workReady.L, s.commitReady.L = &s.mu, &s.mu
	s.files = segment.NewFiles(s.opt.OpenFiles)
	s.tender.init(s)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) badgerDir() string  { return filepath.Join(s.dir, "badger") }
func (s *Store) segmentDir() string { return filepath.Join(s.dir, "segments") }

func (s *Store) open() error {
	for _, d := range []string{s.dir, s.badgerDir(), s.segmentDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := s.space.init(s.dir, s.opt.MinFree); err != nil {
		return err
	}
	db, err := openBadger(s.badgerDir(), s)
	if err != nil {
		return err
	}
	s.db = db
	if err := s.recover(); err != nil {
		s.files.Close()
		db.Close()
		return err
	}
	s.live.Store(true)
	s.tender.start()
	return nil
}

// openBadger opens Badger with the options that make it a store to rely on;
// each of them answers a hazard that was measured.
func openBadger(dir string, s *Store) (*badger.DB, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memtableBytes).
		WithNumMemtables(2).
		WithValueThreshold(valueMax).
		WithValueLogFileSize(valueMax).
		WithNumCompactors(2).
		WithCompactL0OnClose(true).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithVerifyValueChecksum(true).
		WithLogger(badgerLog{s})
	return badger.Open(o)
}

// Writable answers why writes are refused now, or nil.
func (s *Store) Writable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.failed != nil:
		return s.failed
	}
	return s.space.look()
}

// fail stops the store for good; s.mu is held. What the disk has refused once
// is not tried again.
func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = fmt.Errorf("the store stopped: %w", err)
	}
	s.fatality.Do(func() { go s.opt.Fatal(err) })
}

// Close writes what waits and stops.
func (s *Store) Close() error {
	s.tender.stop()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, l := range s.lazies {
		l.flushDue = true
		s.schedule(l)
	}
	s.stopWorkers = true
	s.workReady.Broadcast()
	s.mu.Unlock()
	s.wg.Wait()
	s.mu.Lock()
	s.stopCommitter = true
	s.commitReady.Broadcast()
	failed := s.failed
	s.mu.Unlock()
	<-s.committerDone
	err := s.shut(failed)
	if failed != nil {
		return failed
	}
	return err
}

// shut closes the files.
func (s *Store) shut(failed error) error {
	s.live.Store(false)
	err := s.db.Close()
	s.files.Close()
	return err
}
