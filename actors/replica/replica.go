// Package replica is one member of a raft group as a plain struct. Its owner,
// an actor, drives it: it has no goroutine and no clock. What must be written,
// sent and applied comes out of Turn; completions, messages and ticks go in.
//
// A group of one leads from Open on, needs no ticks and writes nothing but
// entries: when it begins it writes its term together with its first entry.
package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/raftstate"
	"github.com/sluicehq/sluice/persistence/record"
)

// ErrNotLeader answers proposals to a member that does not lead.
var ErrNotLeader = errors.New("not the leader")

// Config is what a member is made of.
type Config struct {
	ID     uint64   // of this member; 1 or more
	Voters []uint64 // of a group that begins; later the log knows
	Store  *persistence.Store
	// Log was opened as a raft log. None of its appends is on its way.
	Log *persistence.Log
	// Applied is the index up to which the owner knows the entries: those behind
	// it come out as committed again. All says that it has read the log itself.
	Applied uint64
	// Records says of an entry's data how many records it has and the newest
	// time in it, ms; nil: entries have none, and lie outside the offsets.
	Records func(data []byte) (count int, maxTime int64)
	Logger  *slog.Logger
}

// All is the Applied of an owner that has read the log to its end.
const All = math.MaxUint64

const (
	electionTicks = 10
	heartbeatTick = 2
	messageBytes  = 1 << 20
	flightBytes   = 8 << 20 // to one follower
	flightMax     = 64
	writeBytes    = 8 << 20 // of entries in one write
	writeEntries  = 512
)

// Member is one member of a group.
type Member struct {
	conf  Config
	state *raftstate.State
	node  *raft.RawNode

	term, lead uint64
	alone      bool

	proposed [][]byte            // data of entries that raft has not shown yet
	flight   []*Write            // submitted, in order
	held     []*Write            // wait until barrier is on disk
	barrier  *Write              // a hard state that must be there first
	pending  persistence.Write   // changes that go with the next entries
	free     []*Write            // to be used again
	prop     raftpb.Message      // a proposal, used again
	entries  []raftpb.Entry      // of prop
	pointers []*raftpb.Entry     // to entries
	out      Output              // see Turn
	kind     *raftpb.MessageType // of prop
}

// Write is a write for the store. Its Done is the owner's: it hands the write
// back with Stored.
type Write struct {
	persistence.Write
	Err error // for the owner's use

	entries   []*raftpb.Entry
	responses []*raftpb.Message
	done      bool
}

// Output is what a turn yields. It is valid until the next one.
type Output struct {
	Writes    []*Write          // to submit, in this order
	Messages  []*raftpb.Message // to other members
	Committed []*raftpb.Entry   // in order; a batch has its offset in its header
}

