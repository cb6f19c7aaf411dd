package persistence

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// survey is what the segments of a log say without Badger.
type survey struct {
	gid         uint32
	reg         registration
	known       bool // some state frame could be read
	start, next record.Offset
	batches     []segment.Frame // by base; without payload
	holes       []string
	last        segment.Position
	lastEntry   EntryID   // of a raft log
	metas       []indexed // the changes of every frame, in order
	states      []indexed // of state frames: they begin anew
	generation  uint32    // whose batches are among them; 0: there is none
}

// indexed are the changes of one frame.
type indexed struct {
	index   uint64
	write   uint64
	changes []byte
	drop    [][]byte // prefixes of keys that are gone unless set again
}

// surveyAll reads the segments of every log.
func surveyAll(root string) ([]*survey, error) {
	dirs, err := os.ReadDir(root)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*survey
	for _, d := range dirs {
		gid, err := strconv.ParseUint(d.Name(), 16, 32)
		if err != nil || !d.IsDir() || len(d.Name()) != 8 {
			return nil, fmt.Errorf("%s: not the folder of a log", filepath.Join(root, d.Name()))
		}
		v, err := surveyLog(root, uint32(gid))
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func surveyLog(root string, gid uint32) (*survey, error) {
	dir := segment.Dir(root, gid)
	ids, err := segment.List(dir)
	if err != nil {
		return nil, err
	}
	v := &survey{gid: gid}
	for i, id := range ids {
		if i > 0 && id != ids[i-1]+1 {
			v.holes = append(v.holes, fmt.Sprintf("%s: segments %d to %d are missing", dir, ids[i-1]+1, id-1))
		}
		holes, err := segment.Salvage(dir, id, func(f *segment.Frame) error { return v.take(f) })
		if err != nil {
			return nil, err
		}
		for n, h := range holes {
			if n == len(holes)-1 && i == len(ids)-1 && h.Offset > v.last.Offset {
				break // a torn tail
			}
			v.holes = append(v.holes, fmt.Sprintf("%s: %d bytes at %d: %v", segment.Path(dir, id), h.Bytes, h.Offset, h.Why))
		}
	}
	if err := v.surveyGeneration(dir); err != nil {
		return nil, err
	}
	slices.SortStableFunc(v.batches, func(a, b segment.Frame) int { return cmp.Compare(a.Base, b.Base) })
	return v, nil
}

func (v *survey) take(f *segment.Frame) error {
	v.last = f.End
	switch f.Kind {
	case segment.State:
		return v.takeState(f)
	case segment.Batch:
		if f.GID != v.gid || f.Base < 0 || f.Count == 0 && f.Entry == 0 {
			return nil
		}
		if f.Entry > v.lastEntry.Index {
			v.lastEntry = EntryID{f.Entry, max(f.Term, v.lastEntry.Term)}
		}
		if f.Count == 0 {
			break
		}
		kept := *f
		kept.Meta, kept.Payload, kept.Shares = nil, nil, slices.Clone(f.Shares)
		v.batches = append(v.batches, kept)
		v.next = max(v.next, f.Base+record.Offset(f.Count))
	}
	if len(f.Meta) == 0 {
		return nil
	}
	v.metas = append(v.metas, indexed{index: f.Index, write: f.Write, changes: bytes.Clone(f.Meta)})
	return readMeta(f.Meta, changes{
		trim: func(gid uint32, to record.Offset) error {
			if gid == v.gid {
				v.start = max(v.start, to)
			}
			return nil
		},
	})
}

// takeState begins anew from a state frame: frames before it that have its
// number or a later one were given up, and state that it does not repeat is
// gone.
func (v *survey) takeState(f *segment.Frame) error {
	st, err := decodeState(f.Meta)
	if err != nil {
		return fmt.Errorf("log %08x, segment %d: %w", v.gid, f.At.Segment, err)
	}
	v.reg, v.known = st.registration, true
	v.start = max(v.start, st.start)
	v.batches = slices.DeleteFunc(v.batches, func(b segment.Frame) bool { return b.Index >= f.Index })
	v.metas = slices.DeleteFunc(v.metas, func(m indexed) bool { return m.index >= f.Index })
	v.next = max(st.next, v.start)
	for _, b := range v.batches {
		v.next = max(v.next, b.Base+record.Offset(b.Count))
	}
	v.states = append(v.states, indexed{index: f.Index, write: f.Write, changes: bytes.Clone(st.changes), drop: st.registration.state})
	return nil
}

// stateOf is the state that the segments of all logs know, each value as
// written last; nil was deleted.
func stateOf(all []*survey) (map[string][]byte, error) {
	var events []indexed
	for _, v := range all {
		events = append(append(events, v.metas...), v.states...)
	}
	slices.SortStableFunc(events, func(a, b indexed) int { return cmp.Compare(a.write, b.write) })
	state := map[string][]byte{}
	for _, e := range events {
		for k := range state {
			if slices.ContainsFunc(e.drop, func(p []byte) bool { return bytes.HasPrefix([]byte(k), p) }) {
				delete(state, k)
			}
		}
		err := readMeta(e.changes, changes{
			set:    func(k, value []byte) error { state[string(k)] = append([]byte{}, value...); return nil },
			delete: func(k []byte) error { state[string(k)] = nil; return nil },
		})
		if err != nil {
			return nil, err
		}
	}
	return state, nil
}

// missing lists the ranges from the log start on that no frame holds.
func (v *survey) missing() (gaps []span) {
	at := v.start
	for _, b := range v.batches {
		if b.Base > at {
			gaps = append(gaps, span{at, b.Base})
		}
		at = max(at, b.Base+record.Offset(b.Count))
	}
	if at < v.next {
		gaps = append(gaps, span{at, v.next})
	}
	return gaps
}

// doubtLogs says what each log would keep and lose without Badger. It reads
// every segment, and is asked only when the store refuses to open.
func (s *Store) doubtLogs() (doubts []Doubt) {
	all, err := surveyAll(s.segmentDir())
	if err != nil {
		return []Doubt{{What: err.Error()}}
	}
	w, _ := readWitness(s.dir)
	for _, v := range all {
		name := v.name()
		for _, hole := range v.holes {
			doubts = append(doubts, Doubt{Log: name, What: hole})
		}
		for _, gap := range v.missing() {
			doubts = append(doubts, Doubt{Log: name, First: gap.first, Next: gap.next, What: "not in the segments"})
		}
		doubts = append(doubts, Doubt{Log: name, First: v.next, Next: max(v.next, record.Offset(w.high)),
			What: "if there were any, they lay in Badger; so did what was settled after the last state frame"})
	}
	return doubts
}

func (v *survey) name() string {
	if v.known {
		return v.reg.name
	}
	return fmt.Sprintf("%08x", v.gid)
}
