package partitionlog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// Origin says who hands a batch over.
type Origin uint8

const (
	// Client is anybody outside.
	Client Origin = iota
	// Coordinator may append markers. The epoch of a marker must be newer than
	// the producer's last one, as transactions of version 2 have it: so a marker
	// that was delayed can never end a later transaction. Its data batches need
	// no sequence.
	Coordinator
	// CoordinatorV1 is Coordinator for the transaction of a client that keeps
	// its epoch: the marker's may be the same.
	CoordinatorV1
	// Sink is a sink of this node; it names itself by the id of a feeder, or not
	// at all.
	Sink
)

// Guard is a moment between two transactions of a producer in a partition; 0 is
// none. See State.Guard.
type Guard int64

// State is what one partition knows beside its batches. It belongs to one
// goroutine.
type State struct {
	producers map[int64]*producer // committed
	proposed  map[int64]*proposal // of producers with batches on their way
	spare     []*proposal
	// The committed producers with open transactions, in the order in which
	// those began.
	firstOpen, lastOpen *producer

	aborted []Aborted // by their markers
	epochs  []Epoch
	start   record.Offset // of the log
	next    record.Offset // one past the last committed record
	// forgot says that a producer was dropped: one that nobody knows may have
	// been known.
	forgot bool
}

// proposal is a producer as it will be.
type proposal struct {
	producer
	last record.Offset // base of the newest batch on its way
}

// New is the state of an empty log.
func New() *State {
	return &State{producers: map[int64]*producer{}, proposed: map[int64]*proposal{}}
}

// Next is one past the last committed record that the state knows.
func (s *State) Next() record.Offset { return s.next }

// newest finds what Check has to go by.
func (s *State) newest(id int64) *producer {
	if p := s.proposed[id]; p != nil {
		return &p.producer
	}
	return s.producers[id]
}

// Check judges a batch that wants to be appended, against all that is
// committed or on its way. When dup is not nil the batch is in the log already,
// or on its way, and dup says where; it is valid until the next call, and its
// Base is -1 where that is not known any more. The leader that answers a
// duplicate which is on its way waits until Base is committed.
//
// A batch with a guard is refused when a transaction of its producer has ended
// since: whoever asked the coordinator then, and was told that the partition is
// part of the transaction, was told of one that is over.
func (s *State) Check(b record.Batch, o Origin, g Guard) (dup *SequenceRange, err error) {
	id, epoch := b.ProducerID(), b.ProducerEpoch()
	switch {
	case b.Control():
		return nil, s.checkMarker(b, o)
	case id < 0 && b.Transactional():
		return nil, fmt.Errorf("%w: a transactional batch without a producer id", ErrInvalid)
	case id < 0:
		return nil, nil
	case epoch < 0:
		return nil, fmt.Errorf("%w: producer %d with epoch %d", ErrInvalid, id, epoch)
	case b.BaseSequence() < 0 && o != Coordinator && o != CoordinatorV1:
		return nil, fmt.Errorf("%w: producer %d with sequence %d", ErrInvalid, id, b.BaseSequence())
	case IsFeeder(id) != (o == Sink):
		return nil, fmt.Errorf("%w: producer %d: such ids are for sinks of a node, and for them alone", ErrInvalid, id)
	case o == Sink:
		return s.checkFeeder(b)
	}
	p := s.newest(id)
	if p == nil {
		if g != 0 && g != guardNever {
			return nil, fmt.Errorf("%w: nothing is known of producer %d any more", ErrTxnState, id)
		}
		return nil, s.checkUnknown(b, o)
	}
	if epoch < p.epoch {
		return nil, fmt.Errorf("%w: producer %d has epoch %d, the batch %d", ErrFenced, id, p.epoch, epoch)
	}
	if b.BaseSequence() >= 0 {
		if dup, err = p.checkSequence(b); dup != nil || err != nil {
			return dup, err
		}
	}
	switch {
	case g != 0 && g != p.guard():
		return nil, fmt.Errorf("%w: the one that producer %d was found in has ended at %d", ErrTxnState, id, p.lastMarker)
	case p.txnFirst < 0: // a transactional batch begins one
	case !b.Transactional():
		return nil, fmt.Errorf("%w: producer %d has one open since offset %d", ErrTxnState, id, p.txnFirst)
	case epoch != p.epoch:
		return nil, fmt.Errorf("%w: producer %d has one open with epoch %d", ErrTxnState, id, p.epoch)
	}
	return nil, nil
}

