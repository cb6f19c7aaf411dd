package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Write is what becomes durable together: all of it or nothing.
//
// Writes with appends are ordered per log. Writes without are ordered among
// themselves, but may overtake appends that wait for their sync; a key is
// therefore set by one kind only. (Under a lazy policy the state of a log is
// ordered with its appends.) A Write may be used again once Done was called.
type Write struct {
	Appends []Append
	Trims   []Trim
	Sets    []KV
	Deletes [][]byte
	// Done is called once, in the order of Submit for the writes of a log. It
	// must not block. Nothing of the write is touched after it was called.
	Done func(err error)
	// Each: the appends need not survive together. After a stop some may be
	// there without those behind them. All are of one log.
	Each bool
	// Admitted: Admit was asked, so that the write is not refused for want of
	// space.
	Admitted bool

	parts []part // one per log whose order the write keeps
	wait  int    // parts that are not yet the first of their log, or not synced
	err   error  // why the write was refused
	size  int    // bytes it takes of a transaction
	segs  bool   // payloads go into segments
	id    uint64 // its place in the order of all writes
}

// Append adds a batch to the end of a log.
type Append struct {
	Log     *Log
	Base    record.Offset // set by Submit: of the first record
	Count   int           // records; 0 is allowed with an Index: an entry without records
	Payload []byte        // a RecordBatch v2; its base offset is stamped by Submit; untouched until Done
	MaxTime int64         // ms since the epoch
	// Summed: whoever appends has checked, or made, the checksum of the batch;
	// that of its frame is made of it.
	Summed bool

	// Index, Term and Type are of the raft entry that the append is; an Index of
	// 0 is no raft entry. They ascend by one in a log.
	Index, Term uint64
	Type        uint8

	at segment.Place
}

// Trim gives back the batches that lie wholly below To.
type Trim struct {
	Log *Log
	To  record.Offset
}

// KV is a key and its value.
type KV struct{ Key, Value []byte }

// part is what a write has to do in one log. The parts of a log are a list in
// the order of Submit.
type part struct {
	w    *Write
	log  *Log
	next *part
	// synced: nothing of the part waits for a sync any more.
	synced bool
	// counted: the part has been the first of its log, and synced.
	counted bool
	pos     segment.Position // behind its frames
}

var (
	// ErrClosed answers writes to a store that was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrTooLarge answers a write that no transaction can hold.
	ErrTooLarge = errors.New("the write is too large")
	// ErrDeleted answers writes to a log that was deleted.
	ErrDeleted = errors.New("the log was deleted")
)

const payloadMax = 256 << 20

// Submit hands w over. Base is set in every append when it returns, and
// offsets continue from there: the next append begins behind it, whether or
// not this one has reached the disk. Submit does not block; what waits is
// bounded by the credits of its callers.
func (s *Store) Submit(w *Write) {
	s.mu.Lock()
	w.parts, w.wait, w.segs, w.size = w.parts[:0], 0, false, 0
	s.writes++
	w.id, w.err = s.writes, s.check(w)
	if s.closed {
		s.mu.Unlock()
		w.Done(w.err)
		return
	}
	if w.err == nil {
		s.place(w)
	} else {
		s.enqueue(w)
	}
	s.mu.Unlock()
}

// Try is Submit for callers that must know at once whether w is taken: when it
// is refused, the reason is returned, nothing is queued and Done is not called.
func (s *Store) Try(w *Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.parts, w.wait, w.segs, w.size = w.parts[:0], 0, false, 0
	s.writes++
	w.id = s.writes
	if w.err = s.check(w); w.err != nil {
		return w.err
	}
	s.place(w)
	return nil
}

// place gives the batches of w their offsets and w its place in the order.
func (s *Store) place(w *Write) {
	for i := range w.Appends {
		a := &w.Appends[i]
		a.Base, a.at = a.Log.handed, segment.Place{}
		a.Log.handed += record.Offset(a.Count)
		a.Log.flight.Add(int64(len(a.Payload)))
		// A leader has stamped its batches, and may be sending them by now.
		if a.Count > 0 && binary.BigEndian.Uint64(a.Payload) != uint64(a.Base) {
			binary.BigEndian.PutUint64(a.Payload, uint64(a.Base))
		}
		if int64(a.Log.handed) > s.high.Load() {
			s.high.Store(int64(a.Log.handed))
		}
	}
	s.enqueue(w)
}

