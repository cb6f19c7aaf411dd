package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
)

// lines makes a record of each line. Carriage returns stay, a line longer than
// the limit becomes several records.
type lines struct {
	spooledFile
	*deserializing
	charset *interceptor.Charset // with its byte order known
	begin   int64                // behind the byte order mark
	pos     int64
	average int // bytes a line
	text    []byte
	encoded []byte
}

// malformedError says where input is not of its character set.
type malformedError struct {
	charset string
	pos     int64
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("the line at byte %d is not %s", e.pos, e.charset)
}

func newLineDeserializer(d *deserializing, f spooledFile) (deserializer, error) {
	l := &lines{spooledFile: f, deserializing: d, charset: d.charset, average: 200}
	if name := d.charset.Name(); name == "UTF-16" || name == "UTF-32" {
		if err := l.readMark(name); err != nil {
			return nil, err
		}
	}
	l.pos = l.begin
	return l, nil
}

// readMark finds the byte order at the beginning of the file; without a mark
// the high byte comes first.
func (l *lines) readMark(name string) error {
	unit := l.charset.Unit()
	mark := make([]byte, 4)
	n, err := l.r.ReadAt(mark[:unit], 0)
	if err != nil && err != io.EOF {
		return err
	}
	order := "BE"
	switch {
	case n < unit:
	case name == "UTF-16" && binary.BigEndian.Uint16(mark) == 0xfeff, name == "UTF-32" && binary.BigEndian.Uint32(mark) == 0xfeff:
		l.begin = int64(unit)
	case name == "UTF-16" && binary.LittleEndian.Uint16(mark) == 0xfeff, name == "UTF-32" && binary.LittleEndian.Uint32(mark) == 0xfeff:
		l.begin, order = int64(unit), "LE"
	}
	l.charset, err = interceptor.CharsetNamed(name + order)
	return err
}

func (l *lines) seek(pos uint64) error {
	l.pos = min(max(int64(pos), l.begin), l.size)
	return nil
}

func (l *lines) seekFlume(offset int64) error { return l.seek(uint64(max(offset, 0))) }
func (l *lines) place() (uint64, int64)       { return uint64(l.pos), l.pos }
func (l *lines) atEnd() bool                  { return l.pos >= l.size }

func (l *lines) next(batchSize int, limit uint64) (*record.Slab, error) {
	end := min(l.size, int64(min(limit, uint64(l.size))))
	want := min(blockMax, int64(l.average)*int64(batchSize)+4096)
	for l.pos < end {
		batch, more, err := l.read(batchSize, min(want, end-l.pos), end)
		if !more {
			return batch, err
		}
		want *= 2 // not even one line fits
	}
	return nil, nil
}

// read reads a block of want bytes and cuts it. more says that the block is too
// short for a single record.
func (l *lines) read(batchSize int, want, end int64) (_ *record.Slab, more bool, err error) {
	batch := record.NewSlab(int(want) + headroom)
	n, err := l.r.ReadAt(batch.Tail(int(want))[:want], l.pos)
	if int64(n) < want {
		batch.Release()
		return nil, false, fmt.Errorf("read %d bytes at %d: %w", want, l.pos, shortRead(err))
	}
	batch.Advance(n)
	used, err := l.cut(batch, n, batchSize, l.pos+int64(n) == end)
	if batch.Len() == 0 {
		batch.Release()
		return nil, err == nil, err
	}
	if len(batch.Buffer()) == n { // nothing was converted
		batch.Advance(used - n)
	}
	l.pos += int64(used)
	l.average = (l.average + used/batch.Len()) / 2
	return batch, false, nil
}

// cut makes records of the first n bytes of the slab's buffer. Lines that need
// no conversion stay where they are.
func (l *lines) cut(batch *record.Slab, n, batchSize int, last bool) (used int, err error) {
	for batch.Len() < batchSize && used < n {
		raw := batch.Buffer()[used:n]
		length, next, ok := l.line(raw, last)
		if !ok {
			return used, nil
		}
		line := raw[:length]
		if l.charset.UTF8() && l.output.UTF8() && utf8.Valid(line) {
			batch.Mark(used, used+length)
		} else {
			body, err := l.convert(line, l.pos+int64(used))
			if err != nil {
				return used, err
			}
			batch.Append(body)
		}
		used += next
	}
	return used, nil
}

