package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Log is one log of batches: a channel's, a partition's. Reading it may go on
// while others write.
type Log struct {
	s    *Store
	name string
	gid  uint32
	segs *segment.Log
	rewritten
	next  atomic.Int64 // one past the last acknowledged record
	start atomic.Int64
	// lastIndex and lastTerm are of the last acknowledged raft entry.
	lastIndex, lastTerm atomic.Uint64
	lost                atomic.Pointer[voids] // as read last
	// flight is the bytes handed over and not yet answered.
	flight atomic.Int64

	// Under s.mu.
	flush       Policy
	state       [][]byte
	handed      record.Offset // where the next append begins
	first, last *part         // in the order of Submit, not yet with the committer
	todo        *part         // the first that no worker has taken
	working     bool          // some worker has the log, or will
	readyNext   *Log
	strict      int           // writes that lazy acks must wait for
	armed       bool          // a lazy sync will be due
	syncing     chan struct{} // closed when the lazy sync that runs beside the writes is over; nil: none runs
	flushDue    bool
	flushed     []chan error
	deleted     bool

	stored record.Offset // the start that Badger has; the committer's own
	swept  record.Offset // entries below are deleted; the tender's own

	lazyMu                  sync.Mutex
	unsynced                []Entry // acknowledged, not yet in Badger
	unsyncedBytes           int64
	bundleFirst, bundleLast *bundle
}

// Name of the log.
func (l *Log) Name() string { return l.name }

// Start is the first offset kept.
func (l *Log) Start() record.Offset { return record.Offset(l.start.Load()) }

// Next is one past the last acknowledged record.
func (l *Log) Next() record.Offset { return record.Offset(l.next.Load()) }

// EntryID names a raft entry.
type EntryID struct{ Index, Term uint64 }

// lastEntry is the last acknowledged raft entry; none is 0.
func (l *Log) lastEntry() EntryID { return EntryID{l.lastIndex.Load(), l.lastTerm.Load()} }

// LastEntry is the last acknowledged raft entry; none has an Index of 0. It
// may be asked while no append is on its way.
func (l *Log) LastEntry() EntryID { return l.lastEntry() }

// ends notes that e, the newest entry, was acknowledged.
func (l *Log) ends(e Entry) {
	if e.Index > 0 {
		l.lastIndex.Store(e.Index)
		l.lastTerm.Store(e.Term)
	}
	l.next.Store(int64(e.Last) + 1)
}

// trimmed moves the start to to, never back and never past the end.
func (l *Log) trimmed(to record.Offset) {
	to = min(to, l.Next())
	for {
		now := l.start.Load()
		if int64(to) <= now {
			return
		}
		if l.start.CompareAndSwap(now, int64(to)) {
			l.s.reclaim(l)
			return
		}
	}
}

// registration is what the store keeps of a log in its list of logs.
type registration struct {
	name    string
	flush   Policy
	state   [][]byte
	deleted bool
}

const (
	logLive    = 0
	logDeleted = 1
)

func (r registration) encode() []byte {
	b := []byte{logLive}
	if r.deleted {
		b[0] = logDeleted
	}
	b = name(b, r.name)
	b = name(b, r.flush.String())
	b = binary.AppendUvarint(b, uint64(len(r.state)))
	for _, p := range r.state {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, segment.Table))
}

func decodeRegistration(b []byte) (r registration, err error) {
	if len(b) < 6 || crc32.Checksum(b[:len(b)-4], segment.Table) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return r, errors.New("the checksum of a log's registration")
	}
	r.deleted = b[0] == logDeleted
	m := metaReader{b: b[1 : len(b)-4]}
	r.name = string(m.bytes())
	flush := string(m.bytes())
	for n := m.count(); n > 0 && !m.bad; n-- {
		r.state = append(r.state, bytes.Clone(m.bytes()))
	}
	if m.bad {
		return r, errors.New("a log's registration")
	}
	r.flush, err = ParsePolicy(flush)
	return r, err
}

// OpenLog finds the log called name, or creates it. Its options may differ
// from those it had before.
func (s *Store) OpenLog(name string, o LogOptions) (*Log, error) {
	if name == "" || len(name) > 1024 {
		return nil, fmt.Errorf("open log: a name of %d bytes", len(name))
	}
	if o.Flush == (Policy{}) {
		o.Flush = s.opt.Flush
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	s.mu.Lock()
	l := s.logs[name]
	gid := s.nextGID
	if l != nil {
		gid = l.gid
	}
	state := o.statePrefixes(gid)
	same := l != nil && l.flush == o.Flush && slices.EqualFunc(l.state, state, bytes.Equal)
	s.mu.Unlock()
	if same {
		return l, nil
	}
	if l != nil {
		// What the old options left open is brought to an end first.
		if err := s.flushLazy(); err != nil {
			return nil, err
		}
	}
	r := registration{name: name, flush: o.Flush, state: state}
	if l == nil {
		created, err := s.newLog(gid, r, !o.Raft)
		if err != nil {
			return nil, fmt.Errorf("create log %s: %w", name, err)
		}
		l = created
	}
	w := &Write{Sets: []KV{{registryKey(gid), r.encode()}}}
	if p := l.segs.End(); p.Segment != 0 {
		w.Sets = append(w.Sets, KV{logKey(gid, 'p'), appendPosition(nil, p)})
	}
	if s.logs[name] != nil {
		w.Sets = w.Sets[:1]
	}
	if err := s.do(w); err != nil {
		return nil, fmt.Errorf("open log %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.flush, l.state = o.Flush, state
	s.add(l)
	return l, nil
}

// Logs are the names of all logs, in no order.
func (s *Store) Logs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.logs))
}

// newLog makes the log, a channel's with its first segment, so that its name
// survives even the loss of Badger. A node has thousands of partitions, and most
// are idle: theirs begins when it is needed.
func (s *Store) newLog(gid uint32, r registration, begin bool) (*Log, error) {
	l, err := s.attach(gid, r)
	if err != nil || !begin {
		return l, err
	}
	if err := l.segs.Begin(); err != nil {
		return nil, err
	}
	return l, l.segs.Sync()
}

// attach makes the value for a log that is, or will be, on disk.
func (s *Store) attach(gid uint32, r registration) (*Log, error) {
	l := &Log{s: s, name: r.name, gid: gid, flush: r.flush, state: r.state}
	segs, err := segment.Open(s.files, s.segmentDir(), gid, segment.Options{
		Bytes:  s.opt.SegmentBytes,
		Faults: s.opt.Faults,
		State:  l.stateFrame,
	})
	l.segs = segs
	return l, err
}

// add makes l known; s.mu is held.
func (s *Store) add(l *Log) {
	s.logs[l.name], s.gids[l.gid] = l, l
	s.nextGID = max(s.nextGID, l.gid+1)
	s.dropLazy(l)
	if l.flush.lazy() {
		s.lazies = append(s.lazies, l)
	}
}

func (s *Store) dropLazy(l *Log) {
	s.lazies = slices.DeleteFunc(s.lazies, func(o *Log) bool { return o == l })
}

func (s *Store) byGID(gid uint32) *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gids[gid]
}

// do submits w and waits. Actors never do; opening and tending do.
func (s *Store) do(w *Write) error {
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	s.Submit(w)
	return <-done
}
