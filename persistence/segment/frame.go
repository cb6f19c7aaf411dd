// Package segment keeps the bytes of large batches: append-only files per log
// that hold self-describing frames. It knows nothing of Badger; FORMAT.md in
// the folder above describes every byte.
package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/sluicehq/sluice/persistence/record"
)

// Kind says what a frame is.
type Kind uint8

const (
	// State is the first frame of every segment: what one must know to go on
	// from here if nothing else is left.
	State Kind = 1
	// Batch carries a batch of records and the changes that move with it.
	Batch Kind = 2
	// Change carries changes of state alone.
	Change Kind = 3
	// Footer seals a segment: the sparse index of its batches.
	Footer Kind = 4
)

// Frame is one frame of a segment. Payload and Meta are handed over for the
// time of the call that takes the frame; the store never changes them.
type Frame struct {
	Kind    Kind
	GID     uint32
	Index   uint64 // counts the frames of a log, over all of its segments
	Write   uint64 // counts the writes of the store: the order over all logs
	Term    uint64
	Base    record.Offset
	Count   uint32
	MaxTime int64
	Entry   uint64  // index of the raft entry that the frame is; 0: none
	Type    uint8   // of the raft entry
	Shares  []Share // every append of the write, if it has more than one
	Meta    []byte  // the changes of state that belong to the write
	Payload []byte
	// Summed: the payload is a RecordBatch v2 whose own checksum is right.
	Summed bool

	At  Place    // where Append has put it, or Scan has found it
	End Position // behind it
}

// Share names one append of a write that has several: the write counts only
// if all of them are there.
type Share struct {
	GID  uint32
	Base record.Offset
}

// Place is where the payload of a frame lies.
type Place struct {
	Segment uint32 // 0: nowhere
	Bytes   uint32
	Offset  int64 // of the payload in its file
	CRC     uint32
}

// Position is the end of the frames that are accounted for: the next frame
// begins there, and has the next index.
type Position struct {
	Segment uint32
	Offset  int64
	Index   uint64 // of the last frame
	CRC     uint32 // of the last frame: the next one repeats it
	Write   uint64 // of the last frame
}

const (
	magic      = 0x534c4631 // "SLF1"
	headerSize = 80
	shareSize  = 12
	entrySize  = 9 // index and type of a raft entry, before the changes in the meta
	flagEntry  = 1
	// frameMax bounds what a reader believes of a length.
	frameMax = 1 << 30
	metaMax  = 64 << 20
)

// Table is the polynomial of every checksum of the store (CRC-32C).
var Table = crc32.MakeTable(crc32.Castagnoli)

// ErrFrame says that bytes are no frame, or a damaged one.
var ErrFrame = errors.New("not a whole frame")

func (f *Frame) headBytes() int { return headerSize + len(f.Shares)*shareSize + f.metaBytes() }

func (f *Frame) metaBytes() int {
	if f.Entry > 0 {
		return entrySize + len(f.Meta)
	}
	return len(f.Meta)
}

// Size is the number of bytes the frame takes.
func (f *Frame) Size() int { return f.headBytes() + len(f.Payload) }

// appendHead appends everything of the frame but its payload, and returns the
// frame's own checksum. prev is that of the frame before.
func (f *Frame) appendHead(b []byte, prev uint32) ([]byte, uint32) {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, uint32(f.Size()))
	b = append(b, 0, 0, 0, 0) // the checksum, below
	b = binary.BigEndian.AppendUint32(b, prev)
	b = binary.BigEndian.AppendUint32(b, f.At.CRC)
	b = binary.BigEndian.AppendUint32(b, f.GID)
	b = binary.BigEndian.AppendUint64(b, f.Index)
	b = binary.BigEndian.AppendUint64(b, f.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(f.Base))
	b = binary.BigEndian.AppendUint64(b, uint64(f.MaxTime))
	b = binary.BigEndian.AppendUint32(b, f.Count)
	b = binary.BigEndian.AppendUint32(b, uint32(f.metaBytes()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Shares)))
	b = append(b, byte(f.Kind), f.flags())
	b = binary.BigEndian.AppendUint64(b, f.Write)
	for _, s := range f.Shares {
		b = binary.BigEndian.AppendUint32(b, s.GID)
		b = binary.BigEndian.AppendUint64(b, uint64(s.Base))
	}
	if f.Entry > 0 {
		b = append(binary.BigEndian.AppendUint64(b, f.Entry), f.Type)
	}
	b = append(b, f.Meta...)
	crc := crc32.Checksum(b[start+12:], Table)
	binary.BigEndian.PutUint32(b[start+8:], crc)
	return b, crc
}

