package persistence

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// tail is what lies in the segments of a log behind its position.
type tail struct {
	log    *Log
	pos    segment.Position
	frames []segment.Frame // that would go on from there, without payloads
	behind bool            // there is anything at all
	why    error           // what ended the frames
}

// replay takes the frames that Badger does not know as if they had just been
// appended: under a lazy policy they were acknowledged. They are copied into
// a new segment first, since what was never synced may vanish after it was
// read, and so that what is not taken can never come back.
func (s *Store) replay() error {
	tails := map[uint32]*tail{}
	var order []*tail
	for _, l := range s.sortedLogs() {
		t, err := s.readTail(l)
		if err != nil {
			return fmt.Errorf("log %s: %w", l.name, err)
		}
		tails[l.gid] = t
		order = append(order, t)
	}
	if err := s.dropUnpaired(tails, order); err != nil {
		return err
	}
	for _, t := range order {
		if err := s.copyTail(t); err != nil {
			return fmt.Errorf("log %s: %w", t.log.name, err)
		}
	}
	return s.indexTails(order)
}

func (s *Store) sortedLogs() []*Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Log
	for _, l := range s.logs {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Log) int { return int(a.gid) - int(b.gid) })
	return all
}

// readTail collects the frames behind the position of l.
func (s *Store) readTail(l *Log) (*tail, error) {
	pos, err := s.position(l)
	if err != nil {
		return nil, &ErrDamaged{Dir: s.dir, Doubts: []Doubt{{Log: l.name, What: err.Error()}}}
	}
	t := &tail{log: l, pos: pos}
	next, last := l.handed, l.lastEntry()
	at := pos
	if pos.Segment > l.segs.Last() {
		return nil, l.damaged(next, next, l.segs.Path(pos.Segment)+" is missing")
	}
	for _, info := range l.segs.Segments() {
		if info.ID < pos.Segment {
			continue
		}
		from := at
		if info.ID != pos.Segment {
			from.Segment, from.Offset = info.ID, 0
			t.behind = true
		}
		st, err := os.Stat(l.segs.Path(info.ID))
		if err != nil {
			return nil, err
		}
		if st.Size() < from.Offset {
			return nil, l.damaged(next, next, fmt.Sprintf("segment %s ends at %d, before %d", l.segs.Path(info.ID), st.Size(), from.Offset))
		}
		t.behind = t.behind || st.Size() > from.Offset
		end, why, err := segment.ScanFile(l.segs.Folder(), from, func(f *segment.Frame) error {
			switch {
			case f.Kind == segment.State || f.Kind == segment.Footer:
				return nil
			case f.GID != l.gid:
				return fmt.Errorf("%w: it belongs to log %d", errTail, f.GID)
			case f.Term < last.Term:
				return fmt.Errorf("%w: its term falls", errTail)
			case f.Kind == segment.Batch && (f.Base != next || f.Count == 0 && f.Entry == 0):
				return fmt.Errorf("%w: it begins at %d, not at %d", errTail, f.Base, next)
			case f.Kind == segment.Batch && f.Entry != last.Index+1 && (f.Entry != 0 || last.Index != 0):
				return fmt.Errorf("%w: it is entry %d after %d", errTail, f.Entry, last.Index)
			}
			if f.Kind == segment.Batch {
				next += record.Offset(f.Count)
				last = EntryID{f.Entry, f.Term}
			}
			kept := *f
			kept.Meta, kept.Payload = bytes.Clone(f.Meta), nil
			kept.Shares = slices.Clone(f.Shares)
			t.frames = append(t.frames, kept)
			return nil
		})
		if why == nil {
			why = err
		}
		at = end
		if why != nil {
			t.why = why
			break
		}
	}
	return t, nil
}

var errTail = fmt.Errorf("a frame does not go on from what is known")

