package partitionlog

import (
	"fmt"

	"github.com/sluicehq/sluice/persistence/record"
)

// A feeder is a sink of this node that writes into a partition what comes out
// of one channel, in the channel's order. What a client's sequence does for the
// last few batches, its place in the channel does for ever: positions ascend,
// with gaps, and whatever is not above the last one was written before a crash.
//
// Its batches are those of an idempotent producer with an id of a range of its
// own. Epoch and sequence together are the position of the batch's last record.

const (
	// feederBit is set in the ids of feeders, and in no other.
	feederBit = int64(1) << 62

	// PositionMax is the last position of a feeder that fits into a batch.
	PositionMax = int64(1)<<46 - 1
	epochShift  = 31
)

// FeederID is the id of the feeder with this number.
func FeederID(number int64) int64 { return number | feederBit }

// IsFeeder says whether a producer id is that of a feeder.
func IsFeeder(id int64) bool { return id >= feederBit }

// FeederSequence is how a position, up to PositionMax, stands in a batch.
func FeederSequence(position int64) (epoch int16, sequence int32) {
	return int16(position >> epochShift), int32(position & (1<<epochShift - 1))
}

func positionOf(epoch int16, sequence int32) int64 {
	return int64(epoch)<<epochShift | int64(sequence)
}

// checkFeeder judges the batch of a feeder. A repeat is said to lie where the
// newest batch does, so that whoever waits for it waits for everything that the
// feeder has written.
func (s *State) checkFeeder(b record.Batch) (*SequenceRange, error) {
	if b.Transactional() || b.Control() {
		return nil, fmt.Errorf("%w: feeder %d in a transaction", ErrInvalid, b.ProducerID())
	}
	p := s.newest(b.ProducerID())
	if p == nil || positionOf(b.ProducerEpoch(), b.BaseSequence()) > p.position() {
		return nil, nil
	}
	return &p.batches[p.count-1], nil
}

// position is where a feeder is, -1 before its first batch.
func (p *producer) position() int64 {
	if p.count == 0 {
		return -1
	}
	return positionOf(p.epoch, p.lastSeq())
}

// Fed is the position of the last record that a feeder has written, -1 for
// none, and the same with what is on its way.
func (s *State) Fed(id int64) (committed, proposed int64) {
	committed, proposed = -1, -1
	if p := s.producers[id]; p != nil {
		committed = p.position()
	}
	if p := s.newest(id); p != nil {
		proposed = p.position()
	}
	return committed, proposed
}
