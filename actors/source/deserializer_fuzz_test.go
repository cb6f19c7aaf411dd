package source

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/actors/source/interceptor"
)

// readToEnd reads a file from pos to its end, or to the first error.
func readToEnd(d deserializer, batchSize int, limits bounds) (bodies []string, places []uint64, err error) {
	for !d.atEnd() {
		pos, _ := d.place()
		batch, err := d.next(batchSize, limits.limit(pos, ^uint64(0)))
		if err != nil || batch == nil {
			return bodies, places, err
		}
		for i := range batch.Len() {
			bodies = append(bodies, string(batch.Body(i)))
		}
		batch.Release()
		pos, _ = d.place()
		places = append(places, pos)
	}
	return bodies, places, nil
}

// Any bytes as an Avro container: an error or records, in bounded time and
// memory; and from each place on the rest comes again.
func FuzzAvroContainer(f *testing.F) {
	for _, schema := range []string{`"null"`, `"string"`, `{"type":"array","items":"null"}`, flumeMetaSchema,
		`{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}`} {
		var file bytes.Buffer
		w, err := ocf.NewWriter(&file, avro.MustParse(schema), ocf.WithBlockCount(2))
		if err != nil {
			f.Fatal(err)
		}
		for range 3 {
			switch schema {
			case `"string"`:
				w.Encode("text")
			case `"null"`:
				w.Encode(nil)
			case flumeMetaSchema:
				w.Encode(map[string]any{"offset": int64(7)})
			}
		}
		w.Close()
		f.Add(file.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		parseFlumeMeta(text)
		file := spooledFile{r: bytes.NewReader(text), size: int64(len(text))}
		d, err := newAvroDeserializer(&deserializing{}, file)
		if err != nil {
			return
		}
		all, places, err := readToEnd(d, 3, nil)
		if err != nil || len(all) > 1000 {
			return
		}
		for i, pos := range places {
			again, _ := newAvroDeserializer(&deserializing{}, file)
			if err := again.seek(pos); err != nil {
				t.Fatalf("seek to %d: %v", pos, err)
			}
			rest, _, err := readToEnd(again, 3, nil)
			if err != nil || !slices.Equal(rest, all[min(3*(i+1), len(all)):]) {
				t.Fatalf("from %d on: %q (%v), want %q", pos, rest, err, all[min(3*(i+1), len(all)):])
			}
		}
	})
}

// However long lines may be, wherever batches and bounds end them, and wherever
// reading begins again: put together the pieces are the text.
func TestLinesPutTogetherAreTheText(t *testing.T) {
	path := t.TempDir() + "/a"
	utf8, _ := interceptor.CharsetNamed("UTF-8")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("aä€\U0001F600\n\r"))).Draw(t, "text")
		charset, err := interceptor.CharsetNamed(rapid.SampledFrom([]string{"UTF-8", "UTF-16", "UTF-16LE", "UTF-32BE"}).Draw(t, "charset"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, charset.Encode(nil, []byte(text)), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		how := &deserializing{charset: charset, policy: "FAIL", output: utf8, lineMax: rapid.IntRange(2, 8).Draw(t, "longest")}
		file := spooledFile{r: f, size: info.Size(), truncated: func(int64) {}}
		d, err := newLineDeserializer(how, file)
		if err != nil {
			t.Fatal(err)
		}
		size := rapid.IntRange(1, 4).Draw(t, "batch size")
		all, places, err := readToEnd(d, size, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(all, ""), strings.ReplaceAll(text, "\n", ""); got != want {
			t.Fatalf("got %q, want %q", all, want)
		}
		for i, pos := range places {
			var limits bounds // the place of a channel that is further on
			if i+1 < len(places) {
				limits = bounds{rapid.SampledFrom(places[i+1:]).Draw(t, "bound")}
			}
			again, err := newLineDeserializer(how, file)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.seek(pos); err != nil {
				t.Fatal(err)
			}
			bound := slices.Clone(limits)
			rest, stops, err := readToEnd(again, size+1, limits)
			if err != nil {
				t.Fatal(err)
			}
			if want := all[min((i+1)*size, len(all)):]; !slices.Equal(rest, want) {
				t.Fatalf("from %d on: got %q, want %q", pos, rest, want)
			}
			if len(bound) > 0 && !slices.Contains(stops, bound[0]) {
				t.Fatalf("no batch ends at %d, but at %v", bound[0], stops)
			}
		}
	})
}
