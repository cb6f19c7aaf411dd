// Package raftstate is a raft group's memory: raft.Storage over a log of the
// store. The raft log is the partition's log; nothing is kept twice.
package raftstate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// State is what raft remembers of one group. It belongs to whoever owns the
// group's member; nothing in it is locked.
type State struct {
	log *persistence.Log

	hard *raftpb.HardState // on disk
	conf *raftpb.ConfState
	// confStored says that conf is on disk, or on its way.
	confStored bool
	mark       persistence.Mark
	last       uint64 // index of the last entry on disk
	end        record.Offset

	// others are the entries without records, by index. Each term begins with
	// one of them, so that they say the term of every index.
	others []persistence.Entry
	// data is what entries without records hold that came since Open. There are
	// few, changes of members; under a lazy policy they cannot be read at once.
	data map[uint64][]byte

	// recent are the newest entries on disk, without a gap and up to last, until
	// they are applied: raft asks for them once more then.
	recent []*raftpb.Entry

	// cursor is where an entry was read last: the next one is often wanted next.
	cursor persistence.Entry
}

// Open reads the state of log, which has been opened as a raft log and has no
// append on its way. voters are the members of a group that begins.
func Open(store *persistence.Store, log *persistence.Log, voters []uint64) (*State, error) {
	s := &State{log: log, data: map[uint64][]byte{}, hard: &raftpb.HardState{}, conf: &raftpb.ConfState{Voters: voters}}
	if err := s.read(store); err != nil {
		return nil, fmt.Errorf("raft state of %s: %w", log.Name(), err)
	}
	return s, nil
}

func (s *State) read(store *persistence.Store) (err error) {
	for key, m := range map[byte]proto.Message{persistence.KeyHardState: s.hard, persistence.KeyConfState: s.conf} {
		v, ok, err := store.Get(s.log.StateKey(key))
		if err != nil {
			return err
		}
		if ok {
			if err := proto.Unmarshal(v, m); err != nil {
				return fmt.Errorf("state %c: %w", key, err)
			}
			s.confStored = s.confStored || key == persistence.KeyConfState
		}
	}
	if s.mark, err = s.log.Mark(); err != nil {
		return err
	}
	s.last, s.end = max(s.log.LastEntry().Index, s.mark.Index), s.log.Next()
	err = s.log.Recordless(func(e persistence.Entry) error {
		if e.Index > s.mark.Index {
			s.others = append(s.others, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.raise()
	return nil
}

// raise makes the hard state fit what was replayed behind it: an entry of a
// higher term raises the term and clears the vote, and nothing is committed
// that is not there. All that the only member of a group has is committed.
func (s *State) raise() {
	term, commit := s.hard.GetTerm(), min(s.hard.GetCommit(), s.last)
	vote := s.hard.GetVote()
	if last, _ := s.Term(s.last); last > term {
		term, vote = last, raft.None
	}
	if s.Alone() {
		commit = s.last
	}
	commit = max(commit, s.mark.Index)
	s.hard = &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

// Alone says whether the group has a single member.
func (s *State) Alone() bool {
	return len(s.conf.GetVoters()) == 1 && len(s.conf.GetLearners()) == 0 && len(s.conf.GetVotersOutgoing()) == 0
}

// Commit is the index up to which entries were known to be committed at Open.
func (s *State) Commit() uint64 { return s.hard.GetCommit() }

// InitialState implements raft.Storage.
func (s *State) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return s.hard, s.conf, nil
}

// FirstIndex implements raft.Storage.
func (s *State) FirstIndex() (uint64, error) { return s.mark.Index + 1, nil }

// LastIndex implements raft.Storage.
func (s *State) LastIndex() (uint64, error) { return s.last, nil }

// Term implements raft.Storage.
func (s *State) Term(index uint64) (uint64, error) {
	switch {
	case index < s.mark.Index:
		return 0, raft.ErrCompacted
	case index > s.last:
		return 0, raft.ErrUnavailable
	}
	if e, ok := s.otherBefore(index); ok {
		return e.Term, nil
	}
	return s.mark.Term, nil
}

// otherBefore is the last entry without records that is not behind index.
func (s *State) otherBefore(index uint64) (e persistence.Entry, ok bool) {
	i, found := slices.BinarySearchFunc(s.others, index, func(e persistence.Entry, index uint64) int { return cmp.Compare(e.Index, index) })
	if found {
		return s.others[i], true
	}
	if i == 0 {
		return e, false
	}
	return s.others[i-1], true
}

// Snapshot implements raft.Storage: where the log begins. What lies behind is
// sent as entries.
func (s *State) Snapshot() (*raftpb.Snapshot, error) {
	if s.mark.Index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	index, term := s.mark.Index, s.mark.Term
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: proto.CloneOf(s.conf), Index: &index, Term: &term,
	}}, nil
}

// Entries implements raft.Storage.
func (s *State) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo <= s.mark.Index:
		return nil, raft.ErrCompacted
	case hi > s.last+1 || lo >= hi:
		return nil, raft.ErrUnavailable
	}
	var out []*raftpb.Entry
	if first := s.recentFirst(); lo >= first {
		out = s.recent[lo-first : hi-first : hi-first]
		return limit(out, maxSize), nil
	}
	size := uint64(0)
	for index := lo; index < hi; index++ {
		e, err := s.entry(index)
		if err != nil {
			return nil, err
		}
		if size += uint64(proto.Size(e)); len(out) > 0 && size > maxSize {
			break
		}
		out = append(out, e)
	}
	return out, nil
}

