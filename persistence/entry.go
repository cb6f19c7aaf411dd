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
//
// A raft log has entries without records as well: they stand between the batch
// that ends at Last and the one that begins at Base, which is Last + 1.
type Entry struct {
	Base, Last record.Offset
	Bytes      int
	MaxTime    int64

	// Of the raft entry; an Index of 0: it is none.
	Index, Term uint64
	Type        uint8

	at segment.Place // Segment 0: in Badger
}

// Records says whether e is a batch.
func (e Entry) Records() bool { return e.Base <= e.Last }

func (a *Append) entry() Entry {
	return Entry{
		Base: a.Base, Last: a.Base + record.Offset(a.Count) - 1, Bytes: len(a.Payload), MaxTime: a.MaxTime,
		Index: a.Index, Term: a.Term, Type: a.Type, at: a.at,
	}
}

// frameEntry is the entry of a batch found in a segment.
func frameEntry(f *segment.Frame) Entry {
	return Entry{
		Base: f.Base, Last: f.Base + record.Offset(f.Count) - 1, Bytes: int(f.At.Bytes), MaxTime: f.MaxTime,
		Index: f.Entry, Term: f.Term, Type: f.Type, at: f.At,
	}
}

// appendKey appends the key of e in log gid.
func (e Entry) appendKey(b []byte, gid uint32) []byte {
	if e.Records() {
		return appendEntryKey(b, gid, e.Last)
	}
	return appendRecordlessKey(b, gid, e.Index)
}

// The kinds of entries: where the payload is, and whether it is a raft entry.
const (
	entryInline  = 0
	entrySegment = 1
	entryRaft    = 2 // added to either
	entryHead    = 25
	entryPlace   = 16
	raftHead     = 17 // index, term and type, before the checksum
)

func headOf(kind byte) int {
	if kind >= entryRaft {
		return entryHead + raftHead
	}
	return entryHead
}

// append encodes e: with its payload, or with its place when inline is nil.
func (e Entry) append(b, inline []byte) []byte {
	from := len(b)
	kind := byte(entrySegment)
	if inline != nil {
		kind = entryInline
	}
	if e.Index > 0 {
		kind += entryRaft
	}
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Base))
	b = binary.BigEndian.AppendUint64(b, uint64(e.MaxTime))
	b = binary.BigEndian.AppendUint32(b, uint32(e.Bytes))
	if e.Index > 0 {
		b = binary.BigEndian.AppendUint64(b, e.Index)
		b = binary.BigEndian.AppendUint64(b, e.Term)
		b = append(b, e.Type)
	}
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
	head := headOf(v[0])
	crc := crc32.Update(crc32.Checksum(v[:head-4], segment.Table), segment.Table, v[head:])
	return crc == binary.BigEndian.Uint32(v[head-4:])
}

// decodeEntry reads the value of the entry with key k; inline is the payload if
// it holds it.
func decodeEntry(k, v []byte) (e Entry, inline []byte, err error) {
	if len(v) < entryHead || len(v) < headOf(v[0]) {
		return e, nil, fmt.Errorf("an entry of %d bytes", len(v))
	}
	e = Entry{
		Base:    record.Offset(binary.BigEndian.Uint64(v[1:])),
		Last:    offsetOf(k),
		MaxTime: int64(binary.BigEndian.Uint64(v[9:])),
		Bytes:   int(binary.BigEndian.Uint32(v[17:])),
	}
	head, kind := headOf(v[0]), v[0]
	if kind >= entryRaft {
		e.Index, e.Term, e.Type = binary.BigEndian.Uint64(v[21:]), binary.BigEndian.Uint64(v[29:]), v[37]
		kind -= entryRaft
	}
	e.at.CRC = binary.BigEndian.Uint32(v[head-4:])
	rest := v[head:]
	switch {
	case kind == entryInline && len(rest) == e.Bytes:
		inline = rest
	case kind == entrySegment && len(rest) == entryPlace:
		if crc32.Checksum(v[:len(v)-4], segment.Table) != binary.BigEndian.Uint32(rest[12:]) {
			return e, nil, fmt.Errorf("the checksum of an entry")
		}
		e.at.Segment = binary.BigEndian.Uint32(rest)
		e.at.Offset = int64(binary.BigEndian.Uint64(rest[4:]))
		e.at.Bytes = uint32(e.Bytes)
	default:
		return e, nil, fmt.Errorf("an entry of kind %d with %d bytes", v[0], len(v))
	}
	if recordless(k) {
		if e.Index != uint64(offsetOf(k)) {
			return e, nil, fmt.Errorf("an entry with index %d as number %d", e.Index, offsetOf(k))
		}
		e.Last = e.Base - 1
		return e, inline, nil
	}
	if e.Base < 0 || e.Base > e.Last {
		return e, nil, fmt.Errorf("an entry from %d to %d", e.Base, e.Last)
	}
	return e, inline, nil
}

// recordless says that k is the key of an entry without records.
func recordless(k []byte) bool { return k[5] == 'n' }

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
