package record

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Packer writes RecordBatch v2s of records with keys, headers and times of
// their own, as a client does that produces to a topic. It is used again and
// again: nothing is allocated once its memory has grown. The zero value is an
// empty batch.
type Packer struct {
	batch    []byte // room for a header, then the records
	packed   []byte // the same, compressed
	count    int32
	base     int64 // ms: time of the first record
	greatest int64
}

// RecordHeader is a header of a record.
type RecordHeader struct {
	Name  string
	Value []byte
}

// Count is the number of records added since Reset.
func (p *Packer) Count() int { return int(p.count) }

// Size is the number of bytes of the batch without compression.
func (p *Packer) Size() int { return max(len(p.batch), HeaderSize) }

// Reset begins a new batch in the same memory.
func (p *Packer) Reset() { p.batch, p.count = p.batch[:0], 0 }

// Need is at most how many bytes more the batch takes with this record.
func (p *Packer) Need(key, value []byte, headers []RecordHeader) int {
	return recordOverhead + len(key) + len(value) + headerBytes(headers)
}

// recordOverhead is what a record takes at most beside its fields.
const recordOverhead = 1 + 10 + 5*binary.MaxVarintLen32

// Add appends a record with its time in ms. A nil key or value is null. All
// bytes are copied.
func (p *Packer) Add(key, value []byte, headers []RecordHeader, at int64) {
	if p.count == 0 {
		p.batch = append(p.batch[:0], emptyHeader[:]...)
		p.base, p.greatest = at, at
	}
	p.greatest = max(p.greatest, at)
	delta := at - p.base
	body := 1 + varintSize(delta) + lengthSize(int(p.count)) + fieldSize(key) + fieldSize(value) + lengthSize(len(headers)) + headerBytes(headers)
	b := appendVarint(p.batch, int64(body))
	b = append(b, 0) // attributes
	b = appendVarint(b, delta)
	b = appendVarint(b, int64(p.count))
	b = appendBytes(b, key)
	b = appendBytes(b, value)
	b = appendVarint(b, int64(len(headers)))
	for _, h := range headers {
		b = appendVarint(b, int64(len(h.Name)))
		b = append(b, h.Name...)
		b = appendBytes(b, h.Value)
	}
	p.batch = b
	p.count++
}

var emptyHeader [HeaderSize]byte

func headerBytes(headers []RecordHeader) int {
	n := 0
	for _, h := range headers {
		n += lengthSize(len(h.Name)) + len(h.Name) + fieldSize(h.Value)
	}
	return n
}

func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 1<<7; u >>= 7 {
		n++
	}
	return n
}

// Batch is the batch of what was added: base offset 0, of the producer with this
// id, epoch and first sequence (-1, -1 and -1: of nobody). It is the Packer's
// memory, and good until Reset. A batch that would not decode under
// DefaultLimits, because it compresses too well, stays uncompressed.
func (p *Packer) Batch(codec Codec, producer int64, epoch int16, sequence int32) ([]byte, error) {
	if p.count == 0 {
		return nil, ErrEmpty
	}
	out := p.batch
	if codec != None {
		plain := p.batch[HeaderSize:]
		packed, err := codec.compress(append(p.packed[:0], emptyHeader[:]...), plain)
		if err != nil {
			return nil, err
		}
		p.packed = packed
		if DefaultLimits.outputMax(len(packed)-HeaderSize) < len(plain) {
			codec = None
		} else {
			out = packed
		}
	}
	put := binary.BigEndian
	put.PutUint32(out[atLength:], uint32(len(out)-lengthFrom))
	put.PutUint32(out[atLeaderEpoch:], math.MaxUint32)
	out[atMagic] = magic
	put.PutUint16(out[atAttributes:], uint16(codec))
	put.PutUint32(out[atLastOffsetDelta:], uint32(p.count-1))
	put.PutUint64(out[atBaseTimestamp:], uint64(p.base))
	put.PutUint64(out[atMaxTimestamp:], uint64(p.greatest))
	put.PutUint64(out[atProducerID:], uint64(producer))
	put.PutUint16(out[atProducerEpoch:], uint16(epoch))
	put.PutUint32(out[atBaseSequence:], uint32(sequence))
	put.PutUint32(out[atCount:], uint32(p.count))
	put.PutUint32(out[atCRC:], crc32.Checksum(out[atAttributes:], castagnoli))
	return out, nil
}
