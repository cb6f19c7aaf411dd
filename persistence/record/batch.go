package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Batch is the bytes of one RecordBatch v2, Kafka's own format: 61 bytes of
// header, then the records, compressed as a whole or not at all. The accessors
// read the header and want at least those 61 bytes; Check or Validate comes
// first where the bytes are a stranger's.
type Batch []byte

// Places in the header of a batch. The base offset and the leader epoch lie
// before the bytes that the CRC covers.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57

	// HeaderSize is where the records of a batch begin.
	HeaderSize = 61

	magic            = 2
	lengthFrom       = 12 // the length field counts what follows it
	attributeControl = 1 << 5
	attributeTxn     = 1 << 4
	attributeLogTime = 1 << 3
	attributeCodec   = 7
	recordBytesMin   = 7 // length, attributes, two deltas, two null lengths, no headers
)

// ErrCorrupt is wrapped by every error about bytes that are no batch.
var ErrCorrupt = errors.New("corrupt batch")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func (b Batch) u16(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func (b Batch) u32(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func (b Batch) u64(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() Offset { return Offset(b.u64(atBaseOffset)) }

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() Offset { return b.BaseOffset() + Offset(b.LastOffsetDelta()) }

// Size is the number of bytes of the whole batch, as its header says.
func (b Batch) Size() int { return lengthFrom + int(int32(b.u32(atLength))) }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() int32 { return int32(b.u32(atLeaderEpoch)) }

// Magic is the version of the format, 2.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// CRC is the checksum that the header carries.
func (b Batch) CRC() uint32 { return b.u32(atCRC) }

// Attributes are the flags of the batch.
func (b Batch) Attributes() int16 { return int16(b.u16(atAttributes)) }

// Codec is how the records are compressed.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & attributeCodec) }

// Control says that the one record is a transaction marker, or the like.
func (b Batch) Control() bool { return b.Attributes()&attributeControl != 0 }

// Transactional says that the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b.Attributes()&attributeTxn != 0 }

// LogAppendTime says that MaxTimestamp, set at the append, is the time of every
// record.
func (b Batch) LogAppendTime() bool { return b.Attributes()&attributeLogTime != 0 }

// LastOffsetDelta is the distance from the first to the last offset; records
// between may be missing after compaction.
func (b Batch) LastOffsetDelta() int32 { return int32(b.u32(atLastOffsetDelta)) }

// BaseTimestamp is what the records' timestamp deltas count from, in ms.
func (b Batch) BaseTimestamp() int64 { return int64(b.u64(atBaseTimestamp)) }

// MaxTimestamp is the highest timestamp in the batch, in ms.
func (b Batch) MaxTimestamp() int64 { return int64(b.u64(atMaxTimestamp)) }

// ProducerID is -1 where the producer is not idempotent.
func (b Batch) ProducerID() int64 { return int64(b.u64(atProducerID)) }

// ProducerEpoch is the epoch of the producer's id, or -1.
func (b Batch) ProducerEpoch() int16 { return int16(b.u16(atProducerEpoch)) }

// BaseSequence is the producer's number of the first record, or -1.
func (b Batch) BaseSequence() int32 { return int32(b.u32(atBaseSequence)) }

// Count is the number of records, as the header says.
func (b Batch) Count() int { return int(int32(b.u32(atCount))) }

// SetBaseOffset stamps the offset of the first record. The CRC stays right.
func SetBaseOffset(batch []byte, o Offset) {
	binary.BigEndian.PutUint64(batch[atBaseOffset:], uint64(o))
}

// SetLeaderEpoch stamps the leader's epoch. The CRC stays right.
func SetLeaderEpoch(batch []byte, epoch int32) {
	binary.BigEndian.PutUint32(batch[atLeaderEpoch:], uint32(epoch))
}

// Check says whether b is exactly one batch by its lengths, version and counts.
// It reads the header only.
func (b Batch) Check() error {
	if len(b) < HeaderSize {
		return corrupt("%d bytes, the header alone has %d", len(b), HeaderSize)
	}
	if m := b.Magic(); m != magic {
		return corrupt("magic %d at byte %d, only %d is known", m, atMagic, magic)
	}
	if size := b.Size(); size != len(b) {
		return corrupt("length at byte %d makes it %d bytes, there are %d", atLength, size, len(b))
	}
	if c := b.Codec(); c > Zstd {
		return corrupt("unknown compression %d in the attributes at byte %d", c, atAttributes)
	}
	switch count, last := b.Count(), b.LastOffsetDelta(); {
	case count < 0:
		return corrupt("count %d at byte %d", count, atCount)
	case last < 0 && count > 0:
		return corrupt("last offset delta %d at byte %d", last, atLastOffsetDelta)
	case last >= 0 && count-1 > int(last):
		return corrupt("count %d at byte %d, but offset deltas only up to %d", count, atCount, last)
	case b.Codec() == None && count > (len(b)-HeaderSize)/recordBytesMin:
		return corrupt("count %d at byte %d in %d bytes of records", count, atCount, len(b)-HeaderSize)
	}
	return nil
}

// Validate is Check, and the CRC must be right.
func (b Batch) Validate() error {
	if err := b.Check(); err != nil {
		return err
	}
	if sum := crc32.Checksum(b[atAttributes:], castagnoli); sum != b.CRC() {
		return corrupt("crc %08x at byte %d, the bytes make %08x", b.CRC(), atCRC, sum)
	}
	return nil
}

// Split cuts the first batch off data, which may hold several one behind the
// other. It looks at the length only.
func Split(data []byte) (first Batch, rest []byte, err error) {
	if len(data) < HeaderSize {
		return nil, data, corrupt("%d bytes, the header of a batch alone has %d", len(data), HeaderSize)
	}
	size := Batch(data).Size()
	if size < HeaderSize || size > len(data) {
		return nil, data, corrupt("length at byte %d makes it %d bytes, there are %d", atLength, size, len(data))
	}
	return data[:size:size], data[size:], nil
}

// SetLogAppendTime makes ms since the epoch the time of every record, and the
// CRC right again.
func SetLogAppendTime(batch []byte, ms int64) {
	batch[atAttributes+1] |= attributeLogTime
	binary.BigEndian.PutUint64(batch[atMaxTimestamp:], uint64(ms))
	binary.BigEndian.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
}
