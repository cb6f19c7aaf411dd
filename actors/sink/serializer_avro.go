package sink

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/twmb/avro"
)

// flumeEventSchema is the schema of avro_event, as Flume's files carry it.
const flumeEventSchema = `{"type":"record","name":"Event","fields":[{"name":"headers","type":{"type":"map","values":"string"}},{"name":"body","type":"bytes"}]}`

// avroBlocks writes an Avro object container file: a header with schema and
// sync marker, then blocks of records, each with its count, its size and the
// marker behind it.
type avroBlocks struct {
	codec    string
	interval int // bytes after which a block ends

	sync    [16]byte
	block   []byte // of records, not yet written
	count   int64
	packed  bytes.Buffer
	deflate *flate.Writer
	zstd    *zstd.Encoder
}

func newAvroBlocks(settings topologies.Settings) (*avroBlocks, error) {
	b := &avroBlocks{codec: strings.ToLower(settings.String("compressionCodec")), interval: settings.Int("syncIntervalBytes")}
	var err error
	switch b.codec {
	case "null", "snappy":
	case "deflate":
		b.deflate, err = flate.NewWriter(nil, flate.DefaultCompression)
	case "zstandard":
		b.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	case "bzip2", "xz":
		err = fmt.Errorf("there is no writer for %s: use deflate, snappy or zstandard", b.codec)
	default:
		err = fmt.Errorf("unknown codec %q: null, deflate, snappy or zstandard", b.codec)
	}
	if err != nil {
		settings.Fail("compressionCodec", err.Error())
		return nil, settings.Err()
	}
	return b, settings.Err()
}

// begin writes the header of a new file.
func (b *avroBlocks) begin(dst []byte, schema string) []byte {
	b.forget()
	_, _ = rand.Read(b.sync[:]) // never fails
	dst = append(dst, "Obj\x01"...)
	dst = binary.AppendVarint(dst, 2)
	for _, s := range []string{"avro.codec", b.codec, "avro.schema", schema} {
		dst = binary.AppendVarint(dst, int64(len(s)))
		dst = append(dst, s...)
	}
	dst = append(dst, 0) // end of the map
	return append(dst, b.sync[:]...)
}

func (b *avroBlocks) forget() {
	if b.block, b.count = b.block[:0], 0; cap(b.block) > plainKept {
		b.block = nil
	}
	if b.packed.Cap() > plainKept {
		b.packed = bytes.Buffer{}
	}
}

// added counts a record that was put into block, and ends the block where it
// is due.
func (b *avroBlocks) added(dst []byte) []byte {
	b.count++
	if len(b.block) >= b.interval {
		dst = b.flush(dst)
	}
	return dst
}

func (b *avroBlocks) flush(dst []byte) []byte {
	if b.count == 0 {
		return dst
	}
	data := b.pack()
	dst = binary.AppendVarint(dst, b.count)
	dst = binary.AppendVarint(dst, int64(len(data)))
	dst = append(dst, data...)
	b.forget()
	return append(dst, b.sync[:]...)
}

// pack is the block, compressed. Writers into memory do not fail.
func (b *avroBlocks) pack() []byte {
	b.packed.Reset()
	switch b.codec {
	case "deflate":
		b.deflate.Reset(&b.packed)
		_, _ = b.deflate.Write(b.block)
		_ = b.deflate.Close()
		return b.packed.Bytes()
	case "zstandard":
		return b.zstd.EncodeAll(b.block, b.packed.AvailableBuffer())
	case "snappy":
		b.packed.Grow(snappy.MaxEncodedLen(len(b.block)) + 4)
		out := b.packed.AvailableBuffer()
		out = snappy.Encode(out[:cap(out)-4], b.block)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(b.block))
	}
	return b.block
}

// avroEvents is avro_event: headers and body of every record.
type avroEvents struct{ blocks *avroBlocks }

func (a *avroEvents) Begin(dst []byte) []byte { return a.blocks.begin(dst, flumeEventSchema) }
func (a *avroEvents) Flush(dst []byte) []byte { return a.blocks.flush(dst) }
func (a *avroEvents) End(dst []byte) []byte   { return a.blocks.flush(dst) }

func (a *avroEvents) Append(dst []byte, s *record.Slab, i int) ([]byte, error) {
	b, n := a.blocks, 0
	for range s.Headers(i) {
		n++
	}
	if n > 0 {
		b.block = binary.AppendVarint(b.block, int64(n))
		for k, v := range s.Headers(i) {
			b.block = binary.AppendVarint(b.block, int64(len(k)))
			b.block = append(b.block, k...)
			b.block = binary.AppendVarint(b.block, int64(len(v)))
			b.block = append(b.block, v...)
		}
	}
	b.block = append(b.block, 0) // end of the map
	b.block = binary.AppendVarint(b.block, int64(len(s.Body(i))))
	b.block = append(b.block, s.Body(i)...)
	return b.added(dst), nil
}

