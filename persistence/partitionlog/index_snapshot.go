package partitionlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/sluicehq/sluice/persistence/record"
)

const lineBytesMin = 5 // every number takes one byte at least

// Append appends a snapshot of the index to b; FORMAT.md describes it. After a
// restart Load adds what came later.
func (x *Index) Append(b []byte) []byte {
	lines := x.snapshot()
	from := len(b)
	b = append(b, snapshotVersion)
	b = binary.AppendUvarint(b, uint64(len(lines)))
	at := record.Offset(0)
	for _, l := range lines {
		for _, v := range [...]int64{int64(l.base - at), int64(l.next - l.base), int64(l.count), l.bytes, l.maxTime, l.added} {
			b = binary.AppendVarint(b, v)
		}
		at = l.next
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// DecodeIndex reads what Append wrote. Nothing in b is trusted.
func DecodeIndex(b []byte) (*Index, error) {
	if len(b) < 4 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: an index of %d bytes, or its checksum", ErrSnapshot, len(b))
	}
	r := &reader{b: b[:len(b)-4]}
	if v := r.byte(); v != snapshotVersion {
		return nil, fmt.Errorf("%w: an index of version %d, %d is known", ErrSnapshot, v, snapshotVersion)
	}
	x := NewIndex()
	at := record.Offset(0)
	for n := r.count(lineBytesMin); n > 0 && !r.bad; n-- {
		l := line{base: at + r.offset()}
		l.next = l.base + r.offset()
		l.count, l.bytes = int(r.within(0, 1<<31-1)), r.within(0, 1<<50)
		l.maxTime, l.added = r.within(-1<<63, 1<<63-1), r.within(-1<<63, 1<<63-1)
		r.bad = r.bad || l.next <= l.base || l.next > 1<<62
		x.lines = append(x.lines, l)
		x.bytes += l.bytes
		at = l.next
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: the content of an index", ErrSnapshot)
	}
	if len(x.lines) > 0 {
		x.start = x.lines[0].base
	}
	return x, nil
}
