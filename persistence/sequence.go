package persistence

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Every transaction writes a key of its own number, which stays until the
// memtable that holds it is flushed. Badger cuts each memtable's log at the
// first damage, silently; a lost middle could hide behind a newer end, but it
// leaves a gap in these numbers.
type sequences struct {
	low   uint64 // the lowest number that still has a key
	marks []mark
	since int // transactions since the memtables were looked at
}

// mark says: all numbers up to seq lie in memtables up to newest.
type mark struct {
	seq    uint64
	newest int
}

const lookEvery = 2048 // transactions

// expire returns the range of numbers whose keys may go now, at most 2,000.
func (q *sequences) expire(dir string, seq uint64) (from, to uint64) {
	if q.since++; q.since >= lookEvery {
		q.since = 0
		q.look(dir, seq)
	}
	if len(q.marks) == 0 || q.marks[0].newest >= 0 {
		return 0, 0
	}
	from, to = q.low, min(q.marks[0].seq, q.low+2000)
	q.low = to
	if to == q.marks[0].seq {
		q.marks = q.marks[1:]
	}
	return from, to
}

// look notes which memtables there are; marks whose memtables are flushed get
// a newest of -1.
func (q *sequences) look(dir string, seq uint64) {
	oldest, newest, err := memtables(dir)
	if err != nil {
		return // the keys stay a little longer
	}
	for i := range q.marks {
		if q.marks[i].newest < oldest {
			q.marks[i].newest = -1
		}
	}
	q.marks = append(q.marks, mark{seq, newest})
}

// memtables returns the numbers of the oldest and the newest memtable log.
func memtables(dir string) (oldest, newest int, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	oldest, newest = 1<<31, -1
	for _, n := range names {
		if base, ok := strings.CutSuffix(filepath.Base(n), ".mem"); ok {
			if id, err := strconv.Atoi(base); err == nil {
				oldest, newest = min(oldest, id), max(newest, id)
			}
		}
	}
	return oldest, newest, err
}

// gaps lists the numbers that are missing between the first and the last.
func (s *Store) sequenceGaps() (doubts []Doubt, err error) {
	last := uint64(0)
	err = s.scan(prefixSequence, prefixSequence, func(k, _ []byte) error {
		if len(k) != len(prefixSequence)+8 {
			return fmt.Errorf("a sequence key of %d bytes", len(k))
		}
		seq := binary.BigEndian.Uint64(k[len(prefixSequence):])
		if last != 0 && seq != last+1 {
			doubts = append(doubts, Doubt{What: fmt.Sprintf("transactions %d to %d are lost", last+1, seq-1)})
		}
		last = seq
		return nil
	})
	return doubts, err
}
