package segment

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/persistence/record"
	"golang.org/x/sys/unix"
)

// mark is one line of a footer's sparse index.
type mark struct {
	base record.Offset
	at   int64
}

const (
	indexEvery = 1 << 20 // bytes between two marks
	iovMax     = 1024    // of the kernel
)

// Append writes frames behind each other, in as few writes as can be, and
// says in each where it lies. They are safe after the next Sync, not before.
func (l *Log) Append(frames []Frame) error {
	for len(frames) > 0 {
		if l.fresh || l.end.Offset+int64(frames[0].Size()) > l.opt.Bytes {
			if err := l.roll(); err != nil {
				return err
			}
		}
		n, bytes := 1, int64(frames[0].Size())
		for n < len(frames) && l.end.Offset+bytes+int64(frames[n].Size()) <= l.opt.Bytes {
			bytes += int64(frames[n].Size())
			n++
		}
		if err := l.write(frames[:n]); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

// write puts frames at the end of the open segment.
func (l *Log) write(frames []Frame) error {
	heads := 0
	for i := range frames {
		heads += frames[i].headBytes()
	}
	if cap(l.head) < heads {
		l.head = make([]byte, 0, heads+heads/2)
	}
	b := l.head[:0] // never grows below: the vector points into it
	vec := l.vec[:0]
	end, last := l.end, record.Offset(-1)
	for i := range frames {
		f := &frames[i]
		end.Index++
		f.Index, f.GID = end.Index, l.gid
		f.At = Place{
			Segment: end.Segment,
			Bytes:   uint32(len(f.Payload)),
			Offset:  end.Offset + int64(f.headBytes()),
			CRC:     f.sum(),
		}
		from := len(b)
		b, end.CRC = f.appendHead(b, end.CRC)
		vec = append(vec, b[from:])
		if len(f.Payload) > 0 {
			vec = append(vec, f.Payload)
		}
		if f.Kind == Batch {
			last = f.Base + record.Offset(f.Count) - 1
			if n := len(l.index); f.Count > 0 && (n == 0 || end.Offset-l.index[n-1].at >= indexEvery) {
				l.index = append(l.index, mark{f.Base, end.Offset})
			}
		}
		end.Offset += int64(f.Size())
		end.Write = max(end.Write, f.Write)
		f.End = end
	}
	l.vec = vec
	err := l.writev(vec)
	clear(vec) // payloads belong to others again
	if err != nil {
		return err
	}
	l.end = end
	l.touched(end.Segment)
	if last >= 0 {
		l.SetLast(end.Segment, last)
	}
	if cap(l.head) > 1<<20 {
		l.head = nil
	}
	return nil
}

func (l *Log) writev(vec [][]byte) error {
	if err := l.before(OpWrite, l.end.Segment); err != nil {
		return fmt.Errorf("write %s: %w", l.path(l.end.Segment), err)
	}
	f, err := l.files.acquire(l, l.end.Segment)
	if err != nil {
		return err
	}
	defer l.files.release(f)
	at := l.end.Offset
	for len(vec) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), vec[:min(len(vec), iovMax)], at)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = unix.EIO
		}
		if err != nil {
			return fmt.Errorf("write %s at %d: %w", f.Name(), at, err)
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

// before asks the faults about segment id; without any no name is made.
func (l *Log) before(op string, id uint32) error {
	if l.opt.Faults == nil {
		return nil
	}
	return l.opt.Faults.Before(op, l.path(id))
}

func (l *Log) touched(id uint32) {
	if n := len(l.dirty); n == 0 || l.dirty[n-1] != id {
		l.dirty = append(l.dirty, id)
	}
}

// Begin begins a new segment now.
func (l *Log) Begin() error { return l.roll() }

// roll seals the open segment and begins the next one with its state frame.
func (l *Log) roll() error {
	if err := l.Seal(); err != nil {
		return err
	}
	id := max(l.Last(), l.end.Segment) + 1
	path := l.path(id)
	if err := Before(l.opt.Faults, OpCreate, path); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := l.makeDir(); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	l.mu.Lock()
	l.segs = append(l.segs, Info{ID: id, Last: -1})
	l.mu.Unlock()
	l.fresh, l.made, l.index = false, true, l.index[:0]
	l.end.Segment, l.end.Offset = id, 0
	meta, write := l.opt.State()
	return l.write([]Frame{{Kind: State, Meta: meta, Write: write}})
}

// makeDir creates the folder and makes its name durable in the one above.
func (l *Log) makeDir() error {
	if _, err := os.Stat(l.dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	return SyncDir(l.opt.Faults, filepath.Dir(l.dir))
}

// Seal ends the segment that is being written; the next frame begins another.
func (l *Log) Seal() error {
	if l.fresh {
		return nil
	}
	if err := l.seal(); err != nil {
		return err
	}
	l.fresh = true
	return nil
}

// seal writes the footer: how many bytes of frames there are, the last
// offset, the sparse index, and its own length at the very end of the file.
// The chain of checksums up to the footer is the checksum of the segment.
func (l *Log) seal() error {
	body := binary.BigEndian.AppendUint64(nil, uint64(l.end.Offset))
	body = binary.BigEndian.AppendUint64(body, uint64(l.lastOf(l.end.Segment)))
	body = binary.BigEndian.AppendUint32(body, uint32(len(l.index)))
	for _, m := range l.index {
		body = binary.BigEndian.AppendUint64(body, uint64(m.base))
		body = binary.BigEndian.AppendUint64(body, uint64(m.at))
	}
	body = binary.BigEndian.AppendUint32(body, uint32(headerSize+len(body)+8))
	body = binary.BigEndian.AppendUint32(body, magic)
	return l.write([]Frame{{Kind: Footer, Payload: body}})
}

func (l *Log) lastOf(id uint32) record.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segs {
		if s.ID == id {
			return s.Last
		}
	}
	return -1
}

// Sync makes everything appended so far durable: the files, and the names of
// new ones. An error is final: what Linux could not write it forgets.
func (l *Log) Sync() error {
	u := l.Unsynced()
	return u.Sync()
}

// Unsynced is what was appended and not yet synced at one moment.
type Unsynced struct {
	log   *Log
	files []uint32
	names bool // of new files
}

// Unsynced takes what is to be synced. Its Sync may run beside further appends;
// whoever takes again before it has come back syncs only what came since.
func (l *Log) Unsynced() Unsynced {
	u := Unsynced{l, l.dirty, l.made}
	l.dirty, l.made = nil, false
	return u
}

// Sync makes it durable.
func (u Unsynced) Sync() error {
	for _, id := range u.files {
		if err := u.log.syncFile(id); err != nil {
			return fmt.Errorf("sync %s: %w", u.log.path(id), err)
		}
	}
	if u.names {
		if err := SyncDir(u.log.opt.Faults, u.log.dir); err != nil {
			return err
		}
		u.log.SetSafe()
	}
	return nil
}

// Dirty says whether anything waits for Sync.
func (l *Log) Dirty() bool { return len(l.dirty) > 0 }

func (l *Log) syncFile(id uint32) error {
	if err := l.before(OpSync, id); err != nil {
		return err
	}
	f, err := l.files.acquire(l, id)
	if err != nil {
		return err
	}
	defer l.files.release(f)
	return Fdatasync(f.File)
}

// Fdatasync makes the content of f durable.
func Fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// SyncDir makes the names in dir durable.
func SyncDir(faults Faults, dir string) error {
	if err := Before(faults, OpDir, dir); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
