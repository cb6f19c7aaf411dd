package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Builder writes one RecordBatch v2 record by record, uncompressed. It is for
// the logs that a node writes for itself, where records have keys and values
// and a batch is small. The zero value is an empty batch of no producer.
type Builder struct {
	// At is the timestamp of every record, in ms.
	At int64
	// Transactional puts the batch into the open transaction of Producer.
	Transactional bool
	// Control makes the one record a marker.
	Control bool
	// Producer and Epoch are written where one of the flags is set.
	Producer int64
	Epoch    int16

	records []byte
	count   int32
}

// Add appends a record. A nil key or value is null.
func (b *Builder) Add(key, value []byte) {
	body := 1 + 1 + lengthSize(int(b.count)) + fieldSize(key) + fieldSize(value) + 1
	b.records = appendVarint(b.records, int64(body))
	b.records = append(b.records, 0)       // attributes
	b.records = appendVarint(b.records, 0) // timestamp delta
	b.records = appendVarint(b.records, int64(b.count))
	b.records = appendBytes(b.records, key)
	b.records = appendBytes(b.records, value)
	b.records = appendVarint(b.records, 0) // headers
	b.count++
}

// Count is the number of records added.
func (b *Builder) Count() int { return int(b.count) }

// Size is the number of bytes that Batch returns.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// Batch is the batch: base offset 0, no sequence.
func (b *Builder) Batch() []byte {
	out := make([]byte, HeaderSize, b.Size())
	out = append(out, b.records...)
	producer, epoch, attributes := int64(-1), int16(-1), uint16(0)
	if b.Transactional || b.Control {
		producer, epoch = b.Producer, b.Epoch
	}
	if b.Transactional {
		attributes |= attributeTxn
	}
	if b.Control {
		attributes |= attributeControl
	}
	put := binary.BigEndian
	put.PutUint32(out[atLength:], uint32(len(out)-lengthFrom))
	put.PutUint32(out[atLeaderEpoch:], ^uint32(0))
	out[atMagic] = magic
	put.PutUint16(out[atAttributes:], attributes)
	put.PutUint32(out[atLastOffsetDelta:], uint32(b.count-1))
	put.PutUint64(out[atBaseTimestamp:], uint64(b.At))
	put.PutUint64(out[atMaxTimestamp:], uint64(b.At))
	put.PutUint64(out[atProducerID:], uint64(producer))
	put.PutUint16(out[atProducerEpoch:], uint16(epoch))
	put.PutUint32(out[atBaseSequence:], ^uint32(0))
	put.PutUint32(out[atCount:], uint32(b.count))
	put.PutUint32(out[atCRC:], crc32.Checksum(out[atAttributes:], castagnoli))
	return out
}

func fieldSize(b []byte) int {
	if b == nil {
		return 1
	}
	return lengthSize(len(b)) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}