// Open takes the member up from its log.
func Open(c Config) (*Member, error) {
	state, err := raftstate.Open(c.Store, c.Log, c.Voters)
	if err != nil {
		return nil, err
	}
	if c.Records == nil {
		c.Records = func([]byte) (int, int64) { return 0, 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	m := &Member{conf: c, state: state, alone: state.Alone(), kind: raftpb.MsgProp.Enum()}
	hard, _, _ := state.InitialState()
	m.term = hard.GetTerm()
	first, _ := state.FirstIndex()
	last, _ := state.LastIndex()
	applied := max(min(c.Applied, state.Commit()), first-1)
	if c.Applied == All && state.Commit() < last && m.alone {
		return nil, fmt.Errorf("member of %s: the log ends at %d and is committed to %d", c.Log.Name(), last, state.Commit())
	}
	m.node, err = raft.NewRawNode(&raft.Config{
		ID: c.ID, Storage: state, Applied: applied, AsyncStorageWrites: true,
		ElectionTick: electionTicks, HeartbeatTick: heartbeatTick,
		MaxSizePerMsg: messageBytes, MaxCommittedSizePerReady: math.MaxUint64,
		MaxInflightMsgs: flightMax, MaxInflightBytes: flightBytes,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: logger{c.Logger.With("log", c.Log.Name())},
	})
	if err != nil {
		return nil, fmt.Errorf("member of %s: %w", c.Log.Name(), err)
	}
	if m.alone {
		if err := m.node.Campaign(); err != nil {
			return nil, fmt.Errorf("member of %s: %w", c.Log.Name(), err)
		}
	}
	return m, nil
}

// Alone says whether the member is the only one of its group: it needs no ticks.
func (m *Member) Alone() bool { return m.alone }

// Leading says whether the member leads.
func (m *Member) Leading() bool { return m.lead == m.conf.ID }

// Leader is the member that leads, 0 if none is known.
func (m *Member) Leader() uint64 { return m.lead }

// Term is the current term.
func (m *Member) Term() uint64 { return m.term }

// State is what the member remembers. It is read and compacted by the owner only.
func (m *Member) State() *raftstate.State { return m.state }

// Idle says that no write is on its way.
func (m *Member) Idle() bool { return len(m.flight)+len(m.held) == 0 }

// Propose hands entries to the group, in their order. The slices are used as
// they are and must not change until their entries come out as committed.
// Whoever leads a group of several gives them a copy: a follower that is behind
// may need them longer. Turn has to be called next.
func (m *Member) Propose(data ...[]byte) error {
	if !m.Leading() {
		return ErrNotLeader
	}
	// Raft would copy what it is given. It gets empty entries; Turn puts the
	// data in before anyone sees them.
	n := len(data)
	if cap(m.entries) < n {
		m.entries, m.pointers = make([]raftpb.Entry, n), make([]*raftpb.Entry, n)
		for i := range m.entries {
			m.pointers[i] = &m.entries[i]
		}
	}
	m.prop.Type, m.prop.From, m.prop.Entries = m.kind, &m.conf.ID, m.pointers[:n]
	if err := m.node.Step(&m.prop); err != nil {
		return fmt.Errorf("propose to %s: %w", m.conf.Log.Name(), err)
	}
	m.proposed = append(m.proposed, data...)
	return nil
}

// ProposeMembers proposes a change of the group's members. Turn has to be called
// next.
func (m *Member) ProposeMembers(c *raftpb.ConfChangeV2) error {
	if !m.Leading() {
		return ErrNotLeader
	}
	return m.node.ProposeConfChange(c)
}

// Step takes a message of another member.
func (m *Member) Step(msg *raftpb.Message) { m.node.Step(msg) }

// Tick lets time pass: a tenth of the time after which a leader is missed.
func (m *Member) Tick() { m.node.Tick() }

// Stored takes back a write that is on disk. They come in any order that the
// store gives them.
func (m *Member) Stored(w *Write) {
	w.done = true
	if w == m.barrier {
		m.barrier = nil
	}
	for len(m.flight) > 0 && m.flight[0].done {
		first := m.flight[0]
		n := copy(m.flight, m.flight[1:])
		m.flight[n] = nil
		m.flight = m.flight[:n]
		m.state.Stored(&first.Write, first.entries)
		m.answer(first.responses)
		m.reuse(first)
	}
}

func (m *Member) reuse(w *Write) {
	clear(w.Appends)
	clear(w.Sets)
	w.Appends, w.Sets, w.Deletes, w.Trims = w.Appends[:0], w.Sets[:0], nil, nil
	w.entries, w.responses, w.done = nil, nil, false
	m.free = append(m.free, w)
}

// answer delivers what raft waits for; for other members it goes out.
func (m *Member) answer(responses []*raftpb.Message) {
	for _, r := range responses {
		if r.GetTo() == m.conf.ID {
			m.node.Step(r)
		} else {
			m.out.Messages = append(m.out.Messages, r)
		}
	}
}

// Turn collects everything that is to be done now. The owner calls it after
// every input, submits and sends, applies what is committed, and then calls
// Applied.
func (m *Member) Turn() (*Output, error) {
	out := &m.out
	out.Writes, out.Committed = out.Writes[:0], out.Committed[:0]
	for m.node.HasReady() {
		if err := m.take(m.node.Ready()); err != nil {
			return nil, err
		}
	}
	if m.barrier == nil && len(m.held) > 0 {
		out.Writes = append(out.Writes, m.held...)
		m.flight = append(m.flight, m.held...)
		m.held = m.held[:0]
	}
	return out, nil
}

// Sent forgets the messages of the last turn.
func (m *Member) Sent() {
	clear(m.out.Messages)
	m.out.Messages = m.out.Messages[:0]
}

// Applied lets go of the entries up to index: the bytes of the last turn's
// committed ones belong to their owners again.
func (m *Member) Applied(index uint64) {
	m.state.Applied(index)
	clear(m.out.Committed)
	m.out.Committed = m.out.Committed[:0]
}

func (m *Member) take(rd raft.Ready) error {
	if rd.SoftState != nil {
		m.lead = rd.SoftState.Lead
	}
	if !raft.IsEmptyHardState(rd.HardState) && rd.HardState.GetTerm() != m.term {
		m.term = rd.HardState.GetTerm()
		m.proposed = m.proposed[:0]
	}
	m.fill(rd.Entries)
	for _, msg := range rd.Messages {
		switch msg.GetTo() {
		case raft.LocalAppendThread:
			if err := m.write(msg); err != nil {
				return err
			}
		case raft.LocalApplyThread:
			if err := m.commit(msg); err != nil {
				return err
			}
		default:
			m.out.Messages = append(m.out.Messages, msg)
		}
	}
	return nil
}

// fill puts the data that was proposed into the entries that raft made for it.
func (m *Member) fill(entries []*raftpb.Entry) {
	if len(m.proposed) == 0 {
		return
	}
	n := 0
	for _, e := range entries {
		if n < len(m.proposed) && e.GetTerm() == m.term && e.GetType() == raftpb.EntryNormal && len(e.Data) == 0 {
			e.Data = m.proposed[n]
			n++
		}
	}
	rest := copy(m.proposed, m.proposed[n:])
	clear(m.proposed[rest:])
	m.proposed = m.proposed[:rest]
}

// commit gives committed entries out.
func (m *Member) commit(msg *raftpb.Message) error {
	for _, e := range msg.GetEntries() {
		m.out.Committed = append(m.out.Committed, e)
		if err := m.changeMembers(e); err != nil {
			return err
		}
	}
	m.answer(msg.GetResponses())
	return nil
}

// changeMembers applies e if it changes the members of the group.
func (m *Member) changeMembers(e *raftpb.Entry) error {
	var change raftpb.ConfChangeI
	switch e.GetType() {
	case raftpb.EntryConfChange:
		c := &raftpb.ConfChange{}
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return fmt.Errorf("%s: entry %d: %w", m.conf.Log.Name(), e.GetIndex(), err)
		}
		change = c
	case raftpb.EntryConfChangeV2:
		c := &raftpb.ConfChangeV2{}
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return fmt.Errorf("%s: entry %d: %w", m.conf.Log.Name(), e.GetIndex(), err)
		}
		change = c
	default:
		return nil
	}
	w := m.newWrite()
	if err := m.state.SetConf(&w.Write, m.node.ApplyConfChange(change)); err != nil {
		return err
	}
	m.alone = m.state.Alone()
	m.submit(w)
	return nil
}

// RecordsOfBatch is the Records of groups whose entries are RecordBatches.
func RecordsOfBatch(data []byte) (count int, maxTime int64) {
	b := record.Batch(data)
	return int(b.LastOffsetDelta()) + 1, b.MaxTimestamp()
}
