package sink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// hadoopCodec is a way of Hadoop to compress files. What encode appends is
// whole in itself, and several in a row are one file to Hadoop's readers.
type hadoopCodec struct {
	class     string // simple name, in org.apache.hadoop.io.compress
	extension string
	encode    func(dst, src []byte) []byte // nil: there is no writer
	alias     string
}

const hadoopCodecs = "org.apache.hadoop.io.compress."

var codecTable = []hadoopCodec{
	{class: "GzipCodec", extension: ".gz", encode: throughPool(&gzipPool)},
	{class: "DefaultCodec", extension: ".deflate", encode: throughPool(&zlibPool)},
	{class: "DeflateCodec", extension: ".deflate", encode: throughPool(&zlibPool)},
	{class: "SnappyCodec", extension: ".snappy", encode: hadoopBlocks(snappyChunk)},
	{class: "Lz4Codec", extension: ".lz4", encode: hadoopBlocks(lz4Chunk)},
	{class: "ZStandardCodec", extension: ".zst", encode: zstdEncode, alias: "zstd"},
	{class: "BZip2Codec", extension: ".bz2"},
	{class: "LzoCodec", extension: ".lzo_deflate"},
	{class: "LzopCodec", extension: ".lzo"},
}

// fullClass is the codec's name in the header of a SequenceFile.
func (c *hadoopCodec) fullClass() string { return hadoopCodecs + c.class }

// lookupCodec finds the codec that name means, as Flume does: a class, its
// simple name, or that without "Codec".
func lookupCodec(name string) (*hadoopCodec, error) {
	simple := name[strings.LastIndexByte(name, '.')+1:]
	for i := range codecTable {
		c := &codecTable[i]
		if !strings.EqualFold(simple, c.class) && !strings.EqualFold(simple, strings.TrimSuffix(c.class, "Codec")) && !strings.EqualFold(simple, c.alias) {
			continue
		}
		if c.encode == nil {
			return nil, fmt.Errorf("there is no writer for %s: use gzip, snappy, deflate, lz4 or zstd", name)
		}
		return c, nil
	}
	return nil, fmt.Errorf("unknown codec %q: gzip, snappy, deflate, lz4 or zstd", name)
}

type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

var (
	gzipPool = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zlibPool = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}
	lz4Pool  = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	zstdPool = sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err) // the options are constant
		}
		return w
	}}
)

// throughPool compresses with a writer of pool. Writers into memory do not
// fail.
func throughPool(pool *sync.Pool) func(dst, src []byte) []byte {
	return func(dst, src []byte) []byte {
		w := pool.Get().(resetWriter)
		defer pool.Put(w)
		out := bytes.NewBuffer(dst)
		w.Reset(out)
		_, _ = w.Write(src)
		_ = w.Close()
		w.Reset(nil)
		return out.Bytes()
	}
}

func zstdEncode(dst, src []byte) []byte {
	w := zstdPool.Get().(*zstd.Encoder)
	defer zstdPool.Put(w)
	return w.EncodeAll(src, dst)
}

// hadoopBlock is how many bytes go into one block. Hadoop's readers have
// buffers of 256 KiB.
const hadoopBlock = 128 << 10

// hadoopBlocks frames compressed chunks as Hadoop's BlockCompressorStream does:
// blocks of the plain length, then chunks with their own lengths, here one.
func hadoopBlocks(chunk func(dst, src []byte) []byte) func(dst, src []byte) []byte {
	return func(dst, src []byte) []byte {
		for len(src) > 0 {
			block := src[:min(len(src), hadoopBlock)]
			src = src[len(block):]
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
			at := len(dst)
			dst = append(dst, 0, 0, 0, 0)
			dst = chunk(dst, block)
			binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		}
		return dst
	}
}

func snappyChunk(dst, src []byte) []byte {
	dst = growBy(dst, s2.MaxEncodedLen(len(src)))
	return dst[:len(dst)+len(s2.EncodeSnappy(dst[len(dst):cap(dst)], src))]
}

func lz4Chunk(dst, src []byte) []byte {
	dst = growBy(dst, lz4.CompressBlockBound(len(src)))
	c := lz4Pool.Get().(*lz4.Compressor)
	defer lz4Pool.Put(c)
	n, err := c.CompressBlock(src, dst[len(dst):cap(dst)])
	if err != nil {
		panic(err) // the room is bound to be enough
	}
	return dst[:len(dst)+n]
}

// growBy gives dst room for n more bytes.
func growBy(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(dst, make([]byte, n)...)[:len(dst)]
}