// limit cuts entries off that make it more than maxSize, but for the first.
func limit(entries []*raftpb.Entry, maxSize uint64) []*raftpb.Entry {
	size := uint64(0)
	for i, e := range entries {
		if size += uint64(proto.Size(e)); i > 0 && size > maxSize {
			return entries[:i:i]
		}
	}
	return entries
}

func (s *State) recentFirst() uint64 { return s.last + 1 - uint64(len(s.recent)) }

// entry reads the entry with index from the log.
func (s *State) entry(index uint64) (*raftpb.Entry, error) {
	if first := s.recentFirst(); index >= first {
		return s.recent[index-first], nil
	}
	e, err := s.find(index)
	if err != nil {
		return nil, err
	}
	data := s.data[index]
	if data == nil && e.Bytes > 0 {
		if data, err = s.log.Read(e, nil); err != nil {
			return nil, err
		}
	}
	s.cursor = e
	kind := raftpb.EntryType(e.Type)
	return &raftpb.Entry{Index: &index, Term: &e.Term, Type: &kind, Data: data}, nil
}

// errNoEntry says that the log lacks an entry that it should have.
var errNoEntry = errors.New("an entry is missing")

// find looks an entry up by its index. Batches lie under their offsets, and
// every one has at least one record: so the offset of a batch is at least as
// far from that of another as their indexes are.
func (s *State) find(index uint64) (persistence.Entry, error) {
	lo, hi := s.log.Start(), s.end // the batch begins in [lo, hi)
	if e, ok := s.otherBefore(index); ok {
		if e.Index == index {
			return e, nil
		}
		lo = max(lo, e.Base+record.Offset(index-e.Index-1))
	}
	if i, _ := slices.BinarySearchFunc(s.others, index, func(e persistence.Entry, index uint64) int { return cmp.Compare(e.Index, index) }); i < len(s.others) {
		hi = min(hi, s.others[i].Base)
	}
	if s.cursor.Index > 0 && s.cursor.Index < index && s.cursor.Last >= lo {
		lo = s.cursor.Last + record.Offset(index-s.cursor.Index)
	}
	for at := lo; lo < hi; at = lo + (hi-lo)/2 {
		e, ok, err := s.log.Find(at)
		switch {
		case err != nil:
			return e, err
		case !ok || e.Base >= hi:
			hi = at
		case e.Index == index:
			return e, nil
		case e.Index < index:
			lo = e.Last + 1
		default:
			hi = min(at, e.Base)
		}
	}
	return persistence.Entry{}, fmt.Errorf("%s: entry %d: %w", s.log.Name(), index, errNoEntry)
}

