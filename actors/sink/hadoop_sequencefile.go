package sink

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// sequenceFile writes Hadoop's SequenceFile, version 6: keys are the records'
// times as LongWritable, values their bodies as BytesWritable or Text. Without
// a codec each record stands for itself with a sync marker every now and then;
// with one, records are gathered into compressed blocks with a marker before
// each.
type sequenceFile struct {
	text  bool
	codec *hadoopCodec // nil: not compressed
	// odd counts records whose timestamp header is no number.
	odd func()

	sync     [16]byte
	unsynced int // bytes since the last marker

	// The block being gathered: the columns as Hadoop writes them.
	count                                  int
	keyLengths, keys, valueLengths, values []byte
}

const (
	sequenceFileVersion = "SEQ\x06"
	syncInterval        = 100 << 10 // bytes, Hadoop's
	sequenceBlock       = 1_000_000 // bytes, Hadoop's io.seqfile.compress.blocksize
	hadoopIO            = "org.apache.hadoop.io."
	longWritableSize    = 8
)

func (f *sequenceFile) Begin(dst []byte) []byte {
	_, _ = rand.Read(f.sync[:]) // never fails
	f.unsynced = 0
	f.forget()
	value := "BytesWritable"
	if f.text {
		value = "Text"
	}
	dst = append(dst, sequenceFileVersion...)
	dst = appendHadoopString(dst, hadoopIO+"LongWritable")
	dst = appendHadoopString(dst, hadoopIO+value)
	if f.codec == nil {
		dst = append(dst, 0, 0) // neither records nor blocks are compressed
	} else {
		dst = append(dst, 1, 1)
		dst = appendHadoopString(dst, f.codec.fullClass())
	}
	dst = append(dst, 0, 0, 0, 0) // no metadata
	return append(dst, f.sync[:]...)
}

func (f *sequenceFile) forget() {
	f.count = 0
	f.keyLengths, f.keys, f.valueLengths, f.values = f.keyLengths[:0], f.keys[:0], f.valueLengths[:0], f.values[:0]
	if cap(f.values) > plainKept {
		f.values = nil
	}
}

func (f *sequenceFile) Append(dst []byte, s *record.Slab, i int) ([]byte, error) {
	if f.codec == nil {
		return f.appendRecord(dst, s, i), nil
	}
	f.keyLengths = appendHadoopVint(f.keyLengths, longWritableSize)
	f.keys = binary.BigEndian.AppendUint64(f.keys, f.keyOf(s, i))
	before := len(f.values)
	f.values = f.appendValue(f.values, s.Body(i))
	f.valueLengths = appendHadoopVint(f.valueLengths, int64(len(f.values)-before))
	f.count++
	if len(f.keys)+len(f.values) >= sequenceBlock {
		dst = f.Flush(dst)
	}
	return dst, nil
}

func (f *sequenceFile) appendRecord(dst []byte, s *record.Slab, i int) []byte {
	begin := len(dst)
	if f.unsynced >= syncInterval {
		dst = f.appendSync(dst)
		f.unsynced = 0
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, longWritableSize)
	dst = binary.BigEndian.AppendUint64(dst, f.keyOf(s, i))
	dst = f.appendValue(dst, s.Body(i))
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-8))
	f.unsynced += len(dst) - begin
	return dst
}

func (f *sequenceFile) appendValue(dst, body []byte) []byte {
	if f.text {
		dst = appendHadoopVint(dst, int64(len(body)))
	} else {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	}
	return append(dst, body...)
}

// keyOf is the record's time in ms: its header, else now.
func (f *sequenceFile) keyOf(s *record.Slab, i int) uint64 {
	value, ok := s.Header(i, timestampHeader)
	if ok {
		if ms, ok := parseMillis(value); ok {
			return uint64(ms)
		}
		f.odd()
	}
	return uint64(time.Now().UnixMilli())
}

func (f *sequenceFile) appendSync(dst []byte) []byte {
	dst = append(dst, 0xff, 0xff, 0xff, 0xff)
	return append(dst, f.sync[:]...)
}

// Flush writes the block that is being gathered.
func (f *sequenceFile) Flush(dst []byte) []byte {
	if f.count == 0 {
		return dst
	}
	dst = f.appendSync(dst)
	dst = appendHadoopVint(dst, int64(f.count))
	for _, column := range [][]byte{f.keyLengths, f.keys, f.valueLengths, f.values} {
		packed := f.codec.encode(record.GetBuffer(len(column)), column)
		dst = appendHadoopVint(dst, int64(len(packed)))
		dst = append(dst, packed...)
		record.PutBuffer(packed)
	}
	f.forget()
	return dst
}

func (f *sequenceFile) End(dst []byte) []byte { return f.Flush(dst) }

// appendHadoopString writes a string as Hadoop's Text.
func appendHadoopString(dst []byte, s string) []byte {
	return append(appendHadoopVint(dst, int64(len(s))), s...)
}

// appendHadoopVint writes v as Hadoop's WritableUtils do: small numbers in one
// byte, others as a byte that tells sign and length, then the bytes.
func appendHadoopVint(dst []byte, v int64) []byte {
	if v >= -112 && v <= 127 {
		return append(dst, byte(v))
	}
	first := -112
	if v < 0 {
		v, first = ^v, -120
	}
	size := 0
	for rest := v; rest != 0; rest >>= 8 {
		size++
	}
	dst = append(dst, byte(first-size))
	for size--; size >= 0; size-- {
		dst = append(dst, byte(v>>(8*size)))
	}
	return dst
}

// compressedStream is CompressedStream: what another serializer writes,
// compressed, a whole member with each Flush.
type compressedStream struct {
	inner Serializer
	codec *hadoopCodec
	plain []byte
}

// plainKept is how many bytes one buffer of a serializer may keep between
// batches: there may be thousands of open files.
const plainKept = 256 << 10

func (c *compressedStream) Begin(dst []byte) []byte {
	c.plain = c.inner.Begin(c.plain[:0])
	return dst
}

func (c *compressedStream) Append(dst []byte, s *record.Slab, i int) ([]byte, error) {
	var err error
	c.plain, err = c.inner.Append(c.plain, s, i)
	return dst, err
}

func (c *compressedStream) Flush(dst []byte) []byte { return c.member(dst, c.inner.Flush(c.plain)) }
func (c *compressedStream) End(dst []byte) []byte   { return c.member(dst, c.inner.End(c.plain)) }

func (c *compressedStream) member(dst, plain []byte) []byte {
	if len(plain) > 0 {
		dst = c.codec.encode(dst, plain)
	}
	if c.plain = plain[:0]; cap(plain) > plainKept {
		c.plain = nil
	}
	return dst
}
