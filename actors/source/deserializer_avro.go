package source

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/sluicehq/sluice/persistence/record"
)

const (
	avroHashHeader    = "flume.avro.schema.hash"
	avroLiteralHeader = "flume.avro.schema.literal"
	syncSize          = 16
	// avroBlockMax bounds a block, compressed or not.
	avroBlockMax = 64 << 20
	// avroMetaMax bounds the header of a file.
	avroMetaMax = 16 << 20
)

// avroRecords makes a record of each datum of an Avro container file; its body
// is the datum as it was encoded. Its position counts datums.
type avroRecords struct {
	spooledFile
	schema *avro.Schema
	header string // the name of the header that tells the schema
	value  []byte
	codec  ocf.BoundedDecompressor
	marker [syncSize]byte
	first  int64 // where the first block begins

	pos   uint64 // datums before the next one
	block avroBlock
	data  []byte // of the block, from the next datum on
	left  int64  // datums in it
}

// avroBlock is a block's place in its file.
type avroBlock struct {
	at, next int64 // where it and its successor begin
	count    int64
	from, to int64 // its bytes
}

func newAvroDeserializer(d *deserializing, f spooledFile) (deserializer, error) {
	a := &avroRecords{spooledFile: f, header: avroHashHeader}
	meta, err := a.readHeader()
	if err != nil {
		return nil, fmt.Errorf("Avro container: %w", err)
	}
	if a.schema, err = avro.Parse(string(meta["avro.schema"]), avro.WithLaxNames(nil)); err != nil {
		return nil, fmt.Errorf("Avro container: its schema: %w", err)
	}
	if a.codec, err = avroCodec(string(meta["avro.codec"])); err != nil {
		return nil, fmt.Errorf("Avro container: %w", err)
	}
	if d.literal {
		a.header, a.value = avroLiteralHeader, meta["avro.schema"]
		return a, nil
	}
	// Flume writes the hash with its lowest byte first.
	sum := a.schema.Fingerprint(avro.NewRabin())
	slices.Reverse(sum)
	a.value = hex.AppendEncode(nil, sum)
	return a, nil
}

func avroCodec(name string) (ocf.BoundedDecompressor, error) {
	var c ocf.Codec
	switch name {
	case "", "null":
		return nil, nil
	case "deflate":
		c = ocf.DeflateCodec(-1)
	case "snappy":
		c = ocf.SnappyCodec()
	case "zstandard":
		var err error
		if c, err = ocf.ZstdCodec(nil, nil); err != nil {
			return nil, err
		}
	}
	if b, ok := c.(ocf.BoundedDecompressor); ok {
		return b, nil
	}
	return nil, fmt.Errorf("its codec %q is not supported", name)
}

// readHeader reads up to the first block.
func (a *avroRecords) readHeader() (map[string][]byte, error) {
	r := &countingReader{r: io.NewSectionReader(a.r, 0, min(a.size, avroMetaMax))}
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil || magic != [4]byte{'O', 'b', 'j', 1} {
		return nil, errors.New("it does not begin as one")
	}
	meta := map[string][]byte{}
	for {
		n, err := binary.ReadVarint(r)
		if err != nil {
			return nil, fmt.Errorf("its header: %w", err)
		}
		if n == 0 {
			break
		}
		if n < 0 { // a block that tells its size
			n = -n
			if _, err := binary.ReadVarint(r); err != nil {
				return nil, fmt.Errorf("its header: %w", err)
			}
		}
		for ; n > 0; n-- {
			key, err := r.bytes()
			if err != nil {
				return nil, fmt.Errorf("its header: %w", err)
			}
			if meta[string(key)], err = r.bytes(); err != nil {
				return nil, fmt.Errorf("its header: %w", err)
			}
		}
	}
	if _, err := io.ReadFull(r, a.marker[:]); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	a.first = r.n
	a.block.next = a.first
	return meta, nil
}

// countingReader reads a header and knows how far it is.
type countingReader struct {
	r   *io.SectionReader
	n   int64
	one [1]byte
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	_, err := io.ReadFull(c, c.one[:])
	return c.one[0], err
}

// bytes reads a length and so many bytes, never more than there are.
func (c *countingReader) bytes() ([]byte, error) {
	n, err := binary.ReadVarint(c)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > c.r.Size()-c.n {
		return nil, fmt.Errorf("a length of %d at %d", n, c.n)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c, b)
	return b, err
}

