package replica

import (
	"go.etcd.io/raft/v3/raftpb"
)

// write makes writes of what raft wants to be on disk.
func (m *Member) write(msg *raftpb.Message) error {
	hard := msg.Term != nil && m.changesTerm(msg)
	if hard {
		h := &raftpb.HardState{Term: msg.Term, Vote: msg.Vote, Commit: msg.Commit}
		if err := m.keepHard(h); err != nil {
			return err
		}
	}
	entries := msg.GetEntries()
	if len(entries) == 0 && (m.alone || !hard) {
		// A commit alone is not worth a write: it is learned anew. What raft
		// waits for comes behind the writes that are on their way.
		m.follow(msg.GetResponses())
		return nil
	}
	for {
		w := m.newWrite()
		n, bytes := 0, 0
		for n < len(entries) && n < writeEntries && (n == 0 || bytes+len(entries[n].GetData()) <= writeBytes) {
			bytes += len(entries[n].GetData())
			n++
		}
		w.entries = entries[:n:n]
		m.state.Append(&w.Write, w.entries, m.records)
		w.Sets = append(w.Sets, m.pending.Sets...)
		m.pending.Sets = m.pending.Sets[:0]
		if entries = entries[n:]; len(entries) == 0 {
			w.responses = msg.GetResponses()
		}
		m.submit(w)
		if len(entries) == 0 {
			return nil
		}
	}
}

func (m *Member) records(e *raftpb.Entry) (int, int64) { return m.conf.Records(e.GetData()) }

// changesTerm says whether more than the commit is new in a hard state.
func (m *Member) changesTerm(msg *raftpb.Message) bool {
	known, _, _ := m.state.InitialState()
	return known.GetTerm() != msg.GetTerm() || known.GetVote() != msg.GetVote()
}

// keepHard has the hard state written. The only member of a group answers to
// nobody: its term is on disk when its first entry is. In a group of several
// it is there before anything that depends on it, under every flush policy.
func (m *Member) keepHard(h *raftpb.HardState) error {
	m.state.Hard(h)
	to := &m.pending
	var w *Write
	if !m.alone {
		w = m.newWrite()
		to = &w.Write
	}
	if err := m.state.SetHard(to, h); err != nil {
		return err
	}
	if err := m.state.SetConf(to, nil); err != nil {
		return err
	}
	if w != nil {
		m.submit(w)
		m.barrier = w
	}
	return nil
}

// follow delivers responses behind what is on its way.
func (m *Member) follow(responses []*raftpb.Message) {
	last := m.flight
	if len(m.held) > 0 {
		last = m.held
	}
	if n := len(last); n > 0 {
		last[n-1].responses = append(last[n-1].responses, responses...)
		return
	}
	m.answer(responses)
}

func (m *Member) submit(w *Write) {
	if m.barrier != nil {
		m.held = append(m.held, w)
		return
	}
	m.flight = append(m.flight, w)
	m.out.Writes = append(m.out.Writes, w)
}

func (m *Member) newWrite() *Write {
	if n := len(m.free); n > 0 {
		w := m.free[n-1]
		m.free = m.free[:n-1]
		return w
	}
	return &Write{}
}
