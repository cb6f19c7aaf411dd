package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

const (
	// printMax is how much of a file's beginning tells it from others.
	printMax = 1024
	// blockMax is the most that is read at once; what an interceptor adds fits
	// behind it in the same pooled buffer.
	blockMax = 256<<10 - headroom
	headroom = 8 << 10
	// lineMax is the longest line; what is longer becomes several records.
	lineMax = 64 << 20
)

// fingerprint is the hash of the first n bytes of a file. It grows with the
// file until n is printMax.
type fingerprint struct {
	n   int
	sum uint64
}

// printOf takes the fingerprint of the first n bytes of f.
func printOf(f io.ReaderAt, n int) (fingerprint, error) {
	buf := record.GetBuffer(printMax)[:n]
	defer record.PutBuffer(buf)
	if got, err := f.ReadAt(buf, 0); got < n {
		return fingerprint{}, err
	}
	sum := sha256.Sum256(buf)
	return fingerprint{n: n, sum: binary.BigEndian.Uint64(sum[:])}, nil
}

// tailData is what a checkpoint remembers besides the position.
type tailData struct {
	Path string `json:"path"`
	Len  int    `json:"len"` // of the fingerprint
	Sum  string `json:"sum"`
}

// tailFile is one file that is followed.
type tailFile struct {
	id     fileID
	path   string
	group  *tailGroup
	f      *os.File // nil while closed
	opened *int     // counts the open files of the source

	stream     string // "" until the file has its first byte
	generation int    // counts the lives of an inode: truncated, used again
	print      fingerprint
	data       []byte // of checkpoints; never changed in place

	pos     int64 // everything before is emitted
	scanned int64 // there is no newline in [pos, scanned)
	size    int64 // as last seen
	bounds  bounds
	average int   // bytes a line
	starts  []int // where the lines of the last batch begin, from its first

	mtime    time.Time
	grew     time.Time // when it was last seen to grow
	listed   bool      // it matches; if not, it is read to its end and forgotten
	unlisted time.Time
	dirty    bool // something may have to be read
	failing  bool // the last open or read failed, and that was said
}

// streamName is the name of what is read: an inode's life.
func (f *tailFile) streamName() string {
	return fmt.Sprintf("%x:%d:%016x.%d", f.id.dev, f.id.inode, f.print.sum, f.generation)
}

// emptyName stands for the stream of a file that has no byte yet.
func (f *tailFile) emptyName() string { return fmt.Sprintf("%x:%d", f.id.dev, f.id.inode) }

// quietSince is when anything was last seen to happen to the file.
func (f *tailFile) quietSince() time.Time {
	if !f.listed && f.unlisted.After(f.grew) {
		return f.unlisted
	}
	return f.grew
}

// parseStream takes a stream's name apart.
func parseStream(name string) (id fileID, generation int, ok bool) {
	parts := strings.Split(name, ":")
	if len(parts) != 3 {
		return id, 0, false
	}
	_, life, ok := strings.Cut(parts[2], ".")
	var errs [3]error
	id.dev, errs[0] = strconv.ParseUint(parts[0], 16, 64)
	id.inode, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	generation, errs[2] = strconv.Atoi(life)
	return id, generation, ok && errors.Join(errs[:]...) == nil
}

// remember renews the data of checkpoints after the path or the fingerprint
// has changed.
func (f *tailFile) remember() {
	f.data, _ = json.Marshal(tailData{Path: f.path, Len: f.print.n, Sum: strconv.FormatUint(f.print.sum, 16)})
}

// parseTailData reads the data of a stored checkpoint.
func parseTailData(data []byte) (tailData, fingerprint, error) {
	var d tailData
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fingerprint{}, err
	}
	sum, err := strconv.ParseUint(d.Sum, 16, 64)
	if err != nil || d.Len < 0 || d.Len > printMax {
		return d, fingerprint{}, fmt.Errorf("no fingerprint in %q", data)
	}
	return d, fingerprint{n: d.Len, sum: sum}, nil
}

// open opens the file if it is closed. What lies at the path must still be the
// file that was found there.
func (f *tailFile) open() error {
	if f.f != nil {
		return nil
	}
	// Non-blocking, lest a pipe that took the name since stops the source.
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		if id, ok := idOf(info); !ok || id != f.id || !info.Mode().IsRegular() {
			err = errReplaced
		}
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.f, f.grew = file, time.Now()
	*f.opened++
	return nil
}

// errReplaced says that another file has taken the path.
var errReplaced = errors.New("another file lies there now")

func (f *tailFile) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
		*f.opened--
	}
}

