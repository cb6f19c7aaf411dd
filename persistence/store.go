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
	lock  *os.File
	boot  [16]byte
	space space
	// doubted: something was damaged since the store was opened. Its stop is not
	// clean, so that the next start looks at everything.
	doubted atomic.Bool

	openMu sync.Mutex // one log is opened or deleted at a time

	sequence atomic.Uint64 // of the last transaction
	high     atomic.Int64  // no offset above was handed out
	live     atomic.Bool   // between Open and Close
	seqs     sequences     // the committer's own
	witness  *witness
	repair   *repair // in Repair only
	doubts   []Doubt // of this start

	mu       sync.Mutex
	logs     map[string]*Log
	gids     map[uint32]*Log
	lazies   []*Log
	nextGID  uint32
	writes   uint64 // handed over so far, in all runs
	closed   bool
	failed   error
	fatality sync.Once

	readyFirst  *Log // for the sync workers
	readyLast   *Log
	workReady   sync.Cond
	workers     int
	workersIdle int
	stopWorkers bool
	wg          sync.WaitGroup

	queue         []item // for the committer
	commitReady   sync.Cond
	stopCommitter bool
	committerDone chan struct{}
	committing    bool

	tender tender
}

// Open opens the store in dir, or makes one there. What an unclean stop has
// left is brought in order first; damage is refused with *ErrDamaged.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := newStore(dir, o)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func newStore(dir string, o Options) *Store {
	s := &Store{
		dir: dir, opt: o.withDefaults(),
		logs: map[string]*Log{}, gids: map[uint32]*Log{}, nextGID: 1,
		committerDone: make(chan struct{}), boot: bootID(o.BootID),
	}
	s.workReady.L, s.commitReady.L = &s.mu, &s.mu
	s.files = segment.NewFiles(s.opt.OpenFiles)
	s.tender.init(s)
	return s
}

func (s *Store) badgerDir() string  { return filepath.Join(s.dir, "badger") }
func (s *Store) segmentDir() string { return filepath.Join(s.dir, "segments") }

// openBadger opens Badger with the options that make it a store to rely on;
// each of them answers a hazard that was measured.
func openBadger(dir string, s *Store) (*badger.DB, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memtableBytes).
		WithNumMemtables(2).
		WithBlockSize(blockBytes).
		WithValueThreshold(valueMax).
		WithValueLogFileSize(valueMax).
		WithNumCompactors(2).
		WithCompactL0OnClose(false). // a compaction skips what it cannot read, silently
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithVerifyValueChecksum(true).
		WithLogger(badgerLog{s})
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	return db, nil
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

// Admit takes room for size bytes of payloads that will be submitted as
// Admitted, or says why there is none. Whoever cannot take back what it submits
// asks first.
func (s *Store) Admit(size int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.failed != nil:
		return s.failed
	}
	return s.space.take(int64(size))
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

// shut closes the files. Only a store that wrote everything it was given, and
// found everything it looked for, may say that its stop was clean.
func (s *Store) shut(failed error) error {
	s.live.Store(false)
	if err := verifyTables(s.db); err != nil {
		s.doubted.Store(true)
		s.opt.Log.Error("damaged while the store was open; the next start says what is in doubt", "err", err)
	}
	err := s.db.Close()
	clean := err == nil && failed == nil && !s.doubted.Load()
	if clean {
		err = s.writeSums()
	}
	if e := s.witness.stop(clean && err == nil); err == nil {
		err = e
	}
	s.files.Close()
	s.lock.Close()
	return err
}