// line finds the first line in raw: its length, and where the next begins. ok
// is false when raw ends before the line does.
func (l *lines) line(raw []byte, last bool) (length, next int, ok bool) {
	unit := l.charset.Unit()
	end := l.newline(raw)
	whole := end >= 0
	if !whole {
		end = len(raw)
	}
	// Short lines need no counting: a byte, or two of a wider set, count at
	// most as one character.
	if end > l.lineMax*min(unit, 2) {
		if cut, over := l.first(raw[:end]); over {
			l.truncated(l.pos)
			return cut, cut, true
		}
	}
	if l.compat && whole && l.characters(raw[:end]) == l.lineMax {
		return end, end, true // Flume makes its newline a line of its own
	}
	switch {
	case whole:
		return end, end + unit, true
	case last:
		return end, end, true
	}
	return 0, 0, false
}

// newline finds the first newline in raw, which begins with a character.
func (l *lines) newline(raw []byte) int {
	unit := l.charset.Unit()
	if unit == 1 {
		return bytes.IndexByte(raw, '\n')
	}
	big := l.bigEndian()
	for at := 0; at+unit <= len(raw); at += unit {
		if unitAt(raw[at:], unit, big) == '\n' {
			return at
		}
	}
	return -1
}

func (l *lines) bigEndian() bool {
	name := l.charset.Name()
	return name[len(name)-2:] == "BE"
}

func unitAt(b []byte, unit int, big bool) uint32 {
	switch {
	case unit == 2 && big:
		return uint32(binary.BigEndian.Uint16(b))
	case unit == 2:
		return uint32(binary.LittleEndian.Uint16(b))
	case big:
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// first is the length of the first lineMax characters of raw, as Java counts
// them: a character beyond U+FFFF is two, and is not torn. over says that there
// are more.
func (l *lines) first(raw []byte) (length int, over bool) {
	count := 0
	for length < len(raw) {
		n, size := l.character(raw[length:])
		if count+n > l.lineMax {
			if length == 0 {
				length = size // a pair where one character is allowed
			}
			return length, length < len(raw)
		}
		count += n
		length += size
	}
	return length, false
}

// characters counts raw as Java does.
func (l *lines) characters(raw []byte) (count int) {
	for len(raw) > 0 {
		n, size := l.character(raw)
		count += n
		raw = raw[size:]
	}
	return count
}

// character is how much the first character of raw counts, and its length.
func (l *lines) character(raw []byte) (count, size int) {
	unit := l.charset.Unit()
	switch {
	case l.charset.UTF8():
		r, size := utf8.DecodeRune(raw)
		if r == utf8.RuneError && size <= 1 {
			return 1, malformedUTF8(raw)
		}
		return max(1, utf16.RuneLen(r)), size
	case unit == 1:
		return 1, 1
	case len(raw) < unit:
		return 1, len(raw)
	}
	c := unitAt(raw, unit, l.bigEndian())
	switch {
	case unit == 4:
		return max(1, utf16.RuneLen(rune(c&0x7fffffff))), 4
	case c >= 0xd800 && c < 0xdc00 && len(raw) >= 4:
		return 2, 4
	}
	return 1, 2
}

// malformedUTF8 is the length of what cannot be a character at the beginning
// of b: as many bytes as could have begun one.
func malformedUTF8(b []byte) int {
	if utf8.FullRune(b[:1]) {
		return 1
	}
	n := 1
	for n < len(b) && !utf8.FullRune(b[:n+1]) {
		n++
	}
	return n
}

// convert answers the body of a line in the output character set.
func (l *lines) convert(raw []byte, pos int64) ([]byte, error) {
	text := raw
	if l.charset.UTF8() {
		if !utf8.Valid(raw) {
			if l.policy == "FAIL" {
				return nil, &malformedError{l.charset.Name(), pos}
			}
			text = l.repairUTF8(raw)
		}
	} else {
		l.text = l.charset.Decode(l.text[:0], raw)
		text = l.text
		if bytes.Contains(text, replacement) {
			l.encoded = l.charset.Encode(l.encoded[:0], text)
			switch {
			case bytes.Equal(l.encoded, raw): // U+FFFD itself was there
			case l.policy == "FAIL":
				return nil, &malformedError{l.charset.Name(), pos}
			case l.policy == "IGNORE":
				text = bytes.ReplaceAll(text, replacement, nil)
			}
		}
	}
	return l.encode(text), nil
}

var replacement = []byte("\uFFFD")

func (l *lines) repairUTF8(raw []byte) []byte {
	l.text = l.text[:0]
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		if r != utf8.RuneError || size > 1 {
			l.text = append(l.text, raw[:size]...)
			raw = raw[size:]
			continue
		}
		if l.policy == "REPLACE" {
			l.text = append(l.text, replacement...)
		}
		raw = raw[malformedUTF8(raw):]
	}
	return l.text
}

func (l *lines) encode(text []byte) []byte {
	if l.output.UTF8() {
		return text
	}
	l.encoded = l.output.Encode(l.encoded[:0], text)
	return l.encoded
}
