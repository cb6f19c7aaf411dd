package sink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
	"github.com/twmb/avro/ocf"
)

func serializerOf(t *testing.T, typ string, texts map[string]string) Serializer {
	t.Helper()
	made, err := newSerializer(typ, topologies.SettingsOf(kinds.Serializer, typ, texts))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// written is a whole file of the records of s, with a Flush after each third.
func written(t *testing.T, made Serializer, s *record.Slab) []byte {
	t.Helper()
	dst := made.Begin(nil)
	var err error
	for i := range s.Len() {
		if dst, err = made.Append(dst, s, i); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if i%3 == 2 {
			dst = made.Flush(dst)
		}
	}
	return made.End(dst)
}

func twoRecords() *record.Slab {
	s := record.NewSlab(0)
	s.Append([]byte("one"))
	s.Append([]byte("two"))
	s.SetCommon("h", []byte("x"))
	s.SetHeader(1, "n", []byte("2"))
	return s
}

func TestTextSerializersWriteWhatFlumeWrites(t *testing.T) {
	for _, c := range []struct{ typ, newline, want string }{
		{"TEXT", "", "one\ntwo\n"},
		{"text", "false", "onetwo"},
		{"org.apache.flume.serialization.BodyTextEventSerializer$Builder", "true", "one\ntwo\n"},
		{"header_and_text", "", "{h=x} one\n{h=x, n=2} two\n"},
		{"HEADER_AND_TEXT", "false", "{h=x} one{h=x, n=2} two"},
	} {
		texts := map[string]string{}
		if c.newline != "" {
			texts["appendNewline"] = c.newline
		}
		s := twoRecords()
		if got := string(written(t, serializerOf(t, c.typ, texts), s)); got != c.want {
			t.Errorf("%s, appendNewline %q: %q, want %q", c.typ, c.newline, got, c.want)
		}
		s.Release()
	}
}

func TestARecordWithoutHeadersIsAnEmptyMap(t *testing.T) {
	s := record.NewSlab(0)
	defer s.Release()
	s.Append([]byte("one"))
	if got := string(written(t, serializerOf(t, "header_and_text", nil), s)); got != "{} one\n" {
		t.Fatalf("%q", got)
	}
}

// The reader is twmb/avro's, not ours.
func readAvro(t *testing.T, file []byte) []any {
	t.Helper()
	r, err := ocf.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("open %d bytes as Avro: %v", len(file), err)
	}
	var all []any
	for {
		var v any
		if err := r.Decode(&v); err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("datum %d: %v", len(all), err)
			}
			return all
		}
		all = append(all, v)
	}
}

func TestAvroEventFilesCanBeReadWithEveryCodec(t *testing.T) {
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		s := record.NewSlab(0)
		var want []any
		for i := range 100 {
			body := []byte(fmt.Sprint("body ", i, strings.Repeat("x", i)))
			s.Append(body)
			headers := map[string]any{}
			if i%2 == 0 {
				s.SetHeader(i, "n", []byte(fmt.Sprint(i)))
				headers["n"] = fmt.Sprint(i)
			}
			want = append(want, map[string]any{"headers": headers, "body": body})
		}
		made := serializerOf(t, "avro_event", map[string]string{"compressionCodec": codec, "syncIntervalBytes": "200"})
		file := written(t, made, s)
		if got := readAvro(t, file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %v, want %v", codec, got, want)
		}
		// The same serializer begins another file.
		if got := readAvro(t, written(t, made, s)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the second file differs", codec)
		}
		s.Release()
	}
}

func TestAnAvroFileCutAfterAFlushIsWhole(t *testing.T) {
	s := twoRecords()
	defer s.Release()
	made := serializerOf(t, "avro_event", nil)
	file := made.Begin(nil)
	file, _ = made.Append(file, s, 0)
	file = made.Flush(file)
	cut := len(file)
	file, _ = made.Append(file, s, 1)
	file = made.End(file)
	if got := readAvro(t, file[:cut]); len(got) != 1 {
		t.Fatalf("cut after the flush: %d records, want 1", len(got))
	}
	if got := readAvro(t, file); len(got) != 2 {
		t.Fatalf("the whole: %d records, want 2", len(got))
	}
}

const userSchema = `{"type":"record","name":"User","fields":[{"name":"name","type":"string"}]}`

func users(names ...string) *record.Slab {
	s := record.NewSlab(0)
	for _, n := range names {
		s.Append(append(binary.AppendVarint(nil, int64(len(n))), n...))
	}
	return s
}

