package kafka

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/producer"
	"github.com/sluicehq/sluice/persistence/record"
)

// Produce (0), versions 3 to 13: one batch for each of many partitions.
//
//   - The request is walked by hand: the batches stay where they are in the
//     frame, and the partitions store those bytes. No record is decoded and
//     nothing decompressed; header, lengths, counts and the CRC must be right.
//   - Each partition is answered for itself. The answer goes out when the last
//     one is on disk; the frame is given back then, too.
//   - acks 0 has no answer. If one of its batches is refused the connection is
//     closed, the only way there is to tell. acks 1 waits for what -1 waits for.
//   - Up to version 12 topics come by name, from 13 on by id. From 12 on the
//     partitions become part of the transaction by being produced to (KIP-890);
//     before, they must be part of it.
func (s *Server) produce(r *request) {
	p := produces.Get().(*produce)
	p.request = r
	if err := p.walk(); err != nil {
		p.discard()
		r.refuse(err)
		return
	}
	p.left.Store(int32(len(p.writes)) + 1)
	if len(p.writes) > 0 {
		s.producer.Append(p.writes, p.transaction())
	}
	p.settle() // for the one that this goroutine was counted as
}

// produce is one Produce request on its way.
type produce struct {
	request *request
	acks    int16
	txnID   []byte // nil: none
	topics  []producedTopic
	parts   []*producedPart // in the order of the request; those beyond len are kept for re-use
	writes  []producer.Write
	left    atomic.Int32 // writes that are not done
}

type producedTopic struct {
	name  string
	id    [16]byte
	first int // of its parts
	count int
}

type producedPart struct {
	of     *produce
	index  int32
	answer partition.Appended
	done   func(partition.Appended) // its own method, bound once
}

func (p *producedPart) settle(a partition.Appended) {
	p.answer = a
	p.of.settle()
}

var produces = sync.Pool{New: func() any { return new(produce) }}

const (
	// producedMax bounds the partitions of one request.
	producedMax = 1 << 16
	// keptParts bounds those that are kept for re-use.
	keptParts = 1 << 10

	// producedZstd is the first version in which batches may be zstd.
	producedZstd = 7
	// producedAdds is the first in which producing to a partition makes it part
	// of the transaction.
	producedAdds = 12
	// producedAbortable is the first whose clients know of errors after which the
	// transaction has to be aborted.
	producedAbortable = 11

	topicBytesMin     = 2 // an empty compact name and an empty array
	partitionBytesMin = 5 // its index and an empty compact array of bytes
)

// walk takes the request apart and notes what is to be written.
func (p *produce) walk() error {
	r := p.request
	w := walker{b: r.frame, flexible: r.version >= 9}
	p.txnID, _ = w.text()
	p.acks = w.int16()
	w.int32() // timeout: an append here fails or succeeds, it does not hang
	for topics := w.array(topicBytesMin); topics > 0 && w.err == nil; topics-- {
		p.topic(&w)
	}
	w.tags()
	return w.err
}

func (p *produce) topic(w *walker) {
	s := p.request.conn.server
	t := producedTopic{first: len(p.parts)}
	var topic *controller.Topic
	var refused error
	if p.request.version >= 13 {
		t.id = w.uuid()
		if topic, _ = s.image().TopicByID(t.id); topic == nil {
			refused = kerr.UnknownTopicID
		}
	} else {
		name, _ := w.text()
		if topic, _ = s.image().Topic(string(name)); topic == nil {
			t.name = string(name)
			refused = unknownTopic(t.name)
		}
	}
	if topic != nil {
		t.name = topic.Name
	}
	for n := w.array(partitionBytesMin); n > 0 && w.err == nil; n-- {
		if len(p.parts) == producedMax {
			w.fail("more than %d partitions", producedMax)
			return
		}
		part := p.part()
		part.index = w.int32()
		batch, null := w.bytes()
		w.tags()
		t.count++
		err := refused
		switch {
		case err != nil:
		case p.acks < -1 || p.acks > 1:
			err = kerr.InvalidRequiredAcks
		case part.index < 0 || int(part.index) >= len(topic.Partitions):
			err = kerr.UnknownTopicOrPartition
		case null:
			err = kerr.InvalidRecord
		default:
			err = checkBatch(batch, p.request.version)
		}
		if err != nil {
			part.answer = partition.Appended{Base: -1, LogAppendTime: -1, LogStart: -1, Err: err}
			continue
		}
		p.writes = append(p.writes, producer.Write{
			ID: partition.ID{Topic: topic.Name, Index: part.index}, Batch: batch, LeaderEpoch: -1, Done: part.done,
		})
	}
	w.tags()
	p.topics = append(p.topics, t)
}

