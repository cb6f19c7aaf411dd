package segment

import (
	"bytes"
	"encoding/binary"
	"os"
)

// Hole is a part of a file in which no frame can be read.
type Hole struct {
	Offset, Bytes int64
	Why           error
}

// Salvage gives every whole frame of segment id in dir to fn, also those that
// follow damage, and says where the damage is. What lies behind the last whole
// frame is a hole as well; whether it was ever needed the caller must know.
func Salvage(dir string, id uint32, fn func(*Frame) error) (holes []Hole, err error) {
	raw, err := os.ReadFile(Path(dir, id))
	if err != nil {
		return nil, err
	}
	var start [4]byte
	binary.BigEndian.PutUint32(start[:], magic)
	r := bytes.NewReader(raw)
	for at := (Position{Segment: id}); at.Offset < int64(len(raw)); {
		end, why, err := Scan(r, r.Size(), at, fn)
		if err != nil || why == nil {
			return holes, err
		}
		hole := Hole{Offset: end.Offset, Why: why}
		at = Position{Segment: id, Offset: int64(len(raw))}
		for from := end.Offset + 1; from < int64(len(raw)); {
			i := bytes.Index(raw[from:], start[:])
			if i < 0 {
				break
			}
			if p, ok := enter(raw, from+int64(i), id); ok {
				at = p
				break
			}
			from += int64(i) + 1
		}
		hole.Bytes = at.Offset - end.Offset
		holes = append(holes, hole)
	}
	return holes, nil
}

// enter makes the position from which Scan reads the frame at offset, if a
// whole one begins there.
func enter(raw []byte, offset int64, id uint32) (Position, bool) {
	rest := raw[offset:]
	z, why := measure(rest)
	if why != nil || z.total > len(rest) {
		return Position{}, false
	}
	var f Frame
	prev := binary.BigEndian.Uint32(rest[12:])
	if f.decode(rest[:z.total], z, prev) != nil {
		return Position{}, false
	}
	return Position{Segment: id, Offset: offset, Index: f.Index - 1, CRC: prev}, true
}
