package check

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Stamp says of a record who wrote it, in which transaction, and as which of
// its writer's records.
type Stamp struct {
	Writer uint32
	Txn    uint32 // of the writer, from 0
	Seq    uint64 // of the writer, from 0
}

// A stamped value is a mark, the stamp, bytes that follow from it, and a sum of
// all that.
const (
	stampMark   = 0x51ce57a9
	stampHeader = 4 + 4 + 4 + 8
	stampMin    = stampHeader + 4
	paddingMax  = 200
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errStamp = errors.New("not a stamped record")

// Append appends the value of s to dst. The same stamp gives the same bytes.
func (s Stamp) Append(dst []byte) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, stampMark)
	dst = binary.BigEndian.AppendUint32(dst, s.Writer)
	dst = binary.BigEndian.AppendUint32(dst, s.Txn)
	dst = binary.BigEndian.AppendUint64(dst, s.Seq)
	x := uint64(s.Writer)<<40 ^ s.Seq ^ 0x9e3779b97f4a7c15
	for range x % paddingMax {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		dst = append(dst, byte(x))
	}
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

// ParseStamp reads what Append wrote.
func ParseStamp(b []byte) (Stamp, error) {
	if len(b) < stampMin || binary.BigEndian.Uint32(b) != stampMark {
		return Stamp{}, errStamp
	}
	if end := len(b) - 4; crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return Stamp{}, errStamp
	}
	return Stamp{
		Writer: binary.BigEndian.Uint32(b[4:]),
		Txn:    binary.BigEndian.Uint32(b[8:]),
		Seq:    binary.BigEndian.Uint64(b[12:]),
	}, nil
}