// locate reads where the block at a place lies; io.EOF at the end of the file.
func (a *avroRecords) locate(at int64) (b avroBlock, err error) {
	if at >= a.size {
		return b, io.EOF
	}
	r := &countingReader{r: io.NewSectionReader(a.r, at, min(a.size-at, 2*binary.MaxVarintLen64))}
	count, err := binary.ReadVarint(r)
	if err != nil {
		return b, fmt.Errorf("block at %d: %w", at, io.ErrUnexpectedEOF)
	}
	size, err := binary.ReadVarint(r)
	if err != nil {
		return b, fmt.Errorf("block at %d: %w", at, io.ErrUnexpectedEOF)
	}
	b = avroBlock{at: at, count: count, from: at + r.n}
	if count < 0 || size < 0 || size > avroBlockMax || b.from+size+syncSize > a.size {
		return b, fmt.Errorf("block at %d: %d records in %d bytes do not fit", at, count, size)
	}
	b.to = b.from + size
	b.next = b.to + syncSize
	var marker [syncSize]byte
	if _, err := a.r.ReadAt(marker[:], b.to); err != nil && err != io.EOF {
		return b, err
	}
	if marker != a.marker {
		return b, fmt.Errorf("block at %d: no marker behind it", at)
	}
	return b, nil
}

// load makes the block at a place the current one.
func (a *avroRecords) load(at int64) error {
	b, err := a.locate(at)
	if err != nil {
		return err
	}
	data := make([]byte, b.to-b.from)
	if n, err := a.r.ReadAt(data, b.from); n < len(data) {
		return fmt.Errorf("block at %d: %w", at, shortRead(err))
	}
	if a.codec != nil {
		if data, err = a.codec.DecompressBounded(data, avroBlockMax); err != nil {
			return fmt.Errorf("block at %d: %w", at, err)
		}
	}
	// Datums of no bytes at all cannot be told from a lie in the count.
	if b.count > int64(len(data))+1<<16 {
		return fmt.Errorf("block at %d: %d records in %d bytes", at, b.count, len(data))
	}
	a.block, a.data, a.left = b, data, b.count
	return nil
}

// take answers the next datum's bytes.
func (a *avroRecords) take() ([]byte, error) {
	for a.left == 0 {
		if err := a.load(a.block.next); err != nil {
			return nil, err
		}
	}
	var skip struct{} // a record's fields are passed over; anything else needs a value
	rest, err := a.schema.Decode(a.data, &skip)
	if err != nil {
		var value any
		if rest, err = a.schema.Decode(a.data, &value); err != nil {
			return nil, fmt.Errorf("record %d, in the block at %d: %w", a.pos, a.block.at, err)
		}
	}
	datum := a.data[:len(a.data)-len(rest)]
	a.data = rest
	a.left--
	a.pos++
	return datum, nil
}

func (a *avroRecords) seek(pos uint64) error {
	a.pos, a.left, a.block = 0, 0, avroBlock{next: a.first}
	for {
		b, err := a.locate(a.block.next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if a.pos+uint64(b.count) > pos {
			break
		}
		a.pos += uint64(b.count)
		a.block = b
	}
	for a.pos < pos {
		if _, err := a.take(); err != nil {
			return err
		}
	}
	return nil
}

// seekFlume goes on behind the first marker at or after offset, as Flume does.
func (a *avroRecords) seekFlume(offset int64) error {
	a.pos, a.left, a.block = 0, 0, avroBlock{next: a.first}
	for a.block.next-syncSize < offset {
		b, err := a.locate(a.block.next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.pos += uint64(b.count)
		a.block = b
	}
	return nil
}

func (a *avroRecords) place() (uint64, int64) {
	if a.left == 0 {
		return a.pos, max(a.block.next-syncSize, 0)
	}
	return a.pos, max(a.block.at-syncSize, 0)
}

func (a *avroRecords) atEnd() bool {
	if a.left > 0 {
		return false
	}
	for next := a.block.next; ; {
		b, err := a.locate(next)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if b.count > 0 {
			return false
		}
		next = b.next
	}
}

func (a *avroRecords) next(batchSize int, limit uint64) (*record.Slab, error) {
	var batch *record.Slab
	for n := 0; n < batchSize && a.pos < limit; n++ {
		if batch != nil && len(batch.Buffer()) >= blockMax {
			break
		}
		datum, err := a.take()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if batch != nil {
				break // it comes again when it is the first
			}
			return nil, err
		}
		if batch == nil {
			batch = record.NewSlab(max(headroom, min(blockMax, len(datum)*batchSize)))
		}
		batch.Append(datum)
	}
	if batch != nil {
		batch.SetCommon(a.header, bytes.TrimSpace(a.value))
	}
	return batch, nil
}
