package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Entry is what the store knows of one batch without reading it. One that a
// caller makes of Base and Last alone can be read too.
type Entry struct {
	Base, Last record.Offset
	Bytes      int
	MaxTime    int64

	at segment.Place // Segment 0: in Badger
}

func (a *Append) entry() Entry {
	return Entry{Base: a.Base, Last: a.Base + record.Offset(a.Count) - 1, Bytes: len(a.Payload), MaxTime: a.MaxTime, at: a.at}
}

const (
	entryInline  = 0
	entrySegment = 1
	entryHead    = 25 // bytes before the place or the payload
	entryPlace   = 16
)

// append encodes e: with its payload, or with its place when inline is nil.
func (e Entry) append(b, inline []byte) []byte {
	from := len(b)
	kind := byte(entrySegment)
	if inline != nil {
		kind = entryInline
	}
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Base))
	b = binary.BigEndian.AppendUint64(b, uint64(e.MaxTime))
	b = binary.BigEndian.AppendUint32(b, uint32(e.Bytes))
	if inline != nil {
		crc := crc32.Update(crc32.Checksum(b[from:], segment.Table), segment.Table, inline)
		return append(binary.BigEndian.AppendUint32(b, crc), inline...)
	}
	b = binary.BigEndian.AppendUint32(b, e.at.CRC)
	b = binary.BigEndian.AppendUint32(b, e.at.Segment)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at.Offset))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], segment.Table))
}

// whole says whether the checksum of the entry v, which holds its payload, is
// right.
func whole(v []byte) bool {
	crc := crc32.Update(crc32.Checksum(v[:entryHead-4], segment.Table), segment.Table, v[entryHead:])
	return crc == binary.BigEndian.Uint32(v[entryHead-4:])
}

// decodeEntry reads an entry's value; inline is the payload if it holds it.
func decodeEntry(last record.Offset, v []byte) (e Entry, inline []byte, err error) {
	if len(v) < entryHead {
		return e, nil, fmt.Errorf("an entry of %d bytes", len(v))
	}
	e = Entry{
		Base:    record.Offset(binary.BigEndian.Uint64(v[1:])),
		Last:    last,
		MaxTime: int64(binary.BigEndian.Uint64(v[9:])),
		Bytes:   int(binary.BigEndian.Uint32(v[17:])),
	}
	e.at.CRC = binary.BigEndian.Uint32(v[21:])
	rest := v[entryHead:]
	switch {
	case v[0] == entryInline && len(rest) == e.Bytes:
		inline = rest
	case v[0] == entrySegment && len(rest) == entryPlace:
		if crc32.Checksum(v[:len(v)-4], segment.Table) != binary.BigEndian.Uint32(rest[12:]) {
			return e, nil, fmt.Errorf("the checksum of an entry")
		}
		e.at.Segment = binary.BigEndian.Uint32(rest)
		e.at.Offset = int64(binary.BigEndian.Uint64(rest[4:]))
		e.at.Bytes = uint32(e.Bytes)
	default:
		return e, nil, fmt.Errorf("an entry of kind %d with %d bytes", v[0], len(v))
	}
	if e.Base < 0 || e.Base > e.Last {
		return e, nil, fmt.Errorf("an entry from %d to %d", e.Base, e.Last)
	}
	return e, inline, nil
}

// offsetOf is the offset at the end of a key.
func offsetOf(key []byte) record.Offset {
	return record.Offset(binary.BigEndian.Uint64(key[len(key)-8:]))
}

func appendOffset(b []byte, o record.Offset) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(o))
}

const positionSize = 36

func appendPosition(b []byte, p segment.Position) []byte {
	from := len(b)
	b = binary.BigEndian.AppendUint32(b, p.Segment)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Offset))
	b = binary.BigEndian.AppendUint64(b, p.Index)
	b = binary.BigEndian.AppendUint32(b, p.CRC)
	b = binary.BigEndian.AppendUint64(b, p.Write)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], segment.Table))
}

func decodePosition(v []byte) (segment.Position, error) {
	if len(v) != positionSize || crc32.Checksum(v[:32], segment.Table) != binary.BigEndian.Uint32(v[32:]) {
		return segment.Position{}, fmt.Errorf("a position of %d bytes, or its checksum", len(v))
	}
	return segment.Position{
		Segment: binary.BigEndian.Uint32(v),
		Offset:  int64(binary.BigEndian.Uint64(v[4:])),
		Index:   binary.BigEndian.Uint64(v[12:]),
		CRC:     binary.BigEndian.Uint32(v[20:]),
		Write:   binary.BigEndian.Uint64(v[24:]),
	}, nil
}
