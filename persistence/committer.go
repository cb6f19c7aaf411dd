package persistence

import (
	"encoding/binary"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// item is what waits for the committer: a write whose payloads are safe, a
// bundle of lazily acknowledged ones, or someone who waits for those.
type item struct {
	w       *Write
	b       *bundle
	flushed []chan error
}

func (it *item) size() int {
	switch {
	case it.w != nil && it.w.err == nil:
		return it.w.size
	case it.b != nil:
		n := it.b.bytes
		for _, other := range it.b.also {
			n += other.bytes
		}
		return n
	}
	return 0
}

// commit puts it behind all that waits for the committer; s.mu is held.
func (s *Store) commit(it item) {
	s.queue = append(s.queue, it)
	s.commitReady.Signal()
}

// committer is the only one that writes to Badger: everything that waits, of
// all logs, goes into one transaction and one sync, then the next.
func (s *Store) committer() {
	defer close(s.committerDone)
	var work []item
	txn := &txn{s: s}
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.stopCommitter {
			s.commitReady.Wait()
		}
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return
		}
		work, s.queue = s.queue, work[:0]
		failed := s.failed
		s.mu.Unlock()
		for rest := work; len(rest) > 0; {
			n := fill(rest)
			if failed == nil {
				if failed = txn.run(rest[:n]); failed != nil {
					s.mu.Lock()
					s.fail(failed)
					failed = s.failed
					s.mu.Unlock()
				}
			}
			s.finish(rest[:n], failed)
			rest = rest[n:]
		}
		clear(work)
	}
}

// fill says how many of items go into one transaction.
func fill(items []item) int {
	size, n := 0, 0
	for n < len(items) && n < txnKeys/4 {
		size += items[n].size()
		if n > 0 && size > txnBytes {
			break
		}
		n++
	}
	return n
}

// finish moves the ends of the logs on and calls back, in order.
func (s *Store) finish(items []item, failed error) {
	for i := range items {
		switch it := &items[i]; {
		case it.w != nil:
			s.finishWrite(it.w, failed)
		case it.b != nil && failed == nil:
			it.b.log.indexed(it.b)
		default:
			for _, done := range it.flushed {
				done <- failed
			}
		}
	}
}

func (s *Store) finishWrite(w *Write, failed error) {
	err := w.err
	if err == nil {
		err = failed
	}
	if err == nil {
		for i := range w.Appends {
			a := &w.Appends[i]
			a.Log.ends(a.entry())
		}
		for _, t := range w.Trims {
			t.Log.trimmed(t.To)
		}
	}
	var strict []*Log
	if len(w.parts) > 1 {
		for i := range w.parts {
			if l := w.parts[i].log; l.flush.lazy() {
				strict = append(strict, l)
			}
		}
	}
	w.landed()
	w.Done(err)
	if len(strict) > 0 {
		s.mu.Lock()
		for _, l := range strict {
			l.strict--
		}
		s.mu.Unlock()
	}
}

// txn builds transactions; its memory is used again and again.
type txn struct {
	s       *Store
	db      *badger.Txn
	arena   []byte
	entries []*badger.Entry
	used    int
	err     error
}

// run commits what items change.
func (t *txn) run(items []item) error {
	t.arena, t.used, t.err = t.arena[:0], 0, nil
	work := false
	for i := range items {
		work = work || items[i].b != nil || items[i].w != nil && items[i].w.err == nil
	}
	if !work {
		return nil
	}
	if err := segment.Before(t.s.opt.Faults, OpCommit, t.s.dir); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.db = t.s.db.NewTransaction(true)
	defer t.db.Discard()
	for i := range items {
		switch it := &items[i]; {
		case it.b != nil:
			t.bundle(it.b)
		case it.w != nil && it.w.err == nil:
			t.write(it.w)
		}
	}
	seq := t.s.sequence.Load() + 1
	t.sequence(seq)
	if t.err != nil {
		return fmt.Errorf("commit: %w", t.err)
	}
	if err := t.db.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.s.sequence.Store(seq)
	t.s.witness.touch()
	if cap(t.arena) > 2*txnBytes {
		t.arena = nil
	}
	return nil
}

func (t *txn) write(w *Write) {
	for i := range w.Appends {
		a := &w.Appends[i]
		e := a.entry()
		inline := a.Payload
		if w.segs {
			inline = nil
		}
		t.entry(a.Log.gid, e, inline)
	}
	for i := range w.parts {
		t.position(w.parts[i].log, w.parts[i].pos)
	}
	for _, tr := range w.Trims {
		t.first(tr.Log, tr.To)
	}
	for _, kv := range w.Sets {
		t.set(kv.Key, kv.Value)
	}
	for _, k := range w.Deletes {
		t.delete(k)
	}
}

func (t *txn) bundle(b *bundle) {
	for _, e := range b.entries {
		t.entry(b.log.gid, e, nil)
	}
	t.position(b.log, b.pos)
	for _, other := range b.also {
		t.bundle(other)
	}
	err := readMeta(b.changes, changes{
		set:    func(k, v []byte) error { t.set(k, v); return nil },
		delete: func(k []byte) error { t.delete(k); return nil },
		trim: func(gid uint32, to record.Offset) error {
			t.first(t.s.byGID(gid), to)
			return nil
		},
	})
	if t.err == nil {
		t.err = err
	}
}

func (t *txn) entry(gid uint32, e Entry, inline []byte) {
	from := len(t.arena)
	t.arena = e.appendKey(t.arena, gid)
	mid := len(t.arena)
	t.arena = e.append(t.arena, inline)
	t.set(t.arena[from:mid:mid], t.arena[mid:len(t.arena):len(t.arena)])
}

// position notes up to where the frames of l are accounted for.
func (t *txn) position(l *Log, p segment.Position) {
	if p.Segment == 0 {
		return // nothing of it lies in a segment
	}
	from := len(t.arena)
	t.arena = appendLogKey(t.arena, l.gid, 'p')
	mid := len(t.arena)
	t.arena = appendPosition(t.arena, p)
	t.set(t.arena[from:mid:mid], t.arena[mid:len(t.arena):len(t.arena)])
}

// first moves the start of l, never back.
func (t *txn) first(l *Log, to record.Offset) {
	if l == nil {
		return
	}
	if to = min(to, l.Next()); to <= l.stored {
		return
	}
	l.stored = to
	from := len(t.arena)
	t.arena = appendLogKey(t.arena, l.gid, 'f')
	mid := len(t.arena)
	t.arena = binary.BigEndian.AppendUint64(t.arena, uint64(to))
	t.set(t.arena[from:mid:mid], t.arena[mid:len(t.arena):len(t.arena)])
}

// sequence numbers the transaction.
func (t *txn) sequence(seq uint64) {
	from := len(t.arena)
	t.arena = sequenceKey(t.arena, seq)
	t.set(t.arena[from:len(t.arena):len(t.arena)], nil)
	low, to := t.s.seqs.expire(t.s.badgerDir(), seq)
	for ; low < to; low++ {
		from := len(t.arena)
		t.arena = sequenceKey(t.arena, low)
		t.delete(t.arena[from:len(t.arena):len(t.arena)])
	}
}

func (t *txn) set(key, value []byte) {
	if t.err != nil {
		return
	}
	if t.used == len(t.entries) {
		t.entries = append(t.entries, new(badger.Entry))
	}
	e := t.entries[t.used]
	t.used++
	*e = badger.Entry{Key: key, Value: value}
	t.err = t.db.SetEntry(e)
}

func (t *txn) delete(key []byte) {
	if t.err == nil {
		t.err = t.db.Delete(key)
	}
}
