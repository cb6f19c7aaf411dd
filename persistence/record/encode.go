package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// ErrEmpty is the answer to encoding no records.
var ErrEmpty = errors.New("no records to encode")

// ErrTooLarge is wrapped when a batch would not fit its own length field, or
// grows beyond the Limits when decompressed.
var ErrTooLarge = errors.New("batch too large")

// Encode appends all records of s to dst as one RecordBatch v2.
func (s *Slab) Encode(dst []byte, codec Codec) ([]byte, error) { return s.View().Encode(dst, codec) }

// EncodedSize is the number of bytes that Encode appends without compression.
func (s *Slab) EncodedSize() int { return s.View().EncodedSize() }

// EncodedSize is the number of bytes that Encode appends without compression.
func (v View) EncodedSize() int {
	size, shared := HeaderSize, v.Slab.sharedSize()
	for n := range v.Count {
		body := v.Slab.recordSize(v.First+n, n, shared)
		size += lengthSize(body) + body
	}
	return size
}

// Encode appends the records of v to dst as one RecordBatch v2: base offset 0,
// no leader epoch, no producer, every timestamp that of the slab. Keys are
// null; the headers of a record are the common ones, then its own. Without
// compression nothing is allocated when dst has EncodedSize bytes to spare.
//
// A batch that would not decode again under DefaultLimits, because it
// compresses too well, stays uncompressed.
func (v View) Encode(dst []byte, codec Codec) ([]byte, error) {
	if v.Count == 0 {
		return dst, ErrEmpty
	}
	if codec > Zstd {
		return dst, fmt.Errorf("encode %d records: unknown compression %d", v.Count, codec)
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	var err error
	if codec == None {
		dst = v.appendRecords(dst)
	} else {
		plain := v.appendRecords(GetBuffer(v.EncodedSize()))
		dst, err = codec.compress(dst, plain)
		if compressed := len(dst) - start - HeaderSize; err == nil && DefaultLimits.outputMax(compressed) < len(plain) {
			codec = None
			dst = append(dst[:start+HeaderSize], plain...)
		}
		PutBuffer(plain)
		if err != nil {
			return dst[:start], fmt.Errorf("encode %d records: %w", v.Count, err)
		}
	}
	size := len(dst) - start
	if size > math.MaxInt32 {
		return dst[:start], fmt.Errorf("encode %d records: %w: %d bytes", v.Count, ErrTooLarge, size)
	}
	v.putHeader(dst[start:], codec)
	return dst, nil
}

func (v View) putHeader(b []byte, codec Codec) {
	be := binary.BigEndian
	be.PutUint32(b[atLength:], uint32(len(b)-lengthFrom))
	be.PutUint32(b[atLeaderEpoch:], math.MaxUint32) // -1
	b[atMagic] = magic
	be.PutUint16(b[atAttributes:], uint16(codec))
	be.PutUint32(b[atLastOffsetDelta:], uint32(v.Count-1))
	be.PutUint64(b[atBaseTimestamp:], uint64(v.Slab.now))
	be.PutUint64(b[atMaxTimestamp:], uint64(v.Slab.now))
	be.PutUint64(b[atProducerID:], math.MaxUint64)    // -1
	be.PutUint16(b[atProducerEpoch:], math.MaxUint16) // -1
	be.PutUint32(b[atBaseSequence:], math.MaxUint32)  // -1
	be.PutUint32(b[atCount:], uint32(v.Count))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// appendRecords appends the records of v. The headers that all share are
// spelled out once and copied from there.
func (v View) appendRecords(dst []byte) []byte {
	s, shared, block := v.Slab, v.Slab.sharedSize(), -1
	for n := range v.Count {
		i := v.First + n
		r := &s.recs[i]
		dst = appendVarint(dst, int64(s.recordSize(i, n, shared)))
		dst = append(dst, 0, 0) // attributes, timestamp delta
		dst = appendVarint(dst, int64(n))
		dst = append(dst, 1) // the key: length -1
		dst = appendVarint(dst, int64(r.end-r.start))
		dst = append(dst, s.mem.buf[r.start:r.end]...)
		switch {
		case r.head != 0:
			dst = s.appendHeaders(dst, i)
		case block < 0:
			block = len(dst)
			dst = s.appendHeaders(dst, i)
		default:
			dst = append(dst, dst[block:block+shared]...)
		}
	}
	return dst
}

func (s *Slab) appendHeaders(dst []byte, i int) []byte {
	count, _ := s.headersSize(i)
	dst = appendVarint(dst, int64(count))
	for j := range s.common {
		h := &s.common[j]
		if s.recs[i].head == 0 || s.ownByID(i, h.key) == nil {
			dst = s.appendHeader(dst, h)
		}
	}
	for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
		if h := &s.own[at-1]; h.end != gone {
			dst = s.appendHeader(dst, h)
		}
	}
	return dst
}

func (s *Slab) appendHeader(dst []byte, h *headerRef) []byte {
	name := s.names.list[h.key]
	dst = appendVarint(dst, int64(len(name)))
	dst = append(dst, name...)
	dst = appendVarint(dst, int64(h.end-h.start))
	return append(dst, s.mem.buf[h.start:h.end]...)
}

// recordSize is the length of record i as the n-th of a batch, without the
// length field.
func (s *Slab) recordSize(i, n, shared int) int {
	r := &s.recs[i]
	body := int(r.end - r.start)
	size := 1 + 1 + lengthSize(n) + 1 + lengthSize(body) + body
	if r.head == 0 {
		return size + shared
	}
	count, headers := s.headersSize(i)
	return size + lengthSize(count) + headers
}

// sharedSize is the number of bytes of the header count and headers of a
// record that has none of its own.
func (s *Slab) sharedSize() int {
	size := lengthSize(len(s.common))
	for j := range s.common {
		size += s.headerSize(&s.common[j])
	}
	return size
}

func (s *Slab) headersSize(i int) (count, bytes int) {
	for j := range s.common {
		h := &s.common[j]
		if s.recs[i].head == 0 || s.ownByID(i, h.key) == nil {
			count++
			bytes += s.headerSize(h)
		}
	}
	for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
		if h := &s.own[at-1]; h.end != gone {
			count++
			bytes += s.headerSize(h)
		}
	}
	return count, bytes
}

func (s *Slab) headerSize(h *headerRef) int {
	name, value := len(s.names.list[h.key]), int(h.end-h.start)
	return lengthSize(name) + name + lengthSize(value) + value
}