// check says why w cannot be taken, and measures it.
func (s *Store) check(w *Write) error {
	switch {
	case s.closed:
		return ErrClosed
	case s.failed != nil:
		return s.failed
	}
	inline, same := 0, 0 // same: of the log of the append before
	for i := range w.Appends {
		a := &w.Appends[i]
		switch {
		case a.Log.deleted:
			return fmt.Errorf("append to %s: %w", a.Log.name, ErrDeleted)
		case a.Count < 0 || a.Count == 0 && a.Index == 0 || a.Count > 0 && len(a.Payload) < 8:
			return fmt.Errorf("append to %s: a batch of %d records in %d bytes", a.Log.name, a.Count, len(a.Payload))
		case len(a.Payload) > payloadMax:
			return fmt.Errorf("append of %d bytes to %s: %w: at most %d", len(a.Payload), a.Log.name, ErrTooLarge, payloadMax)
		}
		if i > 0 && w.Appends[i-1].Log != a.Log {
			same = 0
		}
		w.segs = w.segs || len(a.Payload) > s.opt.Threshold || a.Log.flush.lazy() || s.busy(a.Log, same)
		same += len(a.Payload)
		w.size += entryBytes
		inline += len(a.Payload)
	}
	for _, t := range w.Trims {
		if t.Log.deleted {
			return fmt.Errorf("trim of %s: %w", t.Log.name, ErrDeleted)
		}
		w.size += changeBytes
	}
	for _, kv := range w.Sets {
		if len(kv.Key) == 0 || len(kv.Key) > 32<<10 || len(kv.Value) >= valueMax-1024 {
			return fmt.Errorf("set of a key of %d bytes to %d bytes: %w", len(kv.Key), len(kv.Value), ErrTooLarge)
		}
		w.size += len(kv.Key) + len(kv.Value) + changeBytes
	}
	for _, k := range w.Deletes {
		if len(k) == 0 || len(k) > 32<<10 {
			return fmt.Errorf("delete of a key of %d bytes: %w", len(k), ErrTooLarge)
		}
		w.size += len(k) + changeBytes
	}
	if !w.segs && w.size+inline > txnBytes {
		w.segs = len(w.Appends) > 0
	}
	if !w.segs {
		w.size += inline
	}
	if n := len(w.Appends) + len(w.Trims) + len(w.Sets) + len(w.Deletes); w.size > txnBytes || n > txnKeys/2 {
		return fmt.Errorf("%d changes of %d bytes: %w", n, w.size, ErrTooLarge)
	}
	return s.space.check(w)
}

// busy says that so much of l is on its way that one write and one sync of its
// segment will take many batches together: that costs less than to carry their
// bytes through Badger, which writes them three times and holds them in memory.
// more bytes come with the write itself.
func (s *Store) busy(l *Log, more int) bool {
	return l.flight.Load()+int64(more) > int64(2*s.opt.Threshold)
}

// enqueue puts w into the order of its logs, or straight before the committer
// when nothing is ahead of it.
func (s *Store) enqueue(w *Write) {
	s.joinLogs(w)
	ahead := w.segs && w.err == nil
	for i := range w.parts {
		l := w.parts[i].log
		ahead = ahead || l.first != nil || l.flush.lazy()
	}
	if !ahead {
		w.parts = w.parts[:0]
		s.commit(item{w: w})
		return
	}
	w.wait = len(w.parts)
	for i := range w.parts {
		p := &w.parts[i]
		l := p.log
		if l.last == nil {
			l.first = p
		} else {
			l.last.next = p
		}
		l.last = p
		if l.flush.lazy() {
			l.strict += btoi(len(w.parts) > 1)
		} else if !w.segs || w.err != nil {
			p.synced = true
		}
		if p.synced {
			s.release(l)
			continue
		}
		if l.todo == nil {
			l.todo = p
		}
		s.schedule(l)
	}
}

// joinLogs lists the logs whose order w keeps: those it appends to, and lazy
// ones that it trims or whose state it changes.
func (s *Store) joinLogs(w *Write) {
	join := func(l *Log) {
		for i := range w.parts {
			if w.parts[i].log == l {
				return
			}
		}
		w.parts = append(w.parts, part{w: w, log: l})
	}
	for i := range w.Appends {
		join(w.Appends[i].Log)
	}
	if len(s.lazies) == 0 {
		return
	}
	for _, t := range w.Trims {
		if t.Log.flush.lazy() {
			join(t.Log)
		}
	}
	for _, l := range s.lazies {
		if l.ownsAny(w) {
			join(l)
		}
	}
	w.segs = len(w.parts) > 0 && (w.segs || len(w.Appends) == 0)
}

// ownsAny says whether w changes state of l.
func (l *Log) ownsAny(w *Write) bool {
	for _, prefix := range l.state {
		for i := range w.Sets {
			if bytes.HasPrefix(w.Sets[i].Key, prefix) {
				return true
			}
		}
		for _, k := range w.Deletes {
			if bytes.HasPrefix(k, prefix) {
				return true
			}
		}
	}
	return false
}

// release hands every write to the committer that is the first, and synced,
// in all of its logs.
func (s *Store) release(l *Log) {
	for p := l.first; p != nil && p.synced; p = l.first {
		if !p.counted {
			p.counted = true
			p.w.wait--
		}
		w := p.w
		if w.wait > 0 {
			return
		}
		for i := range w.parts {
			w.parts[i].log.pop()
		}
		s.commit(item{w: w})
		for i := range w.parts {
			if other := w.parts[i].log; other != l {
				s.release(other)
			}
		}
	}
}

func (l *Log) pop() {
	l.first = l.first.next
	if l.first == nil {
		l.last = nil
	}
}

// landed notes that the batches of w are not on their way any more.
func (w *Write) landed() {
	if w.err != nil {
		return // it was never on its way
	}
	for i := range w.Appends {
		a := &w.Appends[i]
		a.Log.flight.Add(-int64(len(a.Payload)))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
