package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/persistence/record"
)

// Report is what Check found, or Repair left.
type Report struct {
	Sequence uint64 // of the last transaction
	Logs     []LogReport
	Doubts   []Doubt // empty: everything that was promised is there
	// Remarks are ranges in which no records lie though nothing is damaged:
	// given up in an earlier repair, or lost under a lazy policy.
	Remarks []Doubt
	Kept    string // where Repair put what it replaced
	// aside: the copy of Badger that an earlier start has set aside is whole,
	// and the one in use is not.
	aside bool
}

// LogReport is one log of a Report.
type LogReport struct {
	Name        string
	Start, Next record.Offset
	Batches     int
	Bytes       int64
}

// Check reads everything in the store in dir, every batch and its checksum,
// and changes nothing. The store must not be open.
func Check(dir string, o Options) (Report, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	if _, err := os.Stat(dir); err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	r, err := newStore(dir, o).inspect()
	if r.take(&err); err != nil {
		return r, fmt.Errorf("check %s: %w", dir, err)
	}
	return r, nil
}

// take moves the doubts that err consists of to r.
func (r *Report) take(err *error) {
	var d *ErrDamaged
	if errors.As(*err, &d) {
		r.Doubts = append(r.Doubts, d.Doubts...)
		*err = nil
	}
}

func (s *Store) inspect() (r Report, err error) {
	if s.lock, err = lock(s.dir); err != nil {
		return r, err
	}
	defer s.lock.Close()
	if !exists(s.dir) {
		if _, err := s.hearWitness(false); err != nil {
			return r, err
		}
		return r, errors.New("there is no store")
	}
	if err := s.checkFormat(true); err != nil {
		return r, err
	}
	w, err := s.hearWitness(true)
	if err != nil {
		return r, err
	}
	if w.clean {
		if r.Doubts, err = s.checkSums(); err != nil {
			return r, err
		}
	}
	r, err = s.inspectBadger(s.badgerDir(), r, w)
	if r.take(&err); err != nil || len(r.Doubts) == 0 {
		return r, err
	}
	if _, err := os.Stat(s.asideDir()); err != nil {
		return r, nil
	}
	// A start was killed or refused: what it has set aside is nearer to the
	// truth where Badger has cut its logs meanwhile, or where somebody has put
	// another Badger here.
	other := newStore(s.dir, s.opt)
	other.lock = s.lock
	a, err := other.inspectBadger(other.asideDir(), Report{}, w)
	switch a.take(&err); {
	case err != nil:
	case len(a.Doubts) == 0:
		r.aside = true
		r.Doubts = append(r.Doubts, Doubt{What: "the copy of Badger that an earlier start has set aside is whole; a repair puts it back"})
	case a.Sequence >= r.Sequence:
		r = a
	}
	return r, nil
}

// inspectBadger looks at a copy of the Badger in from.
func (s *Store) inspectBadger(from string, r Report, w testimony) (Report, error) {
	defer s.files.Close()
	copied, err := os.MkdirTemp("", "sluice-check-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(copied)
	if err := copyBadger(from, copied, false); err != nil {
		return r, err
	}
	if err := removeEmpty(copied); err != nil {
		return r, err
	}
	if err := w.manifest.check(from); err != nil {
		return r, s.broken(err)
	}
	if err := s.tryBadger(copied); err != nil {
		return r, s.broken(err)
	}
	if s.db, err = openBadger(copied, s); err != nil {
		return r, s.broken(err)
	}
	defer s.db.Close()
	return s.inspectLogs(r, w)
}

// inspectLogs reads every batch of every log.
func (s *Store) inspectLogs(r Report, w testimony) (Report, error) {
	if err := s.loadSequence(); err != nil {
		return r, err
	}
	r.Sequence = s.sequence.Load()
	if err := s.loadLogs(); err != nil {
		return r, err
	}
	if err := s.examine(w); err != nil {
		var d *ErrDamaged
		if !errors.As(err, &d) {
			return r, err
		}
		r.Doubts = append(r.Doubts, d.Doubts...)
	}
	for _, l := range s.sortedLogs() {
		lr, doubts, err := l.inspect()
		if err != nil {
			return r, err
		}
		r.Logs = append(r.Logs, lr)
		r.Doubts = append(r.Doubts, doubts...)
		t, err := s.readTail(l)
		if err != nil {
			var d *ErrDamaged
			if !errors.As(err, &d) {
				return r, err
			}
			r.Doubts = append(r.Doubts, d.Doubts...)
			continue
		}
		if r.Remarks, err = s.remark(r.Remarks, t, w); err != nil {
			return r, err
		}
	}
	return r, nil
}

// remark adds the voids of the log of t, and what it may have lost behind its
// tail, which the next start will take.
func (s *Store) remark(rs []Doubt, t *tail, w testimony) ([]Doubt, error) {
	voids, err := t.log.voids()
	if err != nil {
		return rs, err
	}
	for _, v := range voids {
		if v.next > t.log.Start() {
			rs = append(rs, Doubt{Log: t.log.name, First: v.first, Next: v.next, What: v.why})
		}
	}
	if t.log.flush.lazy() && s.machineStopped(w) {
		end := t.log.Next()
		for _, f := range t.frames {
			end = max(end, f.Base+record.Offset(f.Count))
		}
		rs = append(rs, t.log.lazyDoubt(end, w))
	}
	return rs, nil
}

// inspect reads every batch of l.
func (l *Log) inspect() (r LogReport, doubts []Doubt, err error) {
	r = LogReport{Name: l.name, Start: l.Start(), Next: l.Next()}
	var buf []byte
	_, err = l.examine(func(e Entry) {
		r.Batches++
		r.Bytes += int64(e.Bytes)
		out, err := l.Read(e, buf[:0])
		if cap(out) > 0 {
			buf = out
		}
		var d *ErrDamaged
		if errors.As(err, &d) {
			doubts = append(doubts, d.Doubts...)
		} else if err != nil {
			doubts = append(doubts, Doubt{Log: l.name, First: e.Base, Next: e.Last + 1, What: err.Error()})
		}
	})
	return r, doubts, err
}
