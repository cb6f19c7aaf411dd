package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// A raft log is a log whose appends are the entries of a raft group: each has
// an index and a term, and some have no records. Batches lie under their
// offsets as in any log; entries without records, of which there are few, lie
// under their index. Every term begins with one of these, so that they are the
// table of terms as well.

// Families of keys of a raft log, besides its entries.
const (
	KeyHardState = 'h' // raft's term, vote and commit
	KeyConfState = 'c' // raft's members
	KeyMark      = 'm' // the entry before the first one kept
	KeySnapshot  = 's' // of a partition: its producers, transactions and epochs
	KeyTimes     = 't' // of a partition: its index of times
)

// orderedKeys are the families that move with the appends of a log. Hard state
// does not: under a lazy policy too it is on disk before it is answered for.
var orderedKeys = []byte{KeyConfState, KeyMark, KeySnapshot, KeyTimes}

// StateKey is a key that belongs to the log, of one of the families above.
func (l *Log) StateKey(family byte, more ...byte) []byte {
	return append(logKey(l.gid, family), more...)
}

// statePrefixes are the prefixes of the state of log gid.
func (o LogOptions) statePrefixes(gid uint32) [][]byte {
	state := slices.Clone(o.State)
	if o.Raft {
		for _, family := range orderedKeys {
			state = append(state, logKey(gid, family))
		}
	}
	return state
}

// isRaft says whether log gid, with these prefixes of state, is a raft log.
func isRaft(gid uint32, state [][]byte) bool {
	mark := logKey(gid, KeyMark)
	return slices.ContainsFunc(state, func(p []byte) bool { return bytes.Equal(p, mark) })
}

// Mark is what is left of the entries before the first one kept: the last of
// them, and the offset behind it.
type Mark struct {
	EntryID
	Next record.Offset
}

const markSize = 28

// Set is the change that stores m in l. It belongs into the write that trims.
func (m Mark) Set(l *Log) KV {
	b := binary.BigEndian.AppendUint64(nil, m.Index)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	b = appendOffset(b, m.Next)
	return KV{l.StateKey(KeyMark), binary.BigEndian.AppendUint32(b, crc32.Checksum(b, segment.Table))}
}

// Mark of the log; that of one never trimmed is zero.
func (l *Log) Mark() (m Mark, err error) {
	v, ok, err := l.s.get(logKey(l.gid, KeyMark))
	if err != nil || !ok {
		return m, err
	}
	if len(v) != markSize || crc32.Checksum(v[:markSize-4], segment.Table) != binary.BigEndian.Uint32(v[markSize-4:]) {
		return m, l.damaged(0, l.Start(), "the mark of what was trimmed")
	}
	m.Index, m.Term = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	m.Next = offsetOf(v[:24])
	return m, nil
}

// Recordless calls fn for every entry without records, in order.
func (l *Log) Recordless(fn func(Entry) error) error {
	return l.s.Scan(logKey(l.gid, 'n'), func(k, v []byte) error {
		e, _, err := decodeEntry(k, v)
		if err != nil {
			return l.damaged(e.Base, e.Base, err.Error())
		}
		return fn(e)
	})
}

// ForgetRecordless is the change that deletes e.
func (l *Log) ForgetRecordless(e Entry) []byte { return appendRecordlessKey(nil, l.gid, e.Index) }

// loadLast finds the last entry of a raft log.
func (s *Store) loadLast(l *Log) error {
	m, err := l.Mark()
	if err != nil {
		return err
	}
	last := m.EntryID
	for _, family := range []byte{'o', 'n'} {
		k, v, err := s.lastKey(logKey(l.gid, family))
		if err != nil {
			return err
		}
		if k == nil {
			continue
		}
		e, _, err := decodeEntry(k, v)
		if err != nil {
			return l.damaged(offsetOf(k), offsetOf(k)+1, err.Error())
		}
		if e.Index > last.Index {
			last = EntryID{e.Index, e.Term}
		}
	}
	l.lastIndex.Store(last.Index)
	l.lastTerm.Store(last.Term)
	return nil
}

// Find returns the first batch that ends at from or behind it; ok is false when
// there is none below the end.
func (l *Log) Find(from record.Offset) (e Entry, ok bool, err error) {
	err = l.Entries(from, func(found Entry) bool {
		e, ok = found, true
		return false
	})
	return e, ok, err
}

// Before returns the last batch that ends before to; ok is false when none is
// kept.
func (l *Log) Before(to record.Offset) (e Entry, ok bool, err error) {
	if err := l.s.flushLazy(); err != nil {
		return e, false, err
	}
	if to <= 0 {
		return e, false, nil
	}
	k, v, err := l.lastBefore(to)
	if err != nil || k == nil {
		return e, false, err
	}
	if e, _, err = decodeEntry(k, v); err != nil {
		return e, false, l.damaged(offsetOf(k), offsetOf(k)+1, err.Error())
	}
	return e, true, nil
}

// errIndexes says that the indexes of a raft log have a gap.
var errIndexes = errors.New("entries are missing")

// examineIndexes looks for gaps in the indexes of a raft log.
func (l *Log) examineIndexes() (doubts []Doubt, err error) {
	mark, err := l.Mark()
	if err != nil {
		return nil, err
	}
	var others []Entry
	if err := l.Recordless(func(e Entry) error { others = append(others, e); return nil }); err != nil {
		return nil, err
	}
	want := mark.EntryID
	next := func(e Entry) {
		rewritten := l.gen.Load().holds(e.Last) // compaction drops entries
		if e.Index > want.Index+1 && !rewritten || e.Term < want.Term {
			doubts = append(doubts, Doubt{Log: l.name, First: e.Base, Next: e.Base, What: fmt.Sprintf("entry %d of term %d follows entry %d of term %d: %v", e.Index, e.Term, want.Index, want.Term, errIndexes)})
		}
		if e.Index > want.Index {
			want = EntryID{e.Index, e.Term}
		}
	}
	_, err = l.entries(l.Start(), l.Next(), func(e Entry) bool {
		for len(others) > 0 && others[0].Index < e.Index {
			next(others[0])
			others = others[1:]
		}
		next(e)
		return true
	})
	for _, e := range others {
		next(e)
	}
	var d *ErrDamaged
	if errors.As(err, &d) {
		err = nil // examine has said so
	}
	return doubts, err
}