func TestAvroBodiesTakeTheirSchemaFromHeadersOrTheURL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user.avsc")
	if err := os.WriteFile(path, []byte(userSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	const class = "org.apache.flume.sink.hdfs.AvroEventSerializer$Builder"
	want := []any{map[string]any{"name": "ann"}, map[string]any{"name": "bob"}}
	for _, c := range []struct{ what, header, value, static string }{
		{"literal", schemaLiteralHeader, userSchema, ""},
		{"url", schemaURLHeader, "file://" + path, ""},
		{"path", schemaURLHeader, path, "file:///nowhere"},
		{"schemaURL", "other", "", path},
	} {
		s := users("ann", "bob")
		s.SetCommon(c.header, []byte(c.value))
		file := written(t, serializerOf(t, class, map[string]string{"schemaURL": c.static}), s)
		if got := readAvro(t, file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %v, want %v", c.what, got, want)
		}
		s.Release()
	}
}

func TestAvroBodiesOfAnotherSchemaAskForAnotherFile(t *testing.T) {
	s := users("ann", "bob")
	defer s.Release()
	s.SetHeader(0, schemaLiteralHeader, []byte(userSchema))
	s.SetHeader(1, schemaLiteralHeader, []byte(`"string"`))
	made := serializerOf(t, "AvroEventSerializer", nil)
	file, err := made.Append(made.Begin(nil), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := len(file)
	if file, err = made.Append(file, s, 1); !errors.Is(err, errSchemaChanged) || len(file) != before {
		t.Fatalf("append of another schema: %v and %d bytes, want %v and none", err, len(file)-before, errSchemaChanged)
	}
	if got := readAvro(t, made.End(file)); len(got) != 1 {
		t.Fatalf("%d records in the file, want 1", len(got))
	}
}

func TestABodyWhoseSchemaCannotBeHadIsRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct{ header, value, want string }{
		{"other", "", "neither a header flume.avro.schema.url nor"},
		{schemaURLHeader, "http://h/s.avsc", "only files are read"},
		{schemaURLHeader, "/dev/null", "no regular file"},
		{schemaURLHeader, "/nowhere/at/all", "no such file"},
		{schemaLiteralHeader, "{", "schema of an Avro body"},
	} {
		s := users("ann")
		s.SetCommon(c.header, []byte(c.value))
		made := serializerOf(t, "AvroEventSerializer", nil)
		dst, err := made.Append(made.Begin(nil), s, 0)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(made.End(dst)) != 0 {
			t.Errorf("%s=%s: %v and %d bytes, want …%s… and none", c.header, c.value, err, len(dst), c.want)
		}
		s.Release()
	}
}

func TestUnknownSerializersAndCodecsAreRefused(t *testing.T) {
	for _, c := range []struct{ typ, codec, want string }{
		{"com.example.Mine$Builder", "null", `unknown serializer "com.example.Mine$Builder"`},
		{"avro_event", "bzip2", "no writer for bzip2"},
		{"avro_event", "brotli", `unknown codec "brotli"`},
	} {
		_, err := newSerializer(c.typ, topologies.SettingsOf(kinds.Serializer, c.typ, map[string]string{"compressionCodec": c.codec}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v, want …%s…", c.typ, c.codec, err, c.want)
		}
	}
}

func TestSerializersAllocateNothingPerRecord(t *testing.T) {
	s := record.NewSlab(256 << 10)
	defer s.Release()
	for i := range 1000 {
		s.Append(bytes.Repeat([]byte{'l'}, 207))
		s.SetHeader(i, "n", []byte("17"))
	}
	for _, typ := range []string{"text", "header_and_text", "avro_event"} {
		made := serializerOf(t, typ, nil)
		dst := make([]byte, 0, 1<<20)
		if n := testing.AllocsPerRun(5, func() {
			out := made.Begin(dst)
			for i := range s.Len() {
				out, _ = made.Append(out, s, i)
			}
			made.End(out)
		}); n > 10 {
			t.Errorf("%s: %v objects for 1000 records", typ, n)
		}
	}
}

func BenchmarkSerialize(b *testing.B) {
	s := record.NewSlab(256 << 10)
	defer s.Release()
	for i := range 1000 {
		s.Append(bytes.Repeat([]byte{'l'}, 207))
		s.SetHeader(i, "n", []byte("17"))
	}
	for _, typ := range []string{"text", "header_and_text", "avro_event"} {
		b.Run(typ, func(b *testing.B) {
			made, err := newSerializer(typ, topologies.SettingsOf(kinds.Serializer, typ, nil))
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 1<<20)
			b.SetBytes(1000 * 207)
			b.ReportAllocs()
			for b.Loop() {
				out := made.Begin(dst)
				for i := range s.Len() {
					out, _ = made.Append(out, s, i)
				}
				made.End(out)
			}
		})
	}
}
