package partitionlog

import (
	"math"

	"github.com/sluicehq/sluice/persistence/record"
)

// SequenceRange is one batch of an idempotent producer.
type SequenceRange struct {
	FirstSeq, LastSeq int32
	Base              record.Offset
	Time              int64 // ms since the epoch: of the append
}

// Producer is what is known of one producer id.
type Producer struct {
	ID               int64
	Epoch            int16
	CoordinatorEpoch int32           // of the last marker; -1: there was none
	Batches          []SequenceRange // the newest of this epoch, the oldest first
	TxnFirst         record.Offset   // of the open transaction; -1: none is open
	LastTime         int64           // ms since the epoch: of its last batch or marker
}

// LastSeq is the sequence of the newest record, -1 when none of this epoch is
// known.
func (p Producer) LastSeq() int32 {
	if len(p.Batches) == 0 {
		return -1
	}
	return p.Batches[len(p.Batches)-1].LastSeq
}

// remembered is how many batches of a producer are known by their sequences.
// Clients have at most as many on their way at a time.
const remembered = 5

// producer is Producer in memory: of a size that does not depend on what the
// producer did.
type producer struct {
	id               int64
	epoch            int16
	count            uint8 // of batches
	coordinatorEpoch int32
	txnFirst         record.Offset
	lastMarker       record.Offset // -1: there was none
	lastTime         int64
	batches          [remembered]SequenceRange

	before, after *producer // with open transactions, in their order
}

func newProducer(id int64, epoch int16) producer {
	return producer{id: id, epoch: epoch, coordinatorEpoch: -1, txnFirst: -1, lastMarker: -1}
}

func (p *producer) export() Producer {
	return Producer{
		ID: p.id, Epoch: p.epoch, CoordinatorEpoch: p.coordinatorEpoch,
		Batches:  append([]SequenceRange(nil), p.batches[:p.count]...),
		TxnFirst: p.txnFirst, LastTime: p.lastTime,
	}
}

func (p *producer) push(r SequenceRange) {
	if p.count == remembered {
		copy(p.batches[:], p.batches[1:])
		p.count--
	}
	p.batches[p.count] = r
	p.count++
}

func (p *producer) lastSeq() int32 {
	if p.count == 0 {
		return -1
	}
	return p.batches[p.count-1].LastSeq
}

// repeats finds the batch that has exactly these sequences.
func (p *producer) repeats(first, last int32) *SequenceRange {
	for i := range p.batches[:p.count] {
		if r := &p.batches[i]; r.FirstSeq == first && r.LastSeq == last {
			return r
		}
	}
	return nil
}

// apply makes p what it is after the batch d.
func (p *producer) apply(d *digest) {
	if d.epoch > p.epoch {
		p.epoch, p.count = d.epoch, 0 // sequences begin anew
	}
	p.lastTime = d.now
	if d.control {
		p.txnFirst, p.lastMarker = -1, d.base
		p.coordinatorEpoch = max(p.coordinatorEpoch, d.marker.CoordinatorEpoch)
		return
	}
	if d.seq >= 0 && d.epoch == p.epoch {
		p.push(SequenceRange{FirstSeq: d.seq, LastSeq: addSeq(d.seq, d.delta), Base: d.base, Time: d.now})
	}
	if d.txn && p.txnFirst < 0 {
		p.txnFirst = d.base
	}
}

const guardNever Guard = 1

func (p *producer) guard() Guard { return guardNever + 1 + Guard(p.lastMarker) }

// addSeq counts on from seq; behind the greatest number comes 0.
func addSeq(seq, n int32) int32 {
	return int32((uint32(seq) + uint32(n)) & math.MaxInt32)
}

// digest is what the state wants to know of a batch.
type digest struct {
	id           int64
	epoch        int16
	seq, delta   int32
	txn, control bool
	marker       Marker
	base         record.Offset
	now          int64
}

// digestOf reads the header of b; ok is false where no producer is named, or a
// control batch is no marker.
func digestOf(base record.Offset, b record.Batch, now int64) (d digest, ok bool) {
	if b.ProducerID() < 0 {
		return d, false
	}
	d = digest{
		id: b.ProducerID(), epoch: b.ProducerEpoch(), seq: b.BaseSequence(), delta: b.LastOffsetDelta(),
		txn: b.Transactional(), control: b.Control(), base: base, now: now,
	}
	if IsFeeder(d.id) {
		d.delta = 0 // the sequence is that of the last record
	}
	if d.control {
		var err error
		if d.marker, err = ParseMarker(b); err != nil {
			return d, false
		}
	}
	return d, true
}
