package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/sluicehq/sluice/persistence/record"
)

// Scan reads frames from r, which has size bytes, beginning at from, and
// gives each to fn; Meta and Payload are valid until fn returns. It ends at
// the first bytes that are no whole frame following the one before, or at
// the end. The answer is the end of the last good frame, and in why what was
// wrong behind it: nil at the end of the file.
//
// The first frame of a file is asked which one it follows only if from has
// its index: its predecessor lies in another file.
func Scan(r io.ReaderAt, size int64, from Position, fn func(*Frame) error) (end Position, why, err error) {
	var (
		f    Frame
		head [headerSize]byte
		buf  []byte
	)
	defer func() { record.PutBuffer(buf) }()
	for end = from; end.Offset < size; {
		if size-end.Offset < headerSize {
			return end, fmt.Errorf("%w: %d bytes left", ErrFrame, size-end.Offset), nil
		}
		if _, err := r.ReadAt(head[:], end.Offset); err != nil {
			return end, nil, fmt.Errorf("read at %d: %w", end.Offset, err)
		}
		z, why := measure(head[:])
		if why == nil && int64(z.total) > size-end.Offset {
			why = fmt.Errorf("%w: cut off after %d of %d bytes", ErrFrame, size-end.Offset, z.total)
		}
		if why != nil {
			return end, why, nil
		}
		if cap(buf) < z.total {
			record.PutBuffer(buf)
			buf = record.GetBuffer(z.total)
		}
		if _, err := r.ReadAt(buf[:z.total], end.Offset); err != nil && !errors.Is(err, io.EOF) {
			return end, nil, fmt.Errorf("read at %d: %w", end.Offset, err)
		}
		prev := end.CRC
		if end.Offset == 0 && end.Index == 0 {
			prev = binary.BigEndian.Uint32(head[12:])
		}
		if why := f.decode(buf[:z.total], z, prev); why != nil {
			return end, why, nil
		}
		if end.Offset == 0 && end.Index == 0 {
			end.Index = f.Index - 1
		}
		if f.Index != end.Index+1 {
			return end, fmt.Errorf("%w: number %d after %d", ErrFrame, f.Index, end.Index), nil
		}
		f.At.Segment, f.At.Bytes = from.Segment, uint32(z.payload)
		f.At.Offset = end.Offset + int64(z.total-z.payload)
		f.End = Position{Segment: from.Segment, Offset: end.Offset + int64(z.total), Index: f.Index, CRC: z.crc, Write: max(end.Write, f.Write)}
		if err := fn(&f); err != nil {
			return end, nil, err
		}
		end = f.End
	}
	return end, nil, nil
}

// ScanFile scans the file of segment from.Segment in dir.
func ScanFile(dir string, from Position, fn func(*Frame) error) (end Position, why, err error) {
	f, err := os.Open(Path(dir, from.Segment))
	if err != nil {
		return from, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return from, nil, err
	}
	end, why, err = Scan(f, st.Size(), from, fn)
	if why != nil {
		why = fmt.Errorf("%s at %d: %w", f.Name(), end.Offset, why)
	}
	return end, why, err
}

// Read appends the payload at p to buf: one pread, and its checksum.
func (l *Log) Read(p Place, buf []byte) ([]byte, error) {
	f, err := l.files.acquire(l, p.Segment)
	if err != nil {
		return buf, err
	}
	defer l.files.release(f)
	n := len(buf)
	if cap(buf)-n < int(p.Bytes) {
		buf = append(record.GetBuffer(n+int(p.Bytes)), buf...)
	}
	buf = buf[:n+int(p.Bytes)]
	if _, err := f.ReadAt(buf[n:], p.Offset); err != nil {
		return buf[:n], fmt.Errorf("read %s at %d: %w", l.path(p.Segment), p.Offset, err)
	}
	if crc32.Checksum(buf[n:], Table) != p.CRC {
		return buf[:n], fmt.Errorf("read %s at %d: %w: checksum of the payload", l.path(p.Segment), p.Offset, ErrFrame)
	}
	return buf, nil
}

// ReadFooter returns the last offset that a sealed segment holds; ok is false
// if the file has no (whole) footer.
func ReadFooter(path string) (last record.Offset, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	var tail [8]byte
	if st.Size() < headerSize+28 {
		return 0, false, nil
	}
	if _, err := f.ReadAt(tail[:], st.Size()-8); err != nil {
		return 0, false, err
	}
	n := int64(binary.BigEndian.Uint32(tail[:]))
	if binary.BigEndian.Uint32(tail[4:]) != magic || n < headerSize+28 || n > st.Size() || n > frameMax {
		return 0, false, nil
	}
	raw := make([]byte, n)
	if _, err := f.ReadAt(raw, st.Size()-n); err != nil {
		return 0, false, err
	}
	z, why := measure(raw)
	if why != nil || z.total != len(raw) {
		return 0, false, nil
	}
	var frame Frame
	if frame.decode(raw, z, binary.BigEndian.Uint32(raw[12:])) != nil || frame.Kind != Footer || len(frame.Payload) < 28 {
		return 0, false, nil
	}
	return record.Offset(binary.BigEndian.Uint64(frame.Payload[8:])), true, nil
}