// checkBatch says whether the bytes that a client sent are one batch that may
// be stored. Its records are not looked at.
func checkBatch(b record.Batch, version int16) error {
	if len(b) > record.HeaderSize {
		switch {
		case b.Magic() < 2:
			return kerr.InvalidRecord // what clients wrote before 2017
		case b.Size() < len(b) && b.Size() >= record.HeaderSize:
			return kerr.InvalidRecord // more than one batch
		}
	}
	if err := b.Validate(); err != nil {
		return err
	}
	switch n := b.Count(); {
	case b.Codec() == record.Zstd && version < producedZstd:
		return kerr.UnsupportedCompressionType
	case n < 1, int(b.LastOffsetDelta()) != n-1, b.Control():
		return kerr.InvalidRecord
	}
	return nil
}

// part is the next one of p.parts, one that was used before if there is any.
func (p *produce) part() *producedPart {
	n := len(p.parts)
	if n < cap(p.parts) {
		p.parts = p.parts[:n+1]
		if p.parts[n] != nil {
			return p.parts[n]
		}
	} else {
		p.parts = append(p.parts, nil)
	}
	part := &producedPart{of: p}
	part.done = part.settle
	p.parts[n] = part
	return part
}

func (p *produce) transaction() *producer.Transaction {
	if p.txnID == nil {
		return nil
	}
	return &producer.Transaction{ID: string(p.txnID), Add: p.request.version >= producedAdds}
}

// settle is called for each write that is done, and answers after the last.
func (p *produce) settle() {
	if p.left.Add(-1) > 0 {
		return
	}
	r := p.request
	r.freeFrame()
	p.txnID = nil
	if p.acks != 0 {
		r.answerLate(p)
		return
	}
	for _, part := range p.parts {
		if part.answer.Err != nil {
			err := part.answer.Err
			p.discard()
			r.refuse(err)
			return
		}
	}
	p.discard()
	r.silence()
}

// write is the answer.
func (p *produce) write(out *output) {
	r := p.request
	at, size := out.beginFrame()
	b := out.small
	b = binary.BigEndian.AppendUint32(b, uint32(r.correlation))
	flexible := r.version >= 9
	if flexible {
		b = append(b, 0)
	}
	b = appendArray(b, len(p.topics), flexible)
	for i := range p.topics {
		t := &p.topics[i]
		if r.version >= 13 {
			b = append(b, t.id[:]...)
		} else {
			b = appendText(b, t.name, flexible)
		}
		b = appendArray(b, t.count, flexible)
		for _, part := range p.parts[t.first : t.first+t.count] {
			b = part.append(b, r, t)
		}
		b = appendNoTags(b, flexible)
	}
	b = binary.BigEndian.AppendUint32(b, 0) // throttle
	out.small = appendNoTags(b, flexible)
	out.endFrame(at, size)
}

func (p *producedPart) append(b []byte, r *request, t *producedTopic) []byte {
	a := &p.answer
	flexible, code := r.version >= 9, codeOf(a.Err)
	if code == kerr.TransactionAbortable.Code && r.version < producedAbortable {
		code = kerr.InvalidTxnState.Code
	}
	b = binary.BigEndian.AppendUint32(b, uint32(p.index))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Base))
	b = binary.BigEndian.AppendUint64(b, uint64(a.LogAppendTime))
	if r.version >= 5 {
		b = binary.BigEndian.AppendUint64(b, uint64(a.LogStart))
	}
	if r.version >= 8 {
		b = appendArray(b, 0, flexible) // records that are to blame: never told apart
		b = appendReason(b, a.Err, flexible)
	}
	if !flexible {
		return b
	}
	if r.version < 10 || code != kerr.NotLeaderForPartition.Code {
		return append(b, 0)
	}
	leader, epoch := r.conn.server.leader(partition.ID{Topic: t.name, Index: p.index})
	return appendLeaderTag(append(b, 1), 0, leader, epoch)
}

func (p *produce) free() { p.discard() }

// discard makes p ready for the next request.
func (p *produce) discard() {
	if p.request.buffer != nil {
		p.request.freeFrame()
	}
	clear(p.topics)
	clear(p.writes)
	for _, part := range p.parts {
		part.answer = partition.Appended{}
	}
	p.request, p.txnID, p.topics, p.writes, p.parts = nil, nil, p.topics[:0], p.writes[:0], p.parts[:0]
	if cap(p.parts) <= keptParts {
		produces.Put(p)
	}
}
