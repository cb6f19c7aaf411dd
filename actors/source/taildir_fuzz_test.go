package source

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever lies where the position file should be: no crash, and what can be
// read is written back so that it reads the same.
func FuzzTaildirPosition(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"inode":2496001,"pos":14,"file":"/abs/path"}]`,
		`[{"file":"/a\u0026b","pos":0,"inode":1},{"inode":18446744073709551615,"pos":9223372036854775807,"file":""}]`,
		`[{"inode":1,"pos":-1,"file":"x"}]`, `[{"inode":1,"pos":1}]`, `[{"inode":1e3,"pos":"1","file":"x","more":[]}]`,
		``, `{}`, `[null]`, `[`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parsePositions(text)
		if err != nil {
			return
		}
		written := appendPositions(nil, all)
		if bytes.ContainsAny(written, "\n\r") {
			t.Fatalf("more than one line: %q", written)
		}
		again, err := parsePositions(written)
		if err != nil || !slices.Equal(all, again) {
			t.Fatalf("%q reads as %v, written as %q it reads as %v (%v)", text, all, written, again, err)
		}
	})
}

func FuzzTaildirCheckpoint(f *testing.F) {
	f.Add("801:2496001:00ff00ff00ff00ff.3", []byte(`{"path":"/a","len":1024,"sum":"ff"}`))
	f.Add("a:b:c", []byte(`{`))
	f.Fuzz(func(t *testing.T, stream string, data []byte) {
		parseStream(stream)
		d, print, err := parseTailData(data)
		if err != nil {
			return
		}
		file := tailFile{path: d.Path, print: print}
		file.remember()
		d2, print2, err := parseTailData(file.data)
		if err != nil || d2.Path != d.Path || print2 != print {
			t.Fatalf("%q reads as %v %v, written as %q it reads as %v %v (%v)", data, d, print, file.data, d2, print2, err)
		}
	})
}

// However a file is cut into batches, and wherever the batches have to end,
// the lines are those of the file.
func TestTaildirBatchesAreTheLinesOfTheFileWhereverTheyEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringOf(rapid.SampledFrom([]rune("ab\n\r"))).Draw(t, "text"))
		if rapid.Bool().Draw(t, "long") {
			text = append(bytes.Repeat([]byte("x"), rapid.IntRange(4000, 300_000).Draw(t, "length")), text...)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		f := &tailFile{path: path, average: rapid.IntRange(1, 5000).Draw(t, "average")}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f.f, f.size = file, int64(len(text))
		var ends []int64
		for i, c := range text {
			if c == '\n' {
				ends = append(ends, int64(i+1))
			}
		}
		if len(ends) > 0 && rapid.Bool().Draw(t, "bound") {
			f.bounds = bounds{uint64(rapid.SampledFrom(ends).Draw(t, "at"))}
		}
		bound := slices.Clone(f.bounds)
		size := rapid.IntRange(1, 10).Draw(t, "batch size")
		var got []string
		for {
			from := f.pos
			batch, _, err := f.next(size, true)
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
			if batch.Len() > size {
				t.Fatalf("a batch of %d records, want at most %d", batch.Len(), size)
			}
			for i := range batch.Len() {
				got = append(got, string(batch.Body(i)))
			}
			batch.Release()
			for _, b := range bound {
				if uint64(from) < b && b < uint64(f.pos) {
					t.Fatalf("a batch from %d to %d crosses %d", from, f.pos, b)
				}
			}
		}
		if want := linesOf(text); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func linesOf(text []byte) []string {
	var lines []string
	for len(text) > 0 {
		line, rest, ok := bytes.Cut(text, []byte("\n"))
		if ok {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		lines = append(lines, string(line))
		text = rest
	}
	return lines
}

// A log that is cut and at once outgrows the place of its reader holds other
// lines there. They are not taken for the rest of the old ones.
func TestOfAFileThatWasOutgrownNothingIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("old 1\nold 2\n")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &tailFile{path: path, f: file, average: 10}
	read := func() (first string, outgrown bool) {
		batch, _, err := f.next(1, false)
		if err != nil || batch == nil {
			t.Fatalf("nothing is read: %v", err)
		}
		defer batch.Release()
		return string(batch.Body(0)), f.outgrown()
	}
	look := func() bool {
		rewritten, err := f.look(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return rewritten
	}
	look()
	if first, outgrown := read(); first != "old 1" || outgrown {
		t.Fatalf("%q, outgrown %v", first, outgrown)
	}
	write("new line 1\nnew line 2\n") // longer than the old one was read
	if first, outgrown := read(); !outgrown {
		t.Fatalf("%q is taken for a line of the old log", first)
	}
	if !look() {
		t.Fatal("the next look does not see that the file was written anew")
	}
}

// What was read of a log before it was cut is what it held.
func TestWhatWasReadBeforeACutCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &tailFile{path: path, f: file, average: 10}
	if _, err := f.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	batch, _, err := f.next(10, false)
	if err != nil || batch == nil {
		t.Fatalf("nothing is read: %v", err)
	}
	defer batch.Release()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if f.outgrown() {
		t.Fatal("lines that were read in time are thrown away")
	}
}