// The headers that tell the schema of a body that is Avro already.
const (
	schemaURLHeader     = "flume.avro.schema.url"
	schemaLiteralHeader = "flume.avro.schema.literal"
)

// schemaBytesMax bounds what is read from a schema's URL.
const schemaBytesMax = 1 << 20

// schemasMax bounds how many schemas are remembered.
const schemasMax = 1000

// avroBodies is AvroEventSerializer: bodies are Avro datums of a schema that
// the record's headers tell, and are written as they are. The header of the
// file comes with its first record.
type avroBodies struct {
	blocks    *avroBlocks
	schemaURL string            // for records that tell none
	schema    string            // of the file; "" before its first record
	known     map[string]string // schemas by URL, and literals that were checked
}

func newAvroBodies(blocks *avroBlocks, schemaURL string) *avroBodies {
	return &avroBodies{blocks: blocks, schemaURL: schemaURL, known: map[string]string{}}
}

func (a *avroBodies) Begin(dst []byte) []byte {
	a.schema = ""
	a.blocks.forget()
	return dst
}

func (a *avroBodies) Flush(dst []byte) []byte { return a.blocks.flush(dst) }
func (a *avroBodies) End(dst []byte) []byte   { return a.blocks.flush(dst) }

func (a *avroBodies) Append(dst []byte, s *record.Slab, i int) ([]byte, error) {
	schema, err := a.schemaOf(s, i)
	if err != nil {
		return dst, fmt.Errorf("schema of an Avro body: %w", err) // perhaps errNotNow
	}
	switch a.schema {
	case schema:
	case "":
		dst = a.blocks.begin(dst, schema)
		a.schema = schema
	default:
		return dst, errSchemaChanged
	}
	a.blocks.block = append(a.blocks.block, s.Body(i)...)
	return a.blocks.added(dst), nil
}

func (a *avroBodies) schemaOf(s *record.Slab, i int) (string, error) {
	if url, ok := s.Header(i, schemaURLHeader); ok {
		return a.lookup(url, loadSchema)
	}
	if literal, ok := s.Header(i, schemaLiteralHeader); ok {
		return a.lookup(literal, func(text string) (string, error) { return text, nil })
	}
	if a.schemaURL != "" {
		return a.lookup([]byte(a.schemaURL), a.loadOwn)
	}
	return "", fmt.Errorf("the record has neither a header %s nor %s, and there is no schemaURL", schemaURLHeader, schemaLiteralHeader)
}

// lookup is the schema that load finds for what, checked once.
func (a *avroBodies) lookup(what []byte, load func(string) (string, error)) (string, error) {
	if schema, ok := a.known[string(what)]; ok {
		return schema, nil
	}
	schema, err := load(string(what))
	if err != nil {
		return "", err
	}
	if _, err := avro.Parse(schema); err != nil {
		return "", err
	}
	if len(a.known) >= schemasMax {
		clear(a.known)
	}
	a.known[string(what)] = schema
	return schema, nil
}

// loadOwn reads the schema that the sink's settings name. One that is missing
// concerns all records, and somebody will put it there: they wait.
func (a *avroBodies) loadOwn(where string) (string, error) {
	schema, err := loadSchema(where)
	if err != nil && !errors.Is(err, errNotNow) {
		err = fmt.Errorf("%w: %w", errNotNow, err)
	}
	return schema, err
}

// loadSchema reads a schema from a file: a path or a file: URL. Where the name
// is to blame its record cannot be written; else it may be later (errNotNow).
func loadSchema(where string) (string, error) {
	path := where
	if u, err := url.Parse(where); err == nil && u.Scheme != "" {
		if u.Scheme != "file" {
			return "", fmt.Errorf("%s: only files are read; copy the schema to a file and name it with file:", where)
		}
		path = u.Path
	}
	// Before it is opened: a named pipe would never answer.
	if info, err := os.Stat(path); err != nil {
		return "", notNowUnlessBad(err)
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", notNowUnlessBad(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, schemaBytesMax+1))
	if err != nil {
		return "", notNowUnlessBad(err)
	}
	if len(text) > schemaBytesMax {
		return "", fmt.Errorf("%s has more than %d bytes", path, schemaBytesMax)
	}
	return string(text), nil
}

// notNowUnlessBad tells a name that no file has, or none that may be read, from
// a disk or a network that fails: a record's header can hold anything, and one
// must not hold up all others.
func notNowUnlessBad(err error) error {
	for _, bad := range []error{fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid, syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.ELOOP} {
		if errors.Is(err, bad) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errNotNow, err)
}