// look sees how long the open file is now, and whether it is still the same:
// rewritten answers true when it was cut or overwritten.
func (f *tailFile) look(now time.Time) (rewritten bool, err error) {
	info, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	if size := info.Size(); size != f.size || !info.ModTime().Equal(f.mtime) {
		f.size, f.mtime, f.grew = size, info.ModTime(), now
	} else if f.print.n > 0 {
		return false, nil // untouched since the last look
	}
	if f.size < f.pos || f.size < int64(f.print.n) {
		return true, nil
	}
	if f.print.n > 0 {
		have, err := printOf(f.f, f.print.n)
		if err != nil {
			return errors.Is(err, io.EOF), ignoreEOF(err)
		}
		if have != f.print {
			return true, nil
		}
	}
	return false, f.growPrint()
}

// outgrown says that what was just read may be of another content: since the
// last look the file was cut and has grown beyond the position again. Of a file
// that was only cut, what was read is what it held before.
func (f *tailFile) outgrown() bool {
	info, err := f.f.Stat()
	if err != nil || info.Size() == f.size && info.ModTime().Equal(f.mtime) || info.Size() < f.pos {
		return false
	}
	have, err := printOf(f.f, f.print.n)
	return err == nil && have != f.print || errors.Is(err, io.EOF)
}

// growPrint extends the fingerprint to what the file has now.
func (f *tailFile) growPrint() error {
	n := int(min(f.size, printMax))
	if n <= f.print.n {
		return nil
	}
	p, err := printOf(f.f, n)
	if err != nil {
		return ignoreEOF(err)
	}
	f.print = p
	f.remember()
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next reads the next batch of at most batchSize lines, straight into a slab
// with its lines marked; nil when there is no whole line. With flush a last
// line without newline counts too. cut says that a line was longer than
// lineMax.
func (f *tailFile) next(batchSize int, flush bool) (batch *record.Slab, cut bool, err error) {
	need := int64(0) // bytes up to the end of the first line, where it is known
	for {
		end := int64(f.bounds.limit(uint64(f.pos), uint64(f.size)))
		left := end - f.pos
		if left <= 0 {
			return nil, false, nil
		}
		if f.scanned > f.pos && need == 0 {
			if need, err = f.findNewline(end); err != nil {
				return nil, false, err
			}
			switch {
			case need > 0:
			case f.scanned-f.pos >= lineMax:
				need, cut = lineMax, true
			case end < f.size || flush: // up to a bound, or to the end
				need = left
			default:
				return nil, false, nil
			}
		}
		want := min(left, max(need, min(blockMax, int64(f.average)*int64(batchSize)+4096)))
		batch = record.NewSlab(int(want) + headroom)
		n, err := f.f.ReadAt(batch.Tail(int(want))[:want], f.pos)
		if err != nil && !(errors.Is(err, io.EOF)) {
			batch.Release()
			return nil, false, err
		}
		batch.Advance(n)
		whole := int64(n) == left && (end < f.size || flush) || cut && int64(n) == need
		if used := f.markLines(batch, batchSize, whole); used > 0 {
			// Only what is used is claimed, so the rest of the buffer is free.
			batch.Advance(used - n)
			f.pos += int64(used)
			f.scanned = f.pos
			f.average = (f.average + used/batch.Len()) / 2
			return batch, cut, nil
		}
		batch.Release()
		f.scanned = f.pos + int64(n)
		need = 0
		if int64(n) < want { // cut while it was read; the next look tells
			f.scanned = f.pos
			return nil, false, nil
		}
	}
}

// markLines makes records of the lines in the slab's buffer and says how many
// bytes they take. With whole, the rest behind the last newline is a line too.
func (f *tailFile) markLines(batch *record.Slab, batchSize int, whole bool) (used int) {
	buf := batch.Buffer()
	f.starts = f.starts[:0]
	for batch.Len() < batchSize && used < len(buf) {
		n := bytes.IndexByte(buf[used:], '\n')
		if n < 0 {
			if whole {
				batch.Mark(used, len(buf))
				f.starts = append(f.starts, used)
				used = len(buf)
			}
			return used
		}
		end := used + n
		if n > 0 && buf[end-1] == '\r' {
			end--
		}
		batch.Mark(used, end)
		f.starts = append(f.starts, used)
		used += n + 1
	}
	return used
}

// findNewline looks for the first newline from scanned to end. It answers the
// length of the line with it, or 0 and moves scanned on.
func (f *tailFile) findNewline(end int64) (int64, error) {
	buf := record.GetBuffer(64 << 10)
	defer record.PutBuffer(buf)
	end = min(end, f.pos+lineMax)
	for f.scanned < end {
		n, err := f.f.ReadAt(buf[:min(int64(cap(buf)), end-f.scanned)], f.scanned)
		if n == 0 {
			return 0, ignoreEOF(err)
		}
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return f.scanned + int64(i) + 1 - f.pos, nil
		}
		f.scanned += int64(n)
	}
	return 0, nil
}
