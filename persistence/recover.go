package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// loadSequence finds the number of the newest transaction.
func (s *Store) loadSequence() error {
	k, _, err := s.lastKey(prefixSequence)
	if err != nil || k == nil {
		return err
	}
	s.sequence.Store(uint64(offsetOf(k)))
	s.seqs.since = lookEvery
	err = s.scan(prefixSequence, prefixSequence, func(k, _ []byte) error {
		s.seqs.low = uint64(offsetOf(k))
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return err
}

// loadLogs makes a Log of every registration.
func (s *Store) loadLogs() error {
	type found struct {
		gid uint32
		r   registration
	}
	var all []found
	err := s.scan(prefixLogs, prefixLogs, func(k, v []byte) error {
		r, err := decodeRegistration(v)
		if err != nil || len(k) != 6 {
			return &ErrDamaged{Dir: s.dir, Doubts: []Doubt{{What: fmt.Sprintf("the registration of log %x: %v", k, err)}}}
		}
		all = append(all, found{binary.BigEndian.Uint32(k[2:]), r})
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range all {
		s.nextGID = max(s.nextGID, f.gid+1)
		if f.r.deleted {
			s.tender.forget(f.gid)
			continue
		}
		l, err := s.attach(f.gid, f.r)
		if err != nil {
			return fmt.Errorf("log %s: %w", f.r.name, err)
		}
		if err := s.load(l); err != nil {
			return fmt.Errorf("log %s: %w", f.r.name, err)
		}
		s.add(l)
	}
	return s.strangers()
}

// strangers looks for segments of logs that Badger does not know. A stop while
// a log is created leaves a folder without batches; anything else is damage.
func (s *Store) strangers() error {
	dirs, err := os.ReadDir(s.segmentDir())
	if err != nil {
		return err
	}
	var doubts []Doubt
	for _, d := range dirs {
		gid, err := strconv.ParseUint(d.Name(), 16, 32)
		if err != nil || s.gids[uint32(gid)] != nil || s.tender.forgets(uint32(gid)) {
			continue
		}
		v, err := surveyLog(s.segmentDir(), uint32(gid))
		if err != nil {
			return err
		}
		if len(v.batches) > 0 || v.next > 0 {
			doubts = append(doubts, Doubt{Log: v.name(), First: v.start, Next: v.next, What: "Badger does not know the log"})
		} else {
			s.tender.forget(uint32(gid))
		}
		s.nextGID = max(s.nextGID, uint32(gid)+1)
	}
	if len(doubts) > 0 {
		return &ErrDamaged{Dir: s.dir, Doubts: doubts}
	}
	return nil
}

// load reads where l begins and ends, and what its segments hold.
func (s *Store) load(l *Log) error {
	if v, ok, err := s.get(logKey(l.gid, 'f')); err != nil {
		return err
	} else if ok {
		l.stored = offsetOf(v)
	}
	next := l.stored
	if k, _, err := s.lastKey(logKey(l.gid, 'o')); err != nil {
		return err
	} else if k != nil {
		next = max(next, offsetOf(k)+1)
	}
	voids, err := l.voids()
	if err != nil {
		return err
	}
	if n := len(voids); n > 0 {
		next = max(next, voids[n-1].next)
	}
	l.start.Store(int64(l.stored))
	l.setEnd(next)
	if err := l.loadGeneration(); err != nil {
		return err
	}
	if isRaft(l.gid, l.state) {
		if err := s.loadLast(l); err != nil {
			return err
		}
	}
	segs := l.segs.Segments()
	for i, info := range segs {
		last, ok, err := segment.ReadFooter(l.segs.Path(info.ID))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if !ok || i == len(segs)-1 {
			last = next - 1 // at most
		}
		l.segs.SetLast(info.ID, last)
	}
	l.segs.SetSafe()
	return nil
}

func (l *Log) setEnd(next record.Offset) {
	l.next.Store(int64(next))
	l.handed = next
}

// position reads up to where the frames of l are accounted for.
func (s *Store) position(l *Log) (segment.Position, error) {
	v, ok, err := s.get(logKey(l.gid, 'p'))
	if err != nil || !ok {
		return segment.Position{}, err
	}
	return decodePosition(v)
}

// lastKey finds the greatest key with the prefix; nil if there is none.
func (s *Store) lastKey(prefix []byte) (key, value []byte, err error) {
	to := append(append([]byte(nil), prefix...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	return s.lastKeyTo(prefix, to)
}

// lastKeyTo finds the greatest key with the prefix that is not above to.
func (s *Store) lastKeyTo(prefix, to []byte) (key, value []byte, err error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Reverse: true})
	defer it.Close()
	it.Seek(to)
	if !it.ValidForPrefix(prefix) {
		return nil, nil, nil
	}
	key = it.Item().KeyCopy(nil)
	value, err = it.Item().ValueCopy(nil)
	return key, value, err
}
