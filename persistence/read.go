package persistence

import (
	"bytes"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Get returns the value of key.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.flushLazy(); err != nil {
		return nil, false, err
	}
	return s.get(key)
}

func (s *Store) get(key []byte) (value []byte, ok bool, err error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err == nil {
		value, err = item.ValueCopy(nil)
	}
	if err != nil {
		return nil, false, fmt.Errorf("get %x: %w", key, err)
	}
	return value, true, nil
}

// Scan calls fn for every key that begins with prefix, in order. The slices
// are valid until fn returns; its error ends the scan.
func (s *Store) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := s.flushLazy(); err != nil {
		return err
	}
	return s.scan(prefix, prefix, fn)
}

// scan begins at from, which has the prefix.
func (s *Store) scan(prefix, from []byte, fn func(key, value []byte) error) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var item *badger.Item
	value := func(v []byte) error { return fn(item.Key(), v) }
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		item = it.Item()
		if err := item.Value(value); err != nil {
			return err
		}
	}
	return nil
}

var errStop = errors.New("stop")

// Entries calls fn for every batch from the one that holds offset from, in
// order, until it answers false. No payload is read. An offset that should be
// there and is not is damage.
func (l *Log) Entries(from record.Offset, fn func(Entry) bool) error {
	from = max(from, l.Start())
	memory := l.memory()
	end := l.Next()
	if len(memory) > 0 {
		end = memory[0].Base
	}
	want, err := l.entries(from, end, fn)
	if err != nil || want < end {
		return err
	}
	for _, e := range memory {
		if e.Last >= from && !fn(e) {
			return nil
		}
	}
	return nil
}

// entries gives those of Badger below end. The answer is below end when fn
// wants no more.
func (l *Log) entries(from, end record.Offset, fn func(Entry) bool) (want record.Offset, err error) {
	return l.walk(from, end, func(e Entry, _ []byte) (bool, error) { return fn(e), nil })
}

// walk is entries with the value of each, which is valid until fn returns.
func (l *Log) walk(from, end record.Offset, fn func(e Entry, value []byte) (bool, error)) (want record.Offset, err error) {
	for {
		g := l.gen.Load()
		want, err = l.walkIn(g, from, end, func(e Entry, value []byte) (bool, error) {
			from = e.Last + 1
			return fn(e, value)
		})
		if err == nil || g == l.gen.Load() {
			return want, err
		}
		// A rewriting was finished meanwhile: on with what counts now.
	}
}

