package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// repair is the state of a Repair.
type repair struct {
	accept bool
	doubts []Doubt
	fresh  bool   // Badger begins anew
	behind bool   // Badger may lack transactions at the end
	kept   string // the one that was there
}

// Repair goes on from a store that Open refuses. It keeps every batch that
// can be read, from Badger and from the segments, gives up the rest by name,
// and lets every log continue behind all offsets that were ever handed out.
// Without accept it changes nothing and answers what would be lost.
func Repair(dir string, accept bool, o Options) (Report, error) {
	r, err := Check(dir, o)
	if err != nil || len(r.Doubts) == 0 {
		return r, err
	}
	if !accept {
		return r, &ErrDamaged{Dir: dir, Doubts: r.Doubts}
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return r, fmt.Errorf("repair: %w", err)
	}
	s := newStore(dir, o)
	s.repair = &repair{accept: true, doubts: r.Doubts}
	if r.aside {
		if err := s.putBack(); err != nil {
			return r, fmt.Errorf("repair %s: %w", dir, err)
		}
	}
	if err := s.open(); err != nil {
		return r, fmt.Errorf("repair %s: %w", dir, err)
	}
	out := Report{Sequence: s.sequence.Load(), Doubts: s.repair.doubts, Kept: s.repair.kept}
	for _, l := range s.sortedLogs() {
		lr, _, err := l.inspect()
		if err != nil {
			return out, fmt.Errorf("repair %s: %w", dir, err)
		}
		out.Logs = append(out.Logs, lr)
	}
	return out, s.Close()
}

// putBack makes what an earlier start has set aside the Badger in use.
func (s *Store) putBack() error {
	s.repair.kept = damagedName(s.badgerDir())
	if err := os.Rename(s.badgerDir(), s.repair.kept); err != nil {
		return err
	}
	if err := os.Rename(s.asideDir(), s.badgerDir()); err != nil {
		return err
	}
	return segment.SyncDir(s.opt.Faults, s.dir)
}

// keepAside puts what Badger's opening may have destroyed where the user finds
// it.
func (s *Store) keepAside() error {
	if s.repair == nil || s.repair.kept != "" {
		return os.RemoveAll(s.asideDir())
	}
	if _, err := os.Stat(s.asideDir()); err != nil {
		return nil
	}
	s.repair.kept = damagedName(s.badgerDir())
	return os.Rename(s.asideDir(), s.repair.kept)
}

func damagedName(dir string) string {
	return dir + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000")
}

// accepts says whether the doubt in err is taken by a repair.
func (r *repair) accepts(err error) bool {
	var d *ErrDamaged
	return r != nil && errors.As(err, &d)
}

// replaceBadger puts a Badger that cannot be opened out of the way.
func (s *Store) replaceBadger() error {
	s.repair.behind = true
	if err := s.setAside(); err != nil {
		return err
	}
	if err := s.tryBadger(s.badgerDir()); err == nil && s.db == nil && hasManifest(s.badgerDir()) {
		return nil // damage that it can live with; what is missing will show
	}
	kept := damagedName(s.badgerDir())
	if err := os.Rename(s.badgerDir(), kept); err != nil {
		return err
	}
	s.repair.fresh, s.repair.kept = true, kept
	if err := os.MkdirAll(s.badgerDir(), 0o700); err != nil {
		return err
	}
	return segment.SyncDir(s.opt.Faults, s.dir)
}

func hasManifest(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	return err == nil
}

// mend makes every log whole: the union of what Badger and the segments hold.
func (s *Store) mend(w testimony) error {
	all, err := surveyAll(s.segmentDir())
	if err != nil {
		return err
	}
	surveys := map[uint32]*survey{}
	for _, v := range all {
		surveys[v.gid] = v
		if s.gids[v.gid] == nil && v.known && !s.tender.forgets(v.gid) {
			if err := s.readopt(v); err != nil {
				return fmt.Errorf("log %s: %w", v.reg.name, err)
			}
		}
		s.nextGID = max(s.nextGID, v.gid+1)
		s.writes = max(s.writes, v.last.Write)
	}
	if err := s.restoreState(all); err != nil {
		return err
	}
	for _, l := range s.sortedLogs() {
		v := surveys[l.gid]
		if v == nil {
			v = &survey{gid: l.gid}
		}
		if err := s.mendLog(l, v, w); err != nil {
			return fmt.Errorf("log %s: %w", l.name, err)
		}
	}
	return s.restartSequence()
}

// readopt takes a log that Badger does not know back, with its state.
func (s *Store) readopt(v *survey) error {
	l, err := s.attach(v.gid, v.reg)
	if err != nil {
		return err
	}
	l.start.Store(int64(v.start))
	l.setEnd(v.next)
	s.mu.Lock()
	l.stored = v.start
	s.add(l)
	s.mu.Unlock()
	return s.do(&Write{Sets: []KV{{registryKey(v.gid), v.reg.encode()}, {logKey(v.gid, 'f'), appendOffset(nil, v.start)}}})
}

// restoreState sets what the segments know of the state of the logs: all of
// it if Badger is new, else what frames behind the last transaction set.
func (s *Store) restoreState(all []*survey) error {
	if !s.repair.fresh {
		for _, v := range all {
			var pos segment.Position
			if l := s.gids[v.gid]; l != nil {
				pos, _ = s.position(l) // of one that cannot be read, all frames count
			}
			v.states = nil
			v.metas = slices.DeleteFunc(v.metas, func(m indexed) bool { return m.index <= pos.Index })
		}
	}
	state, err := stateOf(all)
	if err != nil {
		return err
	}
	w := &Write{}
	for k, value := range state {
		if value == nil {
			w.Deletes = append(w.Deletes, []byte(k))
		} else {
			w.Sets = append(w.Sets, KV{[]byte(k), value})
		}
		if len(w.Sets)+len(w.Deletes) >= 20 || len(value) > 64<<10 {
			if err := s.do(w); err != nil {
				return err
			}
			w = &Write{}
		}
	}
	return s.do(w)
}

