package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is how the records of a batch are compressed, by Kafka's numbers.
type Codec uint8

// The codecs of RecordBatch v2.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String is the codec's name in Kafka's settings.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec reads a name as String writes it; "" is none.
func ParseCodec(name string) (Codec, error) {
	if name == "" {
		return None, nil
	}
	for c := None; c <= Zstd; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return None, fmt.Errorf("unknown compression %q: none, gzip, snappy, lz4 or zstd", name)
}

// Limits bound what decompressing one batch may make of it, so that a few bytes
// of a stranger do not fill the memory.
type Limits struct {
	Bytes int // at most so many bytes
	Ratio int // and at most so many times the compressed size,
	Floor int // though Floor bytes are always allowed
}

// DefaultLimits are 64 MiB and 100 times the compressed size, but 1 MiB always.
var DefaultLimits = Limits{Bytes: 64 << 20, Ratio: 100, Floor: 1 << 20}

func (l Limits) outputMax(compressed int) int {
	return min(l.Bytes, max(l.Floor, l.Ratio*compressed))
}

// zstdWindowMax bounds what a zstd frame may ask for before it has delivered a
// byte. It is what RFC 8878 wants every decoder to accept.
const zstdWindowMax = 8 << 20

// Each codec's writers and readers are kept for re-use: they hold tables of
// some hundred KiB.
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Writers  = sync.Pool{New: func() any {
		w := lz4.NewWriter(nil)
		// One block size and no content checksum, as Kafka's clients write; one
		// goroutine, the caller's.
		_ = w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
		return w
	}}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdWriters = sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // the options are constant
		}
		return w
	}}
	zstdReaders = sync.Pool{New: func() any {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowMax))
		if err != nil {
			panic(err) // the options are constant
		}
		return r
	}}
)

// sliceWriter appends what is written to b.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// compress appends src to dst, compressed.
func (c Codec) compress(dst, src []byte) ([]byte, error) {
	switch c {
	case Snappy:
		return xerialEncode(dst, src), nil
	case Zstd:
		w := zstdWriters.Get().(*zstd.Encoder)
		defer zstdWriters.Put(w)
		return w.EncodeAll(src, dst), nil
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		return throughWriter(w, dst, src)
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		return throughWriter(w, dst, src)
	}
	return nil, fmt.Errorf("unknown compression %d", c)
}

func throughWriter(w interface {
	io.WriteCloser
	Reset(io.Writer)
}, dst, src []byte) ([]byte, error) {
	out := &sliceWriter{b: dst}
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	w.Reset(nil)
	return out.b, nil
}

// decompress returns src, decompressed, in a buffer of GetBuffer.
func (c Codec) decompress(src []byte, l Limits) ([]byte, error) {
	limit := l.outputMax(len(src))
	dst, err := c.expand(src, limit)
	switch {
	case err == nil:
		return dst, nil
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%s: %w: %d compressed bytes make more than the %d allowed", c, ErrTooLarge, len(src), limit)
	}
	return nil, corrupt("%s: %v", c, err)
}

func (c Codec) expand(src []byte, limit int) ([]byte, error) {
	switch c {
	case Snappy:
		return xerialDecode(src, limit)
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readAll(r, 4*len(src), limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readAll(r, 4*len(src), limit)
	case Zstd:
		r := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readAll(r, 4*len(src), limit)
	}
	return nil, fmt.Errorf("unknown compression %d", c)
}

// readAll reads r to its end into a buffer that begins with room for guess
// bytes and never takes more than limit.
func readAll(r io.Reader, guess, limit int) ([]byte, error) {
	dst := GetBuffer(min(guess, limit) + 1)
	for {
		if len(dst) == cap(dst) {
			bigger := append(GetBuffer(2*cap(dst)), dst...)
			PutBuffer(dst)
			dst = bigger
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			err = ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err == nil:
			continue
		}
		PutBuffer(dst)
		return nil, err
	}
}

// Kafka's Java clients wrap snappy blocks in the stream format of xerial's
// library: this magic, version 1, compatible with 1, then blocks with their
// length before them. Others write a single bare block.
const xerialHeader = "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"

const (
	xerialMagic = 8        // bytes of the header that are the magic
	xerialBlock = 32 << 10 // of input
)

func xerialEncode(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		need := s2.MaxEncodedLen(len(block))
		if cap(dst)-len(dst) < need {
			dst = append(dst, make([]byte, need)...)[:len(dst)]
		}
		n := len(s2.EncodeSnappy(dst[len(dst):len(dst)+need], block))
		dst = dst[:len(dst)+n]
		dst[at], dst[at+1], dst[at+2], dst[at+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	}
	return dst
}

func xerialDecode(src []byte, limit int) ([]byte, error) {
	if len(src) < len(xerialHeader) || string(src[:xerialMagic]) != xerialHeader[:xerialMagic] {
		return snappyBlock(GetBuffer(0), src, limit)
	}
	dst, rest, err := GetBuffer(min(4*len(src), limit)), src[len(xerialHeader):], error(nil)
	for len(rest) > 0 {
		if len(rest) < 4 {
			PutBuffer(dst)
			return nil, fmt.Errorf("block length cut off at byte %d", len(src)-len(rest))
		}
		n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		if n > len(rest)-4 {
			PutBuffer(dst)
			return nil, fmt.Errorf("block of %d bytes at byte %d, %d are left", n, len(src)-len(rest), len(rest)-4)
		}
		if dst, err = snappyBlock(dst, rest[4:4+n], limit); err != nil {
			return nil, err
		}
		rest = rest[4+n:]
	}
	return dst, nil
}

// snappyBlock appends one block to dst, which on an error it gives back.
func snappyBlock(dst, block []byte, limit int) ([]byte, error) {
	size, err := snappy.DecodedLen(block)
	if err == nil && size > limit-len(dst) {
		err = ErrTooLarge
	}
	if err != nil {
		PutBuffer(dst)
		return nil, err
	}
	if cap(dst)-len(dst) < size {
		bigger := append(GetBuffer(max(len(dst)+size, 2*cap(dst))), dst...)
		PutBuffer(dst)
		dst = bigger
	}
	if _, err := snappy.Decode(dst[len(dst):len(dst)+size], block); err != nil {
		PutBuffer(dst)
		return nil, err
	}
	return dst[:len(dst)+size], nil
}

// Payload returns the records of b for Iterate: a part of b where they are not
// compressed, else a buffer of GetBuffer that the caller may give back.
func (b Batch) Payload(l Limits) (records []byte, pooled bool, err error) {
	if b.Codec() == None {
		return b[HeaderSize:], false, nil
	}
	records, err = b.Codec().decompress(b[HeaderSize:], l)
	return records, err == nil, err
}
