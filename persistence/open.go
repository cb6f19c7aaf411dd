package persistence

import (
	"errors"
	"fmt"
	"os"

	"github.com/sluicehq/sluice/persistence/record"
)

// open brings the store up: the lock, the witness, Badger, the logs, and what
// lies behind them. Every step that finds something in doubt refuses.
func (s *Store) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lock(s.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	old := exists(s.dir)
	if err := s.checkFormat(old); err != nil {
		if !s.repair.accepts(err) {
			return err
		}
		if err := s.writeFile("format", []byte(formatLine(formatVersion))); err != nil {
			return err
		}
	}
	w, err := s.hearWitness(old)
	if err != nil && !s.repair.accepts(err) {
		return err
	}
	for _, d := range []string{s.badgerDir(), s.segmentDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := s.space.init(s.dir, s.opt.MinFree); err != nil {
		return err
	}
	if err := s.prepareBadger(old, w); err != nil {
		if !s.repair.accepts(err) {
			return err
		}
		if err := s.replaceBadger(); err != nil {
			return err
		}
	}
	if err := s.startWitness(w); err != nil {
		return err
	}
	if s.db, err = openBadger(s.badgerDir(), s); err != nil {
		err = s.broken(err)
		if !s.repair.accepts(err) {
			return err
		}
		if err := s.replaceBadger(); err != nil {
			return err
		}
		if s.db, err = openBadger(s.badgerDir(), s); err != nil {
			return err
		}
	}
	if err := s.recover(old, w); err != nil {
		return err
	}
	if err := s.stamp(); err != nil {
		return err
	}
	if err := s.witness.settle(); err != nil {
		return err
	}
	s.live.Store(true)
	s.tender.start()
	return s.keepAside()
}

// stamp commits a transaction of which the witness hears before anything else
// happens: so a Badger from before this opening is known as such, however soon
// the process is killed. A volume without room is no reason not to open.
func (s *Store) stamp() error {
	if s.repair != nil {
		return nil
	}
	if err := s.do(&Write{}); err != nil && !errors.Is(err, ErrNoSpace) {
		return err
	}
	return nil
}

// abandon undoes an opening that was refused.
func (s *Store) abandon() {
	if s.committing {
		s.mu.Lock()
		s.stopCommitter = true
		s.commitReady.Broadcast()
		s.mu.Unlock()
		<-s.committerDone
	}
	if s.db != nil {
		s.db.Close()
	}
	if s.witness != nil {
		s.witness.stop(false)
	}
	s.files.Close()
	s.lock.Close()
}

// hearWitness reads the witness and weighs it against what is there.
func (s *Store) hearWitness(old bool) (testimony, error) {
	w, err := readWitness(s.dir)
	switch {
	case errors.Is(err, errNoWitness) && !old:
		return testimony{clean: true}, nil
	case errors.Is(err, errNoWitness):
		return w, s.doubtAll(err.Error() + ": nobody can say whether the newest transactions are there")
	case err != nil:
		return w, err
	case !old && w.sequence > 0:
		return w, s.doubtAll(fmt.Sprintf("Badger and the segments are gone; the witness knows of %d transactions", w.sequence))
	}
	return w, nil
}

// prepareBadger makes sure that Badger may be opened here.
func (s *Store) prepareBadger(old bool, w testimony) error {
	if err := removeEmpty(s.badgerDir()); err != nil {
		return err
	}
	if !old {
		return nil
	}
	if w.clean {
		doubts, err := s.checkSums()
		if err == nil && len(doubts) > 0 {
			err = &ErrDamaged{Dir: s.dir, Doubts: append(doubts, s.doubtLogs()...)}
		}
		return err
	}
	if err := s.setAside(); err != nil {
		return err
	}
	if w.sequence > 0 {
		if err := w.manifest.check(s.badgerDir()); err != nil {
			return s.broken(err)
		}
	}
	if err := s.tryBadger(s.badgerDir()); err != nil {
		return s.broken(err)
	}
	return nil
}

func (s *Store) broken(err error) error {
	return s.doubtAll("Badger cannot be opened: " + err.Error())
}

// doubtAll says what, and what it may mean for each log.
func (s *Store) doubtAll(what string) error {
	return &ErrDamaged{Dir: s.dir, Doubts: append([]Doubt{{What: what}}, s.doubtLogs()...)}
}

// recover learns from Badger what is live, starts the committer, and replays
// the frames that Badger does not know yet.
func (s *Store) recover(old bool, w testimony) error {
	s.high.Store(w.high)
	s.nextGID = max(s.nextGID, w.nextGID)
	if err := s.loadSequence(); err != nil {
		return err
	}
	if err := s.loadLogs(); err != nil && !s.repair.accepts(err) {
		return err
	}
	if old {
		if err := s.examine(w); err != nil && !s.repair.accepts(err) {
			return err
		}
	}
	if s.repair != nil && s.sequence.Load() < w.sequence {
		s.repair.behind = true
	}
	s.sequence.Store(max(s.sequence.Load(), w.sequence))
	s.committing = true
	go s.committer()
	if s.repair != nil {
		return s.mend(w)
	}
	if err := s.replay(); err != nil {
		return err
	}
	if err := s.settleGenerations(); err != nil {
		return err
	}
	return s.skipDoubtful(w)
}

// examine looks for what is missing. After a clean stop the sums have said
// that every file is what it was.
func (s *Store) examine(w testimony) error {
	var doubts []Doubt
	if got := s.sequence.Load(); got < w.sequence {
		doubts = append(doubts, Doubt{What: fmt.Sprintf("transactions %d to %d are lost, and the state that they set", got+1, w.sequence)})
		for _, l := range s.sortedLogs() {
			doubts = append(doubts, Doubt{Log: l.name, First: l.Next(), Next: max(l.Next(), record.Offset(w.high)), What: "may have been lost with them"})
		}
	}
	if w.clean {
		lost, err := s.checkEnds()
		if err != nil {
			return err
		}
		doubts = append(doubts, lost...)
	}
	if !w.clean || len(doubts) > 0 {
		gaps, err := s.sequenceGaps()
		if err != nil {
			return err
		}
		doubts = append(doubts, gaps...)
		for _, l := range s.sortedLogs() {
			more, err := l.examine(nil)
			if err != nil {
				return err
			}
			doubts = append(doubts, more...)
			if isRaft(l.gid, l.state) {
				if more, err = l.examineIndexes(); err != nil {
					return err
				}
				doubts = append(doubts, more...)
			}
		}
	}
	if len(doubts) > 0 {
		return &ErrDamaged{Dir: s.dir, Doubts: doubts}
	}
	return nil
}

// examine walks over all entries of l and says which are missing or point to
// nothing; each is given to fn, which may be nil.
func (l *Log) examine(fn func(Entry)) (doubts []Doubt, err error) {
	sizes := map[uint32]int64{}
	sizeOf := func(id uint32) int64 {
		if size, ok := sizes[id]; ok {
			return size
		}
		sizes[id] = -1
		if st, err := os.Stat(l.segsOf(id).Path(id)); err == nil {
			sizes[id] = st.Size()
		}
		return sizes[id]
	}
	for from, end := l.Start(), l.Next(); from < end; {
		_, err := l.entries(from, end, func(e Entry) bool {
			if e.at.Segment != 0 && sizeOf(e.at.Segment) < e.at.Offset+int64(e.at.Bytes) {
				doubts = append(doubts, Doubt{Log: l.name, First: e.Base, Next: e.Last + 1, What: l.segsOf(e.at.Segment).Path(e.at.Segment) + " does not reach that far"})
			} else if fn != nil {
				fn(e)
			}
			return true
		})
		var d *ErrDamaged
		if !errors.As(err, &d) {
			return doubts, err
		}
		doubts = append(doubts, d.Doubts...)
		from = max(from+1, d.Doubts[0].Next)
	}
	return doubts, nil
}
