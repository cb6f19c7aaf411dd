package kafka

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sluicehq/sluice/persistence/record"
)

// Every request begins with its length, then key, version, correlation id and
// the client's id.
const (
	lengthSize = 4
	prefixSize = 8 // key, version, correlation id
	inputSize  = 4 << 10
)

// errFrame is wrapped by every error about bytes that are no request: the
// connection is closed, there is nothing to answer to.
var errFrame = errors.New("bad request")

func badFrame(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFrame, fmt.Sprintf(format, args...))
}

// header is what stands before the body of a request.
type header struct {
	key, version int16
	correlation  int32
}

// readPrefix reads the length of the next frame and the fixed part of its
// header. left is how many bytes of the frame follow.
func readPrefix(in *bufio.Reader) (h header, left int, err error) {
	b, err := in.Peek(lengthSize)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return h, 0, err
	}
	size := int32(binary.BigEndian.Uint32(b))
	if size < prefixSize+2 || size > sizeMax {
		return h, 0, badFrame("a frame of %d bytes", size)
	}
	if b, err = in.Peek(lengthSize + prefixSize); err != nil {
		return h, 0, unexpected(err)
	}
	h.key = int16(binary.BigEndian.Uint16(b[4:]))
	h.version = int16(binary.BigEndian.Uint16(b[6:]))
	h.correlation = int32(binary.BigEndian.Uint32(b[8:]))
	_, err = in.Discard(lengthSize + prefixSize)
	return h, int(size) - prefixSize, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readBody reads n bytes into a buffer that grows with what has arrived: the
// length alone takes no memory beyond the first step. charge is called before
// every piece of memory.
func readBody(in io.Reader, n, step int, pooled bool, charge func(int64) error) ([]byte, error) {
	get, put := getPlain, putPlain
	if pooled {
		get, put = record.GetBuffer, record.PutBuffer
	}
	var buf []byte
	for size := min(n, max(step, stepMin)); ; size = min(n, 4*size) {
		if err := charge(int64(size - len(buf))); err != nil {
			put(buf)
			return nil, err
		}
		bigger := append(get(size), buf...)
		put(buf)
		buf = bigger
		got, err := io.ReadFull(in, buf[len(buf):size])
		buf = buf[:len(buf)+got]
		if err != nil {
			put(buf)
			return nil, unexpected(err)
		}
		if len(buf) == n {
			return buf, nil
		}
	}
}

func getPlain(n int) []byte { return make([]byte, 0, n) }
func putPlain([]byte)       {}

// clientID takes the client's id, an old nullable string in every version, off
// the front of b.
func clientID(b []byte) (id, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, badFrame("the client id is cut off")
	}
	n := int(int16(binary.BigEndian.Uint16(b)))
	b = b[2:]
	switch {
	case n == -1:
		return nil, b, nil
	case n < 0 || n > len(b):
		return nil, nil, badFrame("a client id of %d bytes, %d are left", n, len(b))
	}
	return b[:n], b[n:], nil
}

// skipTags takes a section of tagged fields off the front of b.
func skipTags(b []byte) ([]byte, error) {
	count, b, err := uvarint(b)
	if err != nil {
		return nil, err
	}
	for ; count > 0; count-- {
		var size uint32
		if _, b, err = uvarint(b); err != nil {
			return nil, err
		}
		if size, b, err = uvarint(b); err != nil {
			return nil, err
		}
		if uint64(size) > uint64(len(b)) {
			return nil, badFrame("a tagged field of %d bytes, %d are left", size, len(b))
		}
		b = b[size:]
	}
	return b, nil
}

// uvarint takes an unsigned varint of at most 32 bits off the front of b.
func uvarint(b []byte) (uint32, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		return 0, nil, badFrame("a varint that does not end")
	}
	return uint32(v), b[n:], nil
}