// checkUnknown judges a batch of a producer of which nothing is known. One that
// is idempotent may have been forgotten, and goes on where it was. In a
// transaction that would hide that its first batches are missing.
func (s *State) checkUnknown(b record.Batch, o Origin) error {
	switch {
	case b.BaseSequence() <= 0 || !b.Transactional() || o != Client:
		return nil
	case s.forgot:
		return fmt.Errorf("%w: producer %d goes on with sequence %d", ErrUnknownProducer, b.ProducerID(), b.BaseSequence())
	}
	return fmt.Errorf("%w: producer %d begins with sequence %d", ErrOutOfOrder, b.ProducerID(), b.BaseSequence())
}

func (p *producer) checkSequence(b record.Batch) (*SequenceRange, error) {
	first := b.BaseSequence()
	last := addSeq(first, b.LastOffsetDelta())
	if b.ProducerEpoch() != p.epoch {
		if first != 0 {
			return nil, fmt.Errorf("%w: producer %d begins epoch %d with sequence %d", ErrOutOfOrder, p.id, b.ProducerEpoch(), first)
		}
		return nil, nil
	}
	if dup := p.repeats(first, last); dup != nil {
		return dup, nil
	}
	if want := addSeq(p.lastSeq(), 1); first != want {
		return nil, fmt.Errorf("%w: producer %d sends %d, not %d", ErrOutOfOrder, p.id, first, want)
	}
	return nil, nil
}

func (s *State) checkMarker(b record.Batch, o Origin) error {
	if o != Coordinator && o != CoordinatorV1 {
		return fmt.Errorf("%w: a control batch that no coordinator wrote", ErrInvalid)
	}
	m, err := ParseMarker(b)
	if err != nil {
		return err
	}
	id, epoch := b.ProducerID(), b.ProducerEpoch()
	if id < 0 || epoch < 0 || IsFeeder(id) {
		return fmt.Errorf("%w: a marker for producer %d with epoch %d", ErrInvalid, id, epoch)
	}
	p := s.newest(id)
	switch {
	case p == nil:
		return nil
	case epoch < p.epoch || epoch == p.epoch && o == Coordinator:
		return fmt.Errorf("%w: producer %d has epoch %d, the marker %d", ErrFenced, id, p.epoch, epoch)
	case m.CoordinatorEpoch < p.coordinatorEpoch:
		return fmt.Errorf("%w: producer %d has a marker of coordinator epoch %d, this one has %d", ErrCoordinatorFenced, id, p.coordinatorEpoch, m.CoordinatorEpoch)
	}
	return nil
}

// Propose notes that b, which Check has found good, was handed to the log at
// base. now is the time, ms since the epoch.
func (s *State) Propose(base record.Offset, b record.Batch, now int64) {
	d, ok := digestOf(base, b, now)
	if !ok {
		return
	}
	p := s.proposed[d.id]
	if p == nil {
		p = s.spareProposal()
		if known := s.producers[d.id]; known != nil {
			p.producer = *known
			p.before, p.after = nil, nil
		} else {
			p.producer = newProducer(d.id, d.epoch)
		}
		s.proposed[d.id] = p
	}
	p.apply(&d)
	p.last = base
}

func (s *State) spareProposal() *proposal {
	if n := len(s.spare); n > 0 {
		p := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return p
	}
	return new(proposal)
}

// DropProposed forgets what was proposed and is not committed.
func (s *State) DropProposed() { clear(s.proposed) }

