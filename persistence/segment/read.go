package segment

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/sluicehq/sluice/persistence/record"
	"golang.org/x/sys/unix"
)

// gapMax is how many bytes between two payloads are read along rather than
// skipped with a call of their own: the headers of frames.
const gapMax = 1 << 10

// gather is what one call of the system fills.
type gather struct {
	vec [][]byte
	gap [gapMax]byte // what nobody wants; may be filled more than once
}

var gathers = sync.Pool{New: func() any { return new(gather) }}

// ReadAll appends the payloads at places to buf, checked: those that lie
// behind each other with one read. With an error comes the number of the place
// that could not be read; buf holds those before it.
func (l *Log) ReadAll(places []Place, buf []byte) (out []byte, bad int, err error) {
	size := 0
	for _, p := range places {
		size += int(p.Bytes)
	}
	if cap(buf)-len(buf) < size {
		buf = append(record.GetBuffer(len(buf)+size), buf...)
	}
	g := gathers.Get().(*gather)
	defer gathers.Put(g)
	for from := 0; from < len(places); {
		to := from + 1
		for to < len(places) && adjacent(places[to-1], places[to]) {
			to++
		}
		start := len(buf)
		if buf, err = l.readRun(places[from:to], buf, g); err != nil {
			// One by one: it must be known which it was.
			buf = buf[:start]
			for ; from < to; from++ {
				if buf, err = l.Read(places[from], buf); err != nil {
					return buf, from, err
				}
			}
			continue
		}
		from = to
	}
	return buf, 0, nil
}

func adjacent(a, b Place) bool {
	gap := b.Offset - a.Offset - int64(a.Bytes)
	return a.Segment == b.Segment && gap >= 0 && gap <= gapMax
}

// readRun reads places of one segment that lie close behind each other.
func (l *Log) readRun(places []Place, buf []byte, g *gather) ([]byte, error) {
	f, err := l.files.acquire(l, places[0].Segment)
	if err != nil {
		return buf, err
	}
	defer l.files.release(f)
	defer func() { clear(g.vec) }()
	start, at := len(buf), places[0].Offset
	g.vec = g.vec[:0]
	for _, p := range places {
		if gap := p.Offset - at; gap > 0 {
			g.vec = append(g.vec, g.gap[:gap])
		}
		n := len(buf)
		buf = buf[:n+int(p.Bytes)]
		g.vec = append(g.vec, buf[n:])
		at = p.Offset + int64(p.Bytes)
	}
	if err := readv(f.File, g.vec, places[0].Offset); err != nil {
		return buf, fmt.Errorf("read %s at %d: %w", f.Name(), places[0].Offset, err)
	}
	for _, p := range places {
		if crc32.Checksum(buf[start:start+int(p.Bytes)], Table) != p.CRC {
			return buf, fmt.Errorf("read %s at %d: %w: checksum of the payload", f.Name(), p.Offset, ErrFrame)
		}
		start += int(p.Bytes)
	}
	return buf, nil
}

// readv fills all of vec from offset at on.
func readv(f *os.File, vec [][]byte, at int64) error {
	for len(vec) > 0 {
		n, err := unix.Preadv(int(f.Fd()), vec[:min(len(vec), iovMax)], at)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		at += int64(n)
		for n > 0 && n >= len(vec[0]) {
			n -= len(vec[0])
			vec = vec[1:]
		}
		if n > 0 {
			vec[0] = vec[0][n:]
		}
	}
	return nil
}
