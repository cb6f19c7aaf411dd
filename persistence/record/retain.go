package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// attributeHorizon says that the base timestamp is a delete horizon.
const attributeHorizon = 1 << 6

// DeleteHorizon is the time, ms since the epoch, from which on compaction may
// remove tombstones and markers of the batch; ok is false when it has none yet.
func (b Batch) DeleteHorizon() (at int64, ok bool) {
	return b.BaseTimestamp(), b.Attributes()&attributeHorizon != 0
}

// NoHorizon leaves a batch its delete horizon, or without one.
const NoHorizon = math.MinInt64

// Retain appends to dst the batch b with those of its records for which keep
// holds; records is what b.Payload returned. Offsets, times, sequences and the
// codec stay; so does the distance to the last offset, whatever is gone. A
// horizon becomes the batch's delete horizon. A batch without records is its
// header alone.
func (b Batch) Retain(dst, records []byte, keep []bool, horizon int64) ([]byte, error) {
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	shift := int64(0) // of times, so that they stay what they are
	attributes := b.u16(atAttributes)
	if horizon != NoHorizon {
		shift = b.BaseTimestamp() - horizon
		attributes |= attributeHorizon
	}
	plain := GetBuffer(len(records) + 4*len(keep))
	defer func() { PutBuffer(plain) }()
	it := Iterate(records, b.Count())
	count, maxTime := 0, int64(math.MinInt64)
	for from := 0; it.Next(); from = it.next {
		if it.n > len(keep) || !keep[it.n-1] {
			continue
		}
		count++
		maxTime = max(maxTime, b.BaseTimestamp()+it.timestampDelta)
		if shift == 0 {
			plain = append(plain, records[from:it.next]...)
		} else {
			plain = it.appendShifted(plain, records[from:it.next], shift)
		}
	}
	if err := it.Err(); err != nil {
		return dst[:start], fmt.Errorf("rewrite the batch at %d: %w", b.BaseOffset(), err)
	}
	codec := b.Codec()
	if count == 0 {
		codec = None
	}
	var err error
	if codec != None {
		dst, err = codec.compress(dst, plain)
		if err != nil {
			return dst[:start], fmt.Errorf("rewrite the batch at %d: %w", b.BaseOffset(), err)
		}
		if DefaultLimits.outputMax(len(dst)-start-HeaderSize) < len(plain) {
			codec, dst = None, dst[:start+HeaderSize] // it would not be read again
		}
	}
	if codec == None {
		dst = append(dst, plain...)
	}
	out, be := dst[start:], binary.BigEndian
	be.PutUint32(out[atLength:], uint32(len(out)-lengthFrom))
	be.PutUint16(out[atAttributes:], attributes&^attributeCodec|uint16(codec))
	if horizon != NoHorizon {
		be.PutUint64(out[atBaseTimestamp:], uint64(horizon))
	}
	if count > 0 && !b.LogAppendTime() {
		be.PutUint64(out[atMaxTimestamp:], uint64(maxTime))
	}
	be.PutUint32(out[atCount:], uint32(count))
	be.PutUint32(out[atCRC:], crc32.Checksum(out[atAttributes:], castagnoli))
	return dst, nil
}

// appendShifted appends the record raw, at which it stands, with its timestamp
// delta moved by shift.
func (it *Iterator) appendShifted(dst, raw []byte, shift int64) []byte {
	_, at, _ := varint(raw, 0) // the length; the attributes follow
	_, rest, _ := varint(raw, at+1)
	var delta [10]byte
	d := appendVarint(delta[:0], it.timestampDelta+shift)
	dst = appendVarint(dst, int64(1+len(d)+len(raw)-rest))
	dst = append(dst, raw[at])
	dst = append(dst, d...)
	return append(dst, raw[rest:]...)
}