// Commit notes that the entry of b, at base, is committed. Batches come in the
// order of the log. now is the time, ms since the epoch; at a restart, too, so
// that no producer expires for having been stopped.
func (s *State) Commit(base record.Offset, b record.Batch, now int64) {
	s.next = base + record.Offset(b.LastOffsetDelta()) + 1
	s.BeginEpoch(b.LeaderEpoch(), base)
	d, ok := digestOf(base, b, now)
	if !ok {
		return
	}
	p := s.producers[d.id]
	if p == nil {
		fresh := newProducer(d.id, d.epoch)
		p = &fresh
		s.producers[d.id] = p
	}
	first := p.txnFirst
	p.apply(&d)
	switch {
	case first < 0 && p.txnFirst >= 0:
		s.open(p)
	case first >= 0 && p.txnFirst < 0:
		s.close(p)
		if !d.marker.Commit {
			s.aborted = append(s.aborted, Aborted{Producer: d.id, First: first, Last: base, LastStable: s.undecided(base + 1)})
		}
	}
	if ahead := s.proposed[d.id]; ahead != nil && ahead.last <= base {
		delete(s.proposed, d.id)
		if len(s.spare) < spareMax {
			s.spare = append(s.spare, ahead)
		}
	}
}

// spareMax bounds the proposals kept for re-use.
const spareMax = 64

func (s *State) open(p *producer) {
	p.before, p.after = s.lastOpen, nil
	if s.lastOpen == nil {
		s.firstOpen = p
	} else {
		s.lastOpen.after = p
	}
	s.lastOpen = p
}

func (s *State) close(p *producer) {
	if p.before == nil {
		s.firstOpen = p.after
	} else {
		p.before.after = p.after
	}
	if p.after == nil {
		s.lastOpen = p.before
	} else {
		p.after.before = p.before
	}
	p.before, p.after = nil, nil
}

// undecided is the first offset of an open transaction, else otherwise.
func (s *State) undecided(otherwise record.Offset) record.Offset {
	if s.firstOpen == nil {
		return otherwise
	}
	return max(s.firstOpen.txnFirst, s.start)
}

// LastStable is the first offset that a transaction which is still open may
// yet decide about, at most hw.
func (s *State) LastStable(hw record.Offset) record.Offset {
	return min(hw, s.undecided(hw))
}

// Ongoing says whether the producer has a transaction open with this epoch,
// proposed batches included.
func (s *State) Ongoing(id int64, epoch int16) bool {
	p := s.newest(id)
	return p != nil && p.txnFirst >= 0 && p.epoch == epoch
}

// Guard is now. A client of the old protocol keeps its epoch from one
// transaction to the next, so its epoch does not tell a delayed batch from one
// that belongs to the transaction. Take the guard before the coordinator is
// asked, and hand the batch over with it. Producers of version 2 need none: each
// of their transactions has its epoch.
func (s *State) Guard(id int64) Guard {
	if p := s.newest(id); p != nil {
		return p.guard()
	}
	return guardNever
}

// Producers are the committed producers, by their ids.
func (s *State) Producers() []Producer {
	all := make([]Producer, 0, len(s.producers))
	for _, p := range s.producers {
		all = append(all, p.export())
	}
	slices.SortFunc(all, func(a, b Producer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Producer is what is committed of one producer.
func (s *State) Producer(id int64) (Producer, bool) {
	p := s.producers[id]
	if p == nil {
		return Producer{}, false
	}
	return p.export(), true
}

// Expire drops the producers that have sent nothing for longer than after
// (producer.id.expiration.ms), but none with an open transaction or with
// batches on their way, and no feeder: its channel may stand still for months.
// It answers how many; now is in ms since the epoch.
func (s *State) Expire(now int64, after time.Duration) (dropped int) {
	for id, p := range s.producers {
		if p.txnFirst >= 0 || s.proposed[id] != nil || IsFeeder(id) || now-p.lastTime <= after.Milliseconds() {
			continue
		}
		delete(s.producers, id)
		s.forgot = true
		dropped++
	}
	return dropped
}

// Trim notes that the log begins at start. Producers stay known though their
// batches are gone.
func (s *State) Trim(start record.Offset) {
	if start <= s.start {
		return
	}
	s.start = start
	s.trimAborted(start)
	s.trimEpochs(start)
}