// dropUnpaired cuts every tail before the first frame of a write whose share
// in another log is missing, until nothing changes any more.
func (s *Store) dropUnpaired(tails map[uint32]*tail, order []*tail) error {
	for changed := true; changed; {
		changed = false
		for _, t := range order {
			for i := range t.frames {
				ok, err := s.paired(&t.frames[i], tails)
				if err != nil {
					return err
				}
				if !ok {
					t.why = fmt.Errorf("the write of the frame at %d lacks its share in another log", t.frames[i].Base)
					t.frames = t.frames[:i]
					changed = true
					break
				}
			}
		}
	}
	return nil
}

func (s *Store) paired(f *segment.Frame, tails map[uint32]*tail) (bool, error) {
	for _, share := range f.Shares {
		t := tails[share.GID]
		if t == nil {
			return false, nil
		}
		there := slices.ContainsFunc(t.frames, func(o segment.Frame) bool {
			return o.Kind == segment.Batch && o.Base == share.Base
		})
		if there {
			continue
		}
		// A replay that was itself interrupted may have got that far.
		found := false
		if share.Base < t.log.Next() {
			_, err := t.log.entries(share.Base, share.Base+1, func(e Entry) bool {
				found = e.Base == share.Base
				return false
			})
			if err != nil {
				return false, err
			}
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

// copyTail writes the frames of t into a new segment and syncs it.
func (s *Store) copyTail(t *tail) error {
	l := t.log
	l.segs.Continue(t.pos, t.behind || t.pos.Segment == 0)
	if !t.behind {
		return nil
	}
	s.opt.Log.Info("frames behind the last transaction", "log", l.name, "taken", len(t.frames), "end", t.why)
	if err := l.segs.Begin(); err != nil {
		return err
	}
	for rest := t.frames; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && size < groupBytes && n < txnKeys/4 {
			f := &rest[n]
			if f.Kind == segment.Batch {
				p, err := l.segs.Read(f.At, record.GetBuffer(int(f.At.Bytes)))
				if err != nil {
					return err
				}
				f.Payload = p
			}
			size += f.Size()
			n++
		}
		if err := l.segs.Append(rest[:n]); err != nil {
			return err
		}
		for i := range rest[:n] {
			record.PutBuffer(rest[i].Payload)
			rest[i].Payload = nil
		}
		rest = rest[n:]
	}
	return l.segs.Sync()
}

// indexTails makes the frames known to Badger, in the order in which they
// were handed over, and moves the position of every log past everything that
// was looked at.
func (s *Store) indexTails(order []*tail) error {
	type indexing struct {
		t *tail
		f *segment.Frame
	}
	var all []indexing
	for _, t := range order {
		s.writes = max(s.writes, t.pos.Write)
		for i := range t.frames {
			all = append(all, indexing{t, &t.frames[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b indexing) int { return cmp.Compare(a.f.Write, b.f.Write) })
	var b *bundle
	s.mu.Lock()
	for i, x := range all {
		part := s.bundleOf(x.t.log, x.f)
		if i > 0 && all[i-1].f.Write == x.f.Write {
			b.also = append(b.also, part)
			continue
		}
		if b != nil {
			s.commit(item{b: b})
		}
		b = part
		s.writes = max(s.writes, x.f.Write)
	}
	if b != nil {
		s.commit(item{b: b})
	}
	for _, t := range order {
		if t.behind {
			s.commit(item{b: &bundle{log: t.log, pos: t.log.segs.End()}})
		}
	}
	done := make(chan error, 1)
	s.commit(item{flushed: []chan error{done}})
	s.mu.Unlock()
	err := <-done
	for _, t := range order {
		t.log.start.Store(int64(t.log.stored))
	}
	return err
}

// bundleOf is what a transaction holds of one frame.
func (s *Store) bundleOf(l *Log, f *segment.Frame) *bundle {
	b := &bundle{log: l, pos: f.End, changes: f.Meta, bytes: entryBytes + len(f.Meta)}
	readMeta(f.Meta, changes{ // what cannot be read, the transaction will say
		set:    func(_, _ []byte) error { b.bytes += changeBytes; return nil },
		delete: func([]byte) error { b.bytes += changeBytes; return nil },
	})
	if f.Kind == segment.Batch {
		e := frameEntry(f)
		b.entries = []Entry{e}
		l.ends(e)
		l.handed = e.Last + 1
	}
	return b
}