// mendLog drops entries that lead nowhere, takes in frames that have none,
// gives up what is still missing, and begins a new segment.
func (s *Store) mendLog(l *Log, v *survey, w testimony) error {
	pos, err := s.position(l)
	if err != nil {
		pos = segment.Position{}
	}
	if err := s.adoptGeneration(l, v); err != nil {
		return err
	}
	good, err := s.dropBad(l)
	if err != nil {
		return err
	}
	end := max(l.Next(), v.next)
	found, lost := merge(good, v.batches, l.Start(), end)
	known, err := l.voids()
	if err != nil {
		return err
	}
	for part := range slices.Chunk(found, tendKeys) {
		set := &Write{}
		for _, e := range part {
			set.Sets = append(set.Sets, KV{l.storedKey(e.Last), e.append(nil, nil)})
		}
		if err := s.do(set); err != nil {
			return err
		}
	}
	if high := record.Offset(w.high); s.repair.behind && end < high {
		s.repair.doubts = append(s.repair.doubts, Doubt{Log: l.name, First: end, Next: high, What: "given up, if there were any"})
	} else if l.flush.lazy() && s.machineStopped(w) {
		s.repair.doubts = append(s.repair.doubts, l.lazyDoubt(end, w))
	}
	for _, gap := range lost {
		if known.past(gap.first) >= gap.next {
			continue
		}
		s.repair.doubts = append(s.repair.doubts, Doubt{Log: l.name, First: gap.first, Next: gap.next, What: "given up"})
		if err := s.do(&Write{Sets: []KV{voidOf(l.gid, gap, "given up in a repair")}}); err != nil {
			return err
		}
	}
	l.setEnd(end)
	if isRaft(l.gid, l.state) {
		if err := s.mendEntries(l, v, end); err != nil {
			return err
		}
	}
	if err := l.skip(end, l.behindAll(w), "skipped by a repair"); err != nil {
		return err
	}
	if v.last.Segment == 0 {
		v.last = pos
	}
	l.segs.Continue(v.last, true)
	if err := l.segs.Begin(); err != nil {
		return err
	}
	if err := l.segs.Sync(); err != nil {
		return err
	}
	return s.do(&Write{Sets: []KV{{logKey(l.gid, 'p'), appendPosition(nil, l.segs.End())}}})
}

// mendEntries lets a raft log go on behind every entry that may have been: what
// is there can be read by offset, and raft begins anew behind it.
func (s *Store) mendEntries(l *Log, v *survey, end record.Offset) error {
	if err := s.loadLast(l); err != nil {
		l.lastIndex.Store(0)
	}
	last := l.lastEntry()
	if v.lastEntry.Index > last.Index {
		last.Index = v.lastEntry.Index
	}
	last.Term = max(last.Term, v.lastEntry.Term)
	last.Index += doubtSkip
	m := Mark{EntryID: last, Next: end}
	if err := s.do(&Write{Sets: []KV{m.Set(l)}}); err != nil {
		return err
	}
	l.lastIndex.Store(last.Index)
	l.lastTerm.Store(last.Term)
	return nil
}

// dropBad deletes the entries whose batch cannot be read, and returns the
// others.
func (s *Store) dropBad(l *Log) (good []Entry, err error) {
	var bad [][]byte
	var buf []byte
	err = l.scanStored(l.gen.Load(), 0, func(k, v []byte) error {
		e, inline, err := decodeEntry(k, v)
		if err == nil && inline != nil && !whole(v) {
			err = errors.New("checksum")
		}
		if err == nil && inline == nil {
			var out []byte
			if out, err = l.segsOf(e.at.Segment).Read(e.at, buf[:0]); cap(out) > 0 {
				buf = out
			}
		}
		if err != nil {
			bad = append(bad, slices.Clone(k))
			return nil
		}
		good = append(good, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(bad, tendKeys) {
		if err := s.do(&Write{Deletes: part}); err != nil {
			return nil, err
		}
	}
	return good, nil
}

// merge finds frames for the gaps between entries in [start, end), and the
// gaps that remain.
func merge(good []Entry, frames []segment.Frame, start, end record.Offset) (found []Entry, lost []span) {
	at := start
	gap := func(to record.Offset) {
		for _, f := range frames {
			last := f.Base + record.Offset(f.Count) - 1
			if last < at || last >= to {
				continue
			}
			if f.Base > at {
				lost = append(lost, span{at, f.Base})
			}
			e := frameEntry(&f)
			// It may begin before the log does, or with the offsets of what a
			// rewriting has dropped.
			e.Base = max(e.Base, at)
			found = append(found, e)
			at = last + 1
		}
		if at < to {
			lost = append(lost, span{at, to})
		}
	}
	for _, e := range good {
		if e.Last < at {
			continue
		}
		if e.Base > at {
			gap(e.Base)
		}
		at = e.Last + 1
	}
	if at < end {
		gap(end)
	}
	return found, lost
}

// restartSequence drops the numbers of all transactions but the newest, so
// that no gap remains.
func (s *Store) restartSequence() error {
	last := sequenceKey(nil, s.sequence.Load())
	err := s.tender.deleteKeys(prefixSequence, prefixSequence, func(k []byte) bool { return string(k) < string(last) })
	s.seqs = sequences{low: s.sequence.Load(), since: lookEvery}
	return err
}
