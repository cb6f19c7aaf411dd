package persistence

import (
	"bytes"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// surveyGeneration adds the batches of the newest generation in dir that was
// finished: the segments before it may be gone. One that was not, the old
// generation or the log itself stands for.
func (v *survey) surveyGeneration(dir string) error {
	numbers, err := generationsIn(dir)
	if err != nil {
		return err
	}
	for _, number := range slices.Backward(numbers) {
		folder := generationFolder(dir, number)
		ids, err := segment.List(folder)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			continue
		}
		if _, sealed, err := segment.ReadFooter(segment.Path(folder, ids[len(ids)-1])); err != nil {
			return err
		} else if !sealed {
			continue
		}
		v.generation = number
		return v.takeGeneration(folder, ids)
	}
	return nil
}

func (v *survey) takeGeneration(folder string, ids []uint32) error {
	for _, id := range ids {
		_, err := segment.Salvage(folder, id, func(f *segment.Frame) error {
			switch {
			case f.Kind == segment.State && !v.known:
				st, err := decodeState(bytes.Clone(f.Meta))
				if err != nil {
					return err
				}
				v.reg, v.known, v.start = st.registration, true, max(v.start, st.start)
			case f.Kind == segment.Batch && f.GID == v.gid && f.Count > 0 && f.Base >= 0:
				kept := *f
				kept.Meta, kept.Payload, kept.Shares = nil, nil, nil
				v.batches = append(v.batches, kept)
				v.next = max(v.next, f.Base+record.Offset(f.Count))
			}
			return nil
		})
		if err != nil {
			return err // a hole shows as what is missing
		}
	}
	return nil
}

// adoptGeneration makes sure that of l a generation counts whose segments are
// there: if Badger does not know of one, the one that v has found. What lies in
// other segments below its end does not count any more, and may go any time.
func (s *Store) adoptGeneration(l *Log, v *survey) error {
	g := l.gen.Load()
	if g == nil && v.generation != 0 {
		g = &generation{number: v.generation}
		for _, f := range v.batches {
			if rewrittenSegment(f.At.Segment) {
				g.to = max(g.to, f.Base+record.Offset(f.Count))
			}
		}
		if err := l.openGeneration(g, 0); err != nil {
			return err
		}
		if err := s.do(&Write{Sets: []KV{{generationKey(l.gid), g.encode()}}}); err != nil {
			return err
		}
		l.gen.Store(g)
	}
	if g == nil {
		return nil
	}
	v.batches = slices.DeleteFunc(v.batches, func(f segment.Frame) bool {
		if rewrittenSegment(f.At.Segment) {
			return g.number != v.generation
		}
		return g.holds(f.Base)
	})
	return nil
}

// storedKey is the key of the entry that ends at last, where its entry is
// looked for.
func (l *Log) storedKey(last record.Offset) []byte {
	if g := l.gen.Load(); g.holds(last) {
		return g.entryKey(l.gid, last)
	}
	return entryKey(l.gid, last)
}
