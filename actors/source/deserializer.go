package source

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// deserializer cuts one file into records. It is made anew for each file.
type deserializer interface {
	// seek makes pos, a position that place answered earlier, the next to be
	// read.
	seek(pos uint64) error
	// seekFlume does so for an offset that Flume wrote.
	seekFlume(offset int64) error
	// next reads a batch of at most max records that does not go beyond limit;
	// nil at the end of the file. On an error everything before it has been
	// answered, and place is where it happened.
	next(max int, limit uint64) (*record.Slab, error)
	// place is where the next record begins, and the offset from which Flume
	// would go on.
	place() (pos uint64, flume int64)
	// atEnd says that there are no more records.
	atEnd() bool
}

// spooledFile is a file as a deserializer sees it.
type spooledFile struct {
	r      io.ReaderAt
	size   int64
	compat bool
	// truncated is called with the place of a line that was cut.
	truncated func(pos int64)
}

// deserializing is how a spooldir source reads its files.
type deserializing struct {
	charset *interceptor.Charset
	policy  string // FAIL, REPLACE or IGNORE
	make    func(d *deserializing, f spooledFile) (deserializer, error)

	lineMax int // UTF-16 code units, as Java counts
	output  *interceptor.Charset
	blobMax int64
	literal bool // the whole schema in a header, not its hash
}

// deserializers lists them by the name of their kind.
var deserializers = map[string]func(d *deserializing, f spooledFile) (deserializer, error){
	"line": newLineDeserializer,
	"avro": newAvroDeserializer,
	"blob": newBlobDeserializer,
}

func newDeserializing(settings topologies.Settings) (*deserializing, error) {
	d := &deserializing{policy: strings.ToUpper(settings.String("decodeErrorPolicy"))}
	switch d.policy {
	case "FAIL", "REPLACE", "IGNORE":
	default:
		settings.Fail("decodeErrorPolicy", fmt.Sprintf("%q is none of FAIL, REPLACE, IGNORE", d.policy))
	}
	var err error
	if d.charset, err = interceptor.CharsetNamed(settings.String("inputCharset")); err != nil {
		settings.Fail("inputCharset", err.Error())
	}
	typ := settings.String("deserializer")
	kind, ok := kinds.Lookup(kinds.Deserializer, typ)
	if !ok || deserializers[kind.Name] == nil {
		settings.Fail("deserializer", fmt.Sprintf("there is no deserializer %q", typ))
		return nil, settings.Err()
	}
	d.make = deserializers[kind.Name]
	own := settings.Sub("deserializer.", kind)
	switch kind.Name {
	case "line":
		d.lineMax = own.Int("maxLineLength")
		if !own.Has("maxLineLength") && settings.Has("bufferMaxLineLength") {
			d.lineMax = settings.Int("bufferMaxLineLength")
		}
		if d.lineMax < 1 {
			own.Fail("maxLineLength", "a line has at least one character")
		}
		if d.output, err = interceptor.CharsetNamed(own.String("outputCharset")); err != nil {
			own.Fail("outputCharset", err.Error())
		}
	case "avro":
		d.literal = strings.EqualFold(own.String("schemaType"), "LITERAL")
	case "blob":
		d.blobMax = own.Int64("maxBlobLength")
		if d.blobMax < 1 || d.blobMax > blobMost {
			own.Fail("maxBlobLength", fmt.Sprintf("it has to lie between 1 and %d", blobMost))
		}
	}
	return d, settings.Err()
}

// blobMost bounds a record that is a whole file: positions in a slab are 32 bit.
const blobMost = 2 << 30

// blob makes records of whole files, or of pieces of the largest size allowed.
type blob struct {
	spooledFile
	max int64
	pos int64
}

func newBlobDeserializer(d *deserializing, f spooledFile) (deserializer, error) {
	return &blob{spooledFile: f, max: d.blobMax}, nil
}

func (b *blob) seek(pos uint64) error {
	b.pos = min(int64(pos), b.size)
	return nil
}

func (b *blob) seekFlume(offset int64) error { return b.seek(uint64(offset)) }
func (b *blob) place() (uint64, int64)       { return uint64(b.pos), b.pos }
func (b *blob) atEnd() bool                  { return b.pos >= b.size }

// next reads one record whatever the batch size is: a blob may be large.
func (b *blob) next(_ int, limit uint64) (*record.Slab, error) {
	n := min(b.max, int64(min(uint64(b.size), limit))-b.pos)
	if n <= 0 {
		return nil, nil
	}
	batch := record.NewSlab(int(n) + headroom)
	got, err := b.r.ReadAt(batch.Tail(int(n))[:n], b.pos)
	if int64(got) < n {
		batch.Release()
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, b.pos, shortRead(err))
	}
	batch.Advance(got)
	batch.Mark(0, got)
	b.pos += n
	return batch, nil
}

// shortRead is why a read brought less than the file's length promised.
func shortRead(err error) error {
	if err == nil || err == io.EOF {
		return errChanged
	}
	return err
}
