package sink

import (
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// Serializer turns records into the bytes of a file. It serves one file at a
// time; Begin is called for each. All methods append to dst and return it.
type Serializer interface {
	// Begin is what stands at the start of a new file. What an earlier file
	// left behind is forgotten.
	Begin(dst []byte) []byte
	// Append writes one record. After an error neither dst nor the serializer
	// has anything of it.
	Append(dst []byte, s *record.Slab, i int) ([]byte, error)
	// Flush writes what is needed so that everything up to here can be read: a
	// file may be cut at this place. It is called before each commit.
	Flush(dst []byte) []byte
	// End is what stands at the end of a file, Flush included.
	End(dst []byte) []byte
}

// errSchemaChanged is wrapped by the error of Append for a record that cannot
// stand in the same file as those before. The sink begins a new file and
// appends it there.
var errSchemaChanged = errors.New("the record has another schema than its file")

// errNotNow is wrapped by the error of Append for a record that could be
// written if the world were better: its batch comes again.
var errNotNow = errors.New("cannot be had now")

// newSerializer builds the serializer that typ names, as Flume's alias or
// class. settings are those of "serializer.".
func newSerializer(typ string, settings topologies.Settings) (Serializer, error) {
	kind, ok := kinds.Lookup(kinds.Serializer, typ)
	if !ok {
		return nil, fmt.Errorf("%s: unknown serializer %q: text, header_and_text, avro_event, or org.apache.flume.sink.hdfs.AvroEventSerializer$Builder", settings.Name(), typ)
	}
	if settings.Kind() != kind {
		settings = settings.Sub("", kind) // for the kind's defaults
	}
	var made Serializer
	switch kind.Name {
	case "text":
		made = &textSerializer{newline: settings.Bool("appendNewline")}
	case "header_and_text":
		made = &textSerializer{newline: settings.Bool("appendNewline"), headers: true}
	case "avro_event":
		blocks, err := newAvroBlocks(settings)
		if err != nil {
			return nil, err
		}
		made = &avroEvents{blocks: blocks}
	case "AvroEventSerializer":
		blocks, err := newAvroBlocks(settings)
		if err != nil {
			return nil, err
		}
		made = newAvroBodies(blocks, settings.String("schemaURL"))
	default:
		return nil, fmt.Errorf("%s: serializer %s is not there yet", settings.Name(), kind.Name)
	}
	return made, settings.Err()
}

// textSerializer writes bodies, with their headers before them where asked, in
// the way Java prints a map.
type textSerializer struct {
	newline bool
	headers bool
}

func (t *textSerializer) Begin(dst []byte) []byte { return dst }
func (t *textSerializer) Flush(dst []byte) []byte { return dst }
func (t *textSerializer) End(dst []byte) []byte   { return dst }

func (t *textSerializer) Append(dst []byte, s *record.Slab, i int) ([]byte, error) {
	if t.headers {
		dst = appendJavaMap(dst, s, i)
		dst = append(dst, ' ')
	}
	dst = append(dst, s.Body(i)...)
	if t.newline {
		dst = append(dst, '\n')
	}
	return dst, nil
}

// appendJavaMap writes the headers of a record as {k=v, k2=v2}.
func appendJavaMap(dst []byte, s *record.Slab, i int) []byte {
	dst = append(dst, '{')
	first := true
	for k, v := range s.Headers(i) {
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(dst, k...)
		dst = append(dst, '=')
		dst = append(dst, v...)
	}
	return append(dst, '}')
}