func (f *Frame) flags() byte {
	if f.Entry > 0 {
		return flagEntry
	}
	return 0
}

// sizes are the lengths a header claims.
type sizes struct {
	total, shares, meta, payload int
	crc                          uint32
}

// measure reads the lengths of a header and checks that they agree.
func measure(head []byte) (sizes, error) {
	if len(head) < headerSize || binary.BigEndian.Uint32(head) != magic {
		return sizes{}, fmt.Errorf("%w: no frame begins here", ErrFrame)
	}
	z := sizes{
		total:   int(binary.BigEndian.Uint32(head[4:])),
		crc:     binary.BigEndian.Uint32(head[8:]),
		meta:    int(binary.BigEndian.Uint32(head[60:])),
		payload: int(binary.BigEndian.Uint32(head[64:])),
		shares:  int(binary.BigEndian.Uint16(head[68:])),
	}
	if z.total > frameMax || z.meta > metaMax || z.total != headerSize+z.shares*shareSize+z.meta+z.payload {
		return sizes{}, fmt.Errorf("%w: its lengths do not agree", ErrFrame)
	}
	return z, nil
}

// decode reads the frame that raw holds exactly, and checks both checksums.
// Meta and Payload point into raw.
func (f *Frame) decode(raw []byte, z sizes, prev uint32) error {
	head := raw[:z.total-z.payload]
	if crc32.Checksum(head[12:], Table) != z.crc {
		return fmt.Errorf("%w: checksum of the header", ErrFrame)
	}
	if got := binary.BigEndian.Uint32(head[12:]); got != prev {
		return fmt.Errorf("%w: it follows another frame than the one before it", ErrFrame)
	}
	f.At.CRC = binary.BigEndian.Uint32(head[16:])
	f.GID = binary.BigEndian.Uint32(head[20:])
	f.Index = binary.BigEndian.Uint64(head[24:])
	f.Term = binary.BigEndian.Uint64(head[32:])
	f.Base = record.Offset(binary.BigEndian.Uint64(head[40:]))
	f.MaxTime = int64(binary.BigEndian.Uint64(head[48:]))
	f.Count = binary.BigEndian.Uint32(head[56:])
	f.Kind = Kind(head[70])
	f.Write = binary.BigEndian.Uint64(head[72:])
	f.Shares = f.Shares[:0]
	at := headerSize
	for range z.shares {
		f.Shares = append(f.Shares, Share{
			GID:  binary.BigEndian.Uint32(head[at:]),
			Base: record.Offset(binary.BigEndian.Uint64(head[at+4:])),
		})
		at += shareSize
	}
	end := at + z.meta
	f.Entry, f.Type = 0, 0
	if head[71]&flagEntry != 0 {
		if z.meta < entrySize {
			return fmt.Errorf("%w: no room for the index of its entry", ErrFrame)
		}
		f.Entry, f.Type = binary.BigEndian.Uint64(head[at:]), head[at+8]
		at += entrySize
	}
	f.Meta = head[at:end:end]
	f.Payload = raw[z.total-z.payload : z.total : z.total]
	if crc32.Checksum(f.Payload, Table) != f.At.CRC {
		return fmt.Errorf("%w: checksum of the payload", ErrFrame)
	}
	return nil
}