// Append adds entries to the appends of w: counted says how many records an
// entry has and the newest time in it. They are not seen here until Stored.
func (s *State) Append(w *persistence.Write, entries []*raftpb.Entry, counted func(*raftpb.Entry) (records int, maxTime int64)) {
	for _, e := range entries {
		a := persistence.Append{Log: s.log, Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Payload: e.GetData()}
		if e.GetType() == raftpb.EntryNormal && len(a.Payload) > 0 {
			a.Count, a.MaxTime = counted(e)
			a.Summed = true // a batch is checked, or made, before it is proposed
		}
		w.Appends = append(w.Appends, a)
	}
	w.Each = true
}

// Stored notes that entries, which were added to w by Append, are on disk.
func (s *State) Stored(w *persistence.Write, entries []*raftpb.Entry) {
	for i := range w.Appends {
		a := &w.Appends[i]
		if a.Index != s.last+1 {
			panic(fmt.Sprintf("raftstate: %s: entry %d stored behind %d", s.log.Name(), a.Index, s.last))
		}
		s.last, s.end = a.Index, a.Base+record.Offset(a.Count)
		if a.Count == 0 {
			s.others = append(s.others, persistence.Entry{Base: a.Base, Last: a.Base - 1, Bytes: len(a.Payload), Index: a.Index, Term: a.Term, Type: a.Type})
			if len(a.Payload) > 0 {
				s.data[a.Index] = a.Payload
			}
		}
	}
	s.recent = append(s.recent, entries...)
}

// Applied lets go of entries up to index: they are read from the log from now
// on, and their bytes are not referred to here any more.
func (s *State) Applied(index uint64) {
	first := s.recentFirst()
	if index < first {
		return
	}
	n := int(min(index+1-first, uint64(len(s.recent))))
	rest := copy(s.recent, s.recent[n:])
	clear(s.recent[rest:])
	s.recent = s.recent[:rest]
}

// Hard is the hard state from now on.
func (s *State) Hard(h *raftpb.HardState) { s.hard = h }

// SetHard adds the hard state to w.
func (s *State) SetHard(w *persistence.Write, h *raftpb.HardState) error {
	return s.set(w, persistence.KeyHardState, h)
}

// SetConf adds the members to w, and they are what InitialState answers from
// now on; nil are those of a group that begins, if they were not stored yet.
func (s *State) SetConf(w *persistence.Write, c *raftpb.ConfState) error {
	if c != nil {
		s.conf = c
	} else if s.confStored {
		return nil
	}
	s.confStored = true
	return s.set(w, persistence.KeyConfState, s.conf)
}

func (s *State) set(w *persistence.Write, family byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err == nil {
		w.Sets = append(w.Sets, persistence.KV{Key: s.log.StateKey(family), Value: b})
	}
	return err
}

// Compact adds to w what gives the entries below to back. All of them must be
// applied. The log start moves to to in any case.
func (s *State) Compact(w *persistence.Write, to record.Offset) error {
	w.Trims = append(w.Trims, persistence.Trim{Log: s.log, To: to})
	mark := s.mark
	if e, ok, err := s.log.Before(to); err != nil {
		return err
	} else if ok && e.Index > mark.Index {
		mark = persistence.Mark{EntryID: persistence.EntryID{Index: e.Index, Term: e.Term}, Next: e.Last + 1}
	}
	gone := 0
	for _, e := range s.others {
		if e.Base >= to {
			break
		}
		gone++
		w.Deletes = append(w.Deletes, s.log.ForgetRecordless(e))
		delete(s.data, e.Index)
		if e.Index > mark.Index {
			mark = persistence.Mark{EntryID: persistence.EntryID{Index: e.Index, Term: e.Term}, Next: e.Base}
		}
	}
	if mark.Index > s.mark.Index {
		s.mark = mark
		w.Sets = append(w.Sets, mark.Set(s.log))
	}
	s.others = slices.Delete(s.others, 0, gone)
	return nil
}

// Terms calls fn for each term that has entries, with the offset at which it
// begins. The first may have begun earlier than what is kept.
func (s *State) Terms(fn func(term uint64, begin record.Offset)) {
	last := uint64(0)
	if s.mark.Index > 0 {
		last = s.mark.Term
		fn(last, 0)
	}
	for _, e := range s.others {
		if e.Term > last {
			last = e.Term
			fn(last, e.Base)
		}
	}
}