// walkIn is walk as long as g counts.
func (l *Log) walkIn(g *generation, from, end record.Offset, fn func(e Entry, value []byte) (bool, error)) (want record.Offset, err error) {
	if from >= end {
		return end, nil
	}
	want = -1 // the base of the next batch; the first may begin before from
	voids, err := l.voids()
	if err != nil {
		return 0, err
	}
	skip := func(to record.Offset) error {
		at := max(want, from)
		if at = voids.past(at); at < to {
			if l.Start() > at {
				return nil // trimmed meanwhile
			}
			return l.damaged(at, to, "no entry")
		}
		return nil
	}
	err = l.scanStored(g, from, func(k, v []byte) error {
		e, _, err := decodeEntry(k, v)
		if err != nil {
			return l.damaged(max(want, from), offsetOf(k)+1, err.Error())
		}
		if e.Base >= end {
			return errStop
		}
		if want < 0 && e.Base > from || want >= 0 && e.Base != want {
			if want >= 0 && e.Base < want {
				return l.damaged(e.Base, want, "two entries")
			}
			if err := skip(e.Base); err != nil {
				return err
			}
		}
		want = e.Last + 1
		more, err := fn(e, v)
		if err == nil && !more {
			want, err = -2, errStop
		}
		return err
	})
	switch {
	case errors.Is(err, errStop) && want == -2:
		return -1, nil
	case err != nil && !errors.Is(err, errStop):
		return 0, err
	}
	if max(want, from) < end {
		if err := skip(end); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// Read appends the batch of e to buf, checked. Where a rewriting has dropped it
// meanwhile, that is the one behind it. A batch that was acknowledged and cannot
// be read is an *ErrDamaged that names it.
func (l *Log) Read(e Entry, buf []byte) ([]byte, error) {
	for {
		g := l.gen.Load()
		out, err := l.read(e, buf)
		if err == nil || g == l.gen.Load() && (e.at.Segment == 0 || !g.holds(e.Last)) {
			return out, err
		}
		e.at = segment.Place{} // of a generation that does not count any more
	}
}

func (l *Log) read(e Entry, buf []byte) ([]byte, error) {
	if e.at.Segment == 0 {
		found, out, err := l.lookup(e, buf)
		if err != nil || found.at.Segment == 0 {
			return out, err
		}
		e = found
	}
	out, err := l.segsOf(e.at.Segment).Read(e.at, buf)
	if err == nil {
		return out, nil
	}
	if e.Last < l.Start() {
		return buf, fmt.Errorf("read %s at %d: %w", l.name, e.Base, ErrTrimmed)
	}
	return buf, l.damaged(e.Base, e.Last+1, err.Error())
}

// ErrTrimmed answers a read of what was given back.
var ErrTrimmed = errors.New("the offset lies below the log start")

// lookup finds the entry of e, and its payload if that lies in Badger.
func (l *Log) lookup(e Entry, buf []byte) (Entry, []byte, error) {
	if e.Records() {
		if m := l.memoryFrom(e.Last, 1); len(m) == 1 && m[0].Last == e.Last {
			return m[0], buf, nil
		}
	}
	found := e
	take := func(k, v []byte) error {
		entry, inline, err := decodeEntry(k, v)
		if err == nil && inline != nil && !whole(v) {
			err = errors.New("the checksum of its entry")
		}
		if err != nil {
			return err
		}
		found = entry
		if cap(buf) == 0 {
			buf = record.GetBuffer(len(inline))
		}
		buf = append(buf, inline...)
		return nil
	}
	var err error
	if g := l.gen.Load(); e.Records() && g.holds(e.Last) {
		err = l.findIn(g, e.Last, take)
	} else {
		err = l.s.find(e.appendKey(nil, l.gid), take)
	}
	if err == nil {
		return found, buf, nil
	}
	if e.Last < l.Start() {
		return e, buf, fmt.Errorf("read %s at %d: %w", l.name, e.Base, ErrTrimmed)
	}
	return e, buf, l.damaged(e.Base, e.Last+1, err.Error())
}

// find gives fn the value of key k.
func (s *Store) find(k []byte, fn func(k, v []byte) error) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	item, err := txn.Get(k)
	if err != nil {
		return err
	}
	return item.Value(func(v []byte) error { return fn(k, v) })
}

// voids are the ranges in which no records lie: given up, or skipped after
// doubt. They ascend.
type voids []void

type void struct {
	span
	why string
}

type span struct{ first, next record.Offset }

// past is the first offset from at on that lies in no void.
func (v voids) past(at record.Offset) record.Offset {
	for _, s := range v {
		if s.first <= at && at < s.next {
			at = s.next
		}
	}
	return at
}

func (l *Log) voids() (v voids, err error) {
	if known := l.lost.Load(); known != nil {
		return *known, nil
	}
	prefix := logKey(l.gid, 'v')
	err = l.s.scan(prefix, prefix, func(k, value []byte) error {
		if len(value) < 8 || !bytes.HasPrefix(k, prefix) {
			return fmt.Errorf("log %s: a void range of %d bytes", l.name, len(value))
		}
		v = append(v, void{span{offsetOf(k), offsetOf(value[:8])}, string(value[8:])})
		return nil
	})
	if err == nil && l.s.live.Load() {
		l.lost.Store(&v) // they come about while a store is opened only
	}
	return v, err
}
