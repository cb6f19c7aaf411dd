package persistence

import (
	"fmt"

	"github.com/sluicehq/sluice/persistence/record"
)

// Under a lazy policy the operating system holds what was acknowledged until
// it is synced. That outlives the process, not the machine: after the machine
// has stopped, a store that was not closed goes on and says what it may have
// lost.

// doubtSkip is more than any log takes while the witness is being written.
const doubtSkip = 1 << 24

// Doubts are the ranges that may have been acknowledged under a lazy policy
// and were not on disk when the machine stopped before this start. No record
// of them is there, and none will ever be: the logs go on behind them.
func (s *Store) Doubts() []Doubt { return s.doubts }

// machineStopped says that what was written and not synced is gone.
func (s *Store) machineStopped(w testimony) bool {
	unknown := s.boot == [16]byte{}
	return !w.clean && (w.boot != s.boot || unknown)
}

// lazyDoubts says for each lazy log what may be lost, given that the frames
// behind its position were taken.
func (s *Store) lazyDoubts(w testimony) (doubts []Doubt) {
	if !s.machineStopped(w) {
		return nil
	}
	for _, l := range s.sortedLogs() {
		if l.flush.lazy() {
			doubts = append(doubts, l.lazyDoubt(l.Next(), w))
		}
	}
	return doubts
}

// lazyDoubt says what l may have lost behind end.
func (l *Log) lazyDoubt(end record.Offset, w testimony) Doubt {
	d := Doubt{Log: l.name, First: end, Next: max(end, w.endOf(l.gid))}
	if d.First < d.Next {
		d.What = fmt.Sprintf("acknowledged under %s, not on disk when the machine stopped; so is what followed within 100 ms", l.flush)
	} else {
		d.What = fmt.Sprintf("whole up to %d; what followed within 100 ms was acknowledged under %s and not on disk when the machine stopped", end, l.flush)
	}
	return d
}

// skipDoubtful lets lazy logs go on behind every offset that may have been
// acknowledged before the machine stopped: a cursor, a sequence or a sink may
// know offsets that the log has lost, and would take new records for old.
func (s *Store) skipDoubtful(w testimony) error {
	s.doubts = s.lazyDoubts(w)
	for _, d := range s.doubts {
		l := s.logs[d.Log]
		to := l.behindAll(w)
		s.opt.Log.Warn("the machine stopped under a lazy policy: records may be lost",
			"log", d.Log, "first", int64(d.First), "next", int64(d.Next), "what", d.What, "goes on at", int64(to))
		if err := l.skip(d.First, to, d.What); err != nil {
			return err
		}
	}
	return nil
}

// behindAll is an offset that was never handed out.
func (l *Log) behindAll(w testimony) record.Offset {
	return max(l.Next(), record.Offset(w.high)) + doubtSkip
}

// skip gives the offsets [from, to) up for good, and notes why.
func (l *Log) skip(from, to record.Offset, why string) error {
	err := l.s.do(&Write{Sets: []KV{voidOf(l.gid, span{from, to}, why)}})
	if err == nil {
		l.setEnd(max(to, l.Next()))
	}
	return err
}

// voidOf is what is kept of a range in which no records lie.
func voidOf(gid uint32, s span, why string) KV {
	return KV{voidKey(gid, s.first), append(appendOffset(nil, s.next), why...)}
}
