package kafka

import "encoding/binary"

// walker takes a body apart by hand: nothing it returns is a copy, and it takes
// no memory. After the first mistake everything is empty and err says what was
// wrong.
type walker struct {
	b        []byte
	flexible bool
	err      error
}

func (w *walker) fail(format string, args ...any) {
	if w.err == nil {
		w.err = badFrame(format, args...)
	}
	w.b = nil
}

func (w *walker) take(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.fail("%d bytes are wanted, %d are left", n, len(w.b))
		return nil
	}
	b := w.b[:n:n]
	w.b = w.b[n:]
	return b
}

func (w *walker) int16() int16 {
	b := w.take(2)
	if b == nil {
		return 0
	}
	return int16(binary.BigEndian.Uint16(b))
}

func (w *walker) int32() int32 {
	b := w.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

func (w *walker) uuid() (id [16]byte) {
	copy(id[:], w.take(16))
	return id
}

// length is that of a compact string, of bytes or of an array; -1 is null.
func (w *walker) compact() int {
	n, rest, err := uvarint(w.b)
	if err != nil {
		w.fail("%v", err)
		return 0
	}
	w.b = rest
	return int(n) - 1
}

// text is a nullable string.
func (w *walker) text() (s []byte, null bool) {
	var n int
	if w.flexible {
		n = w.compact()
	} else {
		n = int(w.int16())
	}
	if w.err != nil || n == -1 {
		return nil, true
	}
	return w.take(n), false
}

// bytes are nullable bytes.
func (w *walker) bytes() (b []byte, null bool) {
	var n int
	if w.flexible {
		n = w.compact()
	} else {
		n = int(w.int32())
	}
	if w.err != nil || n == -1 {
		return nil, true
	}
	return w.take(n), false
}

// array is the number of elements that follow, each of at least least bytes.
func (w *walker) array(least int) int {
	var n int
	if w.flexible {
		n = w.compact()
	} else {
		n = int(w.int32())
	}
	if n > len(w.b)/least {
		w.fail("%d elements in %d bytes", n, len(w.b))
		return 0
	}
	return max(n, 0)
}

// tags skips a section of tagged fields, where there is one.
func (w *walker) tags() {
	if !w.flexible || w.err != nil {
		return
	}
	rest, err := skipTags(w.b)
	if err != nil {
		w.fail("%v", err)
		return
	}
	w.b = rest
}
