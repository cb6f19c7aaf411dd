package sink_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/twmb/avro/ocf"
)

// hdfsFiles are all files below dir by their path, those in use under their
// final name.
func hdfsFiles(t *testing.T, dir string) (paths []string, contents map[string][]byte) {
	t.Helper()
	contents = map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		rel = strings.TrimSuffix(rel, ".tmp")
		paths, contents[rel] = append(paths, rel), b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths, contents
}

// These readers are what other programs read such files with: the standard
// library, twmb/avro, and for Hadoop's own formats what their documentation
// says.

func textLines(t *testing.T, b []byte) (lines []string) {
	for line := range strings.Lines(string(b)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("gzip: %v", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("gzip: %v", err)
	}
	return plain
}

// inflate reads zlib streams one behind the other, as Hadoop's DecompressorStream does.
func inflate(t *testing.T, b []byte) (plain []byte) {
	t.Helper()
	for in := bytes.NewReader(b); in.Len() > 0; {
		r, err := zlib.NewReader(in)
		if err != nil {
			t.Fatalf("zlib: %v", err)
		}
		part, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("zlib: %v", err)
		}
		plain = append(plain, part...)
	}
	return plain
}

func unzstd(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("zstd: %v", err)
	}
	return plain
}

// hadoopBlocks reads what Hadoop's BlockDecompressorStream reads.
func hadoopBlocks(t *testing.T, b []byte, chunk func(size int, b []byte) ([]byte, error)) (plain []byte) {
	t.Helper()
	for len(b) > 0 {
		size := int(binary.BigEndian.Uint32(b))
		b = b[4:]
		for got := 0; got < size; {
			n := int(binary.BigEndian.Uint32(b))
			part, err := chunk(size-got, b[4:4+n])
			if err != nil || len(part) > 256<<10 {
				t.Fatalf("chunk of %d bytes: %d bytes, %v", n, len(part), err)
			}
			plain, got, b = append(plain, part...), got+len(part), b[4+n:]
		}
	}
	return plain
}

func unsnappy(t *testing.T, b []byte) []byte {
	return hadoopBlocks(t, b, func(_ int, b []byte) ([]byte, error) { return snappy.Decode(nil, b) })
}

func unlz4(t *testing.T, b []byte) []byte {
	return hadoopBlocks(t, b, func(size int, b []byte) ([]byte, error) {
		out := make([]byte, size)
		n, err := lz4.UncompressBlock(b, out)
		return out[:n], err
	})
}

func avroBodies(t *testing.T, b []byte) (bodies []string) {
	t.Helper()
	r, err := ocf.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("avro: %v", err)
	}
	for {
		var event struct {
			Headers map[string]string `avro:"headers"`
			Body    []byte            `avro:"body"`
		}
		if err := r.Decode(&event); err == io.EOF {
			return bodies
		} else if err != nil {
			t.Fatalf("avro: %v", err)
		}
		bodies = append(bodies, string(event.Body))
	}
}

// hadoopReader reads the primitives of Hadoop's Writables.
type hadoopReader struct {
	t *testing.T
	b []byte
}

func (r *hadoopReader) take(n int) []byte {
	r.t.Helper()
	if n < 0 || n > len(r.b) {
		r.t.Fatalf("%d bytes wanted, %d are left", n, len(r.b))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *hadoopReader) int32() int { return int(int32(binary.BigEndian.Uint32(r.take(4)))) }

func (r *hadoopReader) vint() int {
	first := int8(r.take(1)[0])
	if first >= -112 {
		return int(first)
	}
	size, negative := -int(first)-112, false
	if first < -120 {
		size, negative = -int(first)-120, true
	}
	v := 0
	for _, c := range r.take(size) {
		v = v<<8 | int(c)
	}
	if negative {
		v = ^v
	}
	return v
}

func (r *hadoopReader) text() string { return string(r.take(r.vint())) }

type sequenceRecord struct {
	key  int64
	body string
}

// readSequence reads a SequenceFile of version 6.
func readSequence(t *testing.T, b []byte, value string, codec string, unpack func(*testing.T, []byte) []byte) (all []sequenceRecord) {
	t.Helper()
	r := &hadoopReader{t, b}
	if magic := string(r.take(4)); magic != "SEQ\x06" {
		t.Fatalf("magic %q", magic)
	}
	if k, v := r.text(), r.text(); k != "org.apache.hadoop.io.LongWritable" || v != "org.apache.hadoop.io."+value {
		t.Fatalf("classes %s, %s", k, v)
	}
	flags := r.take(2)
	if codec == "" != bytes.Equal(flags, []byte{0, 0}) || codec != "" && !bytes.Equal(flags, []byte{1, 1}) {
		t.Fatalf("compression flags %v with codec %q", flags, codec)
	}
	if codec != "" {
		if c := r.text(); c != "org.apache.hadoop.io.compress."+codec {
			t.Fatalf("codec %s", c)
		}
	}
	if n := r.int32(); n != 0 {
		t.Fatalf("%d pairs of metadata", n)
	}
	sync := r.take(16)
	value1 := func(r *hadoopReader) string {
		if value == "Text" {
			return r.text()
		}
		return string(r.take(r.int32()))
	}
	for len(r.b) > 0 {
		n := r.int32()
		if n == -1 {
			if !bytes.Equal(r.take(16), sync) {
				t.Fatalf("wrong sync marker, %d bytes are left", len(r.b))
			}
			if codec == "" {
				n = r.int32()
			}
		} else if codec != "" {
			t.Fatalf("a block without a sync marker")
		}
		if codec == "" {
			rec := &hadoopReader{t, r.take(n + 4)}
			if k := rec.int32(); k != 8 {
				t.Fatalf("key of %d bytes", k)
			}
			key := int64(binary.BigEndian.Uint64(rec.take(8)))
			all = append(all, sequenceRecord{key, value1(rec)})
			if len(rec.b) != 0 {
				t.Fatalf("%d bytes behind a value", len(rec.b))
			}
			continue
		}
		count := r.vint()
		var columns [4]*hadoopReader
		for i := range columns {
			columns[i] = &hadoopReader{t, unpack(t, r.take(r.vint()))}
		}
		for range count {
			if k := columns[0].vint(); k != 8 {
				t.Fatalf("key of %d bytes", k)
			}
			key := int64(binary.BigEndian.Uint64(columns[1].take(8)))
			v := &hadoopReader{t, columns[3].take(columns[2].vint())}
			all = append(all, sequenceRecord{key, value1(v)})
			if len(v.b) != 0 {
				t.Fatalf("%d bytes behind a value", len(v.b))
			}
		}
		for i, c := range columns {
			if len(c.b) != 0 {
				t.Fatalf("%d bytes left in column %d", len(c.b), i)
			}
		}
	}
	return all
}

func sequenceBodies(value, codec string, unpack func(*testing.T, []byte) []byte) func(*testing.T, []byte) []string {
	return func(t *testing.T, b []byte) (bodies []string) {
		for _, r := range readSequence(t, b, value, codec, unpack) {
			bodies = append(bodies, r.body)
		}
		return bodies
	}
}

type hdfsFormat struct {
	name, fileType, codec, write, serializer, extension string
	read                                                func(*testing.T, []byte) []string
}

// numbers are what file names are counted with.
var numbers = regexp.MustCompile(`\d{10,}`)

// hdfsFormats are all formats, each with its reader and extension.
var hdfsFormats = []hdfsFormat{
	{"text", "DataStream", "", "", "", "", textLines},
	{"avro", "DataStream", "", "", "avro_event", "", avroBodies},
	{"gzip", "CompressedStream", "gzip", "", "", ".gz", func(t *testing.T, b []byte) []string { return textLines(t, gunzip(t, b)) }},
	{"deflate", "CompressedStream", "DeflateCodec", "", "", ".deflate", func(t *testing.T, b []byte) []string { return textLines(t, inflate(t, b)) }},
	{"snappy", "CompressedStream", "snappy", "", "", ".snappy", func(t *testing.T, b []byte) []string { return textLines(t, unsnappy(t, b)) }},
	{"lz4", "CompressedStream", "lz4", "", "", ".lz4", func(t *testing.T, b []byte) []string { return textLines(t, unlz4(t, b)) }},
	{"zstd", "CompressedStream", "ZStandard", "", "", ".zst", func(t *testing.T, b []byte) []string { return textLines(t, unzstd(t, b)) }},
	{"gzipped avro", "CompressedStream", "gzip", "", "avro_event", ".gz", func(t *testing.T, b []byte) []string { return avroBodies(t, gunzip(t, b)) }},
	{"sequence", "", "", "", "", "", sequenceBodies("BytesWritable", "", nil)},
	{"sequence of text", "SequenceFile", "", "Text", "", "", sequenceBodies("Text", "", nil)},
	{"sequence with gzip", "SequenceFile", "org.apache.hadoop.io.compress.GzipCodec", "Writable", "", ".gz", sequenceBodies("BytesWritable", "GzipCodec", gunzip)},
	{"sequence with zlib", "SequenceFile", "default", "Text", "", ".deflate", sequenceBodies("Text", "DefaultCodec", inflate)},
	{"sequence with snappy", "SequenceFile", "snappy", "Text", "", ".snappy", sequenceBodies("Text", "SnappyCodec", unsnappy)},
}

func hdfsTexts(path, fileType, codec, write, serializer string) map[string]string {
	texts := map[string]string{"hdfs.path": path, "hdfs.rollInterval": "0", "hdfs.rollSize": "0", "hdfs.rollCount": "25", "hdfs.timeZone": "UTC"}
	for name, text := range map[string]string{"hdfs.fileType": fileType, "hdfs.codeC": codec, "hdfs.writeFormat": write, "serializer": serializer} {
		if text != "" {
			texts[name] = text
		}
	}
	return texts
}

// target is a directory that the format f is written to.
func (f *hdfsFormat) target(t *testing.T) sinktest.Target {
	dir := filepath.Join(t.TempDir(), "events")
	return sinktest.Target{
		New:     maker("hdfs", hdfsTexts("file://"+dir+"/%Y/%{host}", f.fileType, f.codec, f.write, f.serializer)),
		Headers: map[string]string{"timestamp": "1700000000000", "host": "web/1"},
		Read: func(t *testing.T) (all []string) {
			if _, err := os.Stat(dir); err != nil {
				return nil
			}
			paths, contents := hdfsFiles(t, dir)
			for _, p := range paths {
				if filepath.Dir(p) != "2023/web_1" || !strings.HasSuffix(p, f.extension) {
					t.Errorf("file %s", p)
				}
				if len(contents[p]) > 0 { // nothing is committed of an empty one
					all = append(all, f.read(t, contents[p])...)
				}
			}
			return all
		},
		Break: func(t *testing.T) func() { return sinktest.LimitFiles(t, f.limit()) },
	}
}

func TestHDFSHoldsEveryRecordOnceWhateverHappens(t *testing.T) {
	for _, f := range hdfsFormats {
		switch f.name {
		case "text", "gzipped avro", "sequence", "sequence with zlib":
			t.Run(f.name, func(t *testing.T) { sinktest.Run(t, f.target) })
		}
	}
}

func TestHDFSFilesCanBeReadInEveryFormat(t *testing.T) {
	for _, f := range hdfsFormats {
		t.Run(f.name, func(t *testing.T) {
			w, target := &world{}, f.target(t)
			s, err := target.New(w.env(true))
			if err != nil {
				t.Fatal(err)
			}
			slab := record.NewSlab(0)
			slab.SetCommon("timestamp", []byte("1700000000000"))
			slab.SetCommon("host", []byte("web/1"))
			var want []string
			for i := range 60 {
				body := fmt.Sprint("record ", i, strings.Repeat("x", 17*i*i)) // beyond a block of Hadoop's
				want = append(want, body)
				slab.Append([]byte(body))
			}
			for _, v := range []record.View{{Slab: slab, Count: 7}, {Slab: slab, First: 7, Count: 53}} {
				deliverAndCommit(t, w, s, &sink.Batch{Views: []record.View{v}})
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := target.Read(t); !slices.Equal(got, want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
		})
	}
}

// limit is a size of files that 50 records go beyond, within a record or a
// compressed member.
func (f *hdfsFormat) limit() int64 {
	if f.codec == "" {
		return 1000
	}
	return 150
}

// stamped is one batch of records, each with a timestamp header unless it is "".
func stamped(headers ...string) *sink.Batch {
	s := record.NewSlab(0)
	s.SetTime(1_500_000_000_000)
	for i, ms := range headers {
		s.Append(fmt.Append(nil, "event ", i))
		if ms != "" {
			s.SetHeader(i, "timestamp", []byte(ms))
		}
	}
	return &sink.Batch{Views: []record.View{s.View()}}
}

func hdfsSink(t *testing.T, env sink.Env, texts map[string]string) sink.Sink {
	t.Helper()
	s, err := maker("hdfs", texts)(env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func deliverAndCommit(t *testing.T, w *world, s sink.Sink, b *sink.Batch) {
	t.Helper()
	if err := s.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.commit(t, s)
}

// onDisk are the files as they are named now, below dir, numbers as '#'.
func onDisk(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, numbers.ReplaceAllString(rel, "#"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestHDFSKeysOfASequenceFileAreTheRecordsTimes(t *testing.T) {
	for _, codec := range []string{"", "gzip"} {
		w, dir := &world{}, t.TempDir()
		s := hdfsSink(t, w.env(true), hdfsTexts(dir, "SequenceFile", codec, "", ""))
		before := time.Now().UnixMilli()
		env := stamped("12345", "", "no number")
		deliverAndCommit(t, w, s, env)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		class := map[string]string{"": "", "gzip": "GzipCodec"}[codec]
		paths, contents := hdfsFiles(t, dir)
		got := readSequence(t, contents[paths[0]], "BytesWritable", class, gunzip)
		if len(got) != 3 || got[0] != (sequenceRecord{12345, "event 0"}) || got[1].key < before || got[2].key < before {
			t.Fatalf("records %v", got)
		}
	}
}

func TestHDFSSequenceFilesHaveSyncMarkersEveryNowAndThen(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	texts := hdfsTexts(dir, "SequenceFile", "", "", "")
	texts["hdfs.rollCount"] = "0"
	s := hdfsSink(t, w.env(true), texts)
	slab := record.NewSlab(0)
	for range 4000 {
		slab.Append(bytes.Repeat([]byte{'x'}, 100))
	}
	deliverAndCommit(t, w, s, &sink.Batch{Views: []record.View{slab.View()}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, contents := hdfsFiles(t, dir)
	file := contents[paths[0]]
	header := len("SEQ6") + 1 + len("org.apache.hadoop.io.LongWritable") + 1 + len("org.apache.hadoop.io.BytesWritable") + 2 + 4
	marker := append([]byte{0xff, 0xff, 0xff, 0xff}, file[header:header+16]...)
	if n := bytes.Count(file, marker); n != 4 {
		t.Fatalf("%d markers in %d bytes, want 4", n, len(file))
	}
	if got := readSequence(t, file, "BytesWritable", "", nil); len(got) != 4000 {
		t.Fatalf("%d records, want 4000", len(got))
	}
}

func TestHDFSFilesAreNamedAndRolledAsByFlume(t *testing.T) {
	for _, c := range []struct {
		what  string
		texts map[string]string
		want  []string
	}{
		{"by count", map[string]string{"hdfs.rollCount": "2"}, []string{"FlumeData.#", "FlumeData.#", "FlumeData.#.tmp"}},
		{"by size", map[string]string{"hdfs.rollCount": "0", "hdfs.rollSize": "14"}, []string{"FlumeData.#", "FlumeData.#", "FlumeData.#.tmp"}},
		{"never", map[string]string{"hdfs.rollCount": "0"}, []string{"FlumeData.#.tmp"}},
		{"prefix and suffix", map[string]string{"hdfs.filePrefix": "p-%{h}", "hdfs.fileSuffix": ".log", "hdfs.rollCount": "4"}, []string{"p-.#.log", "p-.#.log.tmp"}},
		{"in use", map[string]string{"hdfs.inUsePrefix": "_", "hdfs.inUseSuffix": ".now"}, []string{"_FlumeData.#.now"}},
		{"no suffix in use", map[string]string{"hdfs.emptyInUseSuffix": "true"}, []string{"FlumeData.#"}},
		{"suffix instead of the extension", map[string]string{"hdfs.fileType": "CompressedStream", "hdfs.codeC": "gzip", "hdfs.fileSuffix": ".z"}, []string{"FlumeData.#.z.tmp"}},
	} {
		w, dir := &world{}, t.TempDir()
		texts := hdfsTexts(dir, "DataStream", "", "", "")
		for k, v := range c.texts {
			texts[k] = v
		}
		s := hdfsSink(t, w.env(true), texts)
		deliverAndCommit(t, w, s, stamped("", "", "", "", ""))
		if got := onDisk(t, dir); !slices.Equal(got, c.want) {
			t.Errorf("%s: files %v, want %v", c.what, got, c.want)
		}
	}
}

func TestHDFSClosesFilesByTheClock(t *testing.T) {
	for _, c := range []struct {
		property string
		open     int // seconds after which it must still be open, though used once more after 6
		closed   int // seconds after the first record
	}{
		{"hdfs.rollInterval", 9, 10},
		{"hdfs.idleTimeout", 15, 16},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, dir := &world{}, t.TempDir()
			texts := hdfsTexts(dir, "DataStream", "", "", "")
			texts[c.property] = "10"
			s, err := maker("hdfs", texts)(w.env(true))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			begin := time.Now()
			until := func(seconds int) []string {
				time.Sleep(time.Until(begin.Add(time.Duration(seconds)*time.Second + time.Millisecond)))
				synctest.Wait()
				return onDisk(t, dir)
			}
			deliverAndCommit(t, w, s, stamped(""))
			until(6)
			deliverAndCommit(t, w, s, stamped(""))
			if got := until(c.open); !slices.Equal(got, []string{"FlumeData.#.tmp"}) {
				t.Errorf("%s after %d s: %v", c.property, c.open, got)
			}
			if got := until(c.closed); !slices.Equal(got, []string{"FlumeData.#"}) {
				t.Errorf("%s after %d s: %v", c.property, c.closed, got)
			}
		})
	}
}

func TestHDFSClosesTheFileNotUsedForLongestBeyondMaxOpenFiles(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	texts := hdfsTexts(dir+"/%S", "DataStream", "", "", "")
	texts["hdfs.maxOpenFiles"] = "2"
	s := hdfsSink(t, w.env(true), texts)
	deliverAndCommit(t, w, s, stamped("1000", "2000", "1001", "3000", "1002"))
	want := []string{"01/FlumeData.#.tmp", "02/FlumeData.#", "03/FlumeData.#.tmp"}
	if got := onDisk(t, dir); !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
}

func TestHDFSTakesTheTimeOfReadingWhereARecordHasNone(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	env := w.env(true)
	s := hdfsSink(t, env, hdfsTexts(dir+"/%Y", "DataStream", "", "", ""))
	deliverAndCommit(t, w, s, stamped("1700000000000", "", "x"))
	if got, want := onDisk(t, dir), []string{"2017/FlumeData.#.tmp", "2023/FlumeData.#.tmp"}; !slices.Equal(got, want) {
		t.Fatalf("files %v, want %v", got, want)
	}
	if n := env.Counters.TimestampMissing.Load(); n != 2 || strings.Count(w.log.String(), "carry no time") != 1 {
		t.Fatalf("%d counted, log %s", n, w.log.String())
	}

	env.Compat, env.State = true, sink.State{}
	s = hdfsSink(t, env, hdfsTexts(dir+"/%Y", "DataStream", "", "", ""))
	for range 2 {
		if err := s.Deliver(t.Context(), stamped("1700000000000", "")); err == nil || !strings.Contains(err.Error(), `no header "timestamp"`) {
			t.Fatalf("compat=flume blocks as Flume does: %v", err)
		}
	}
	if got := onDisk(t, dir); len(got) != 2 {
		t.Fatalf("the refused batches left files: %v", got)
	}
}

func TestHDFSHeadersCannotLeadOutOfThePath(t *testing.T) {
	for _, slash := range []string{"false", "true"} {
		w, parent := &world{}, t.TempDir()
		dir := filepath.Join(parent, "below")
		texts := hdfsTexts(dir+"/%{h}", "DataStream", "", "", "")
		texts["hdfs.filePrefix"], texts["pathHeaderAllowSlash"] = "%{p}", slash
		s := hdfsSink(t, w.env(true), texts)
		evil := []string{"../../up", "/etc", "..", "a/../../..", "\x00", strings.Repeat("x/", 3000), "."}
		for _, h := range evil {
			for _, p := range evil {
				slab := record.NewSlab(0)
				slab.Append([]byte("x"))
				slab.SetCommon("h", []byte(h))
				slab.SetCommon("p", []byte(p))
				deliverAndCommit(t, w, s, &sink.Batch{Views: []record.View{slab.View()}})
			}
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Fatalf("slash %s: entries beside the path: %v", slash, entries)
		}
		if err := os.Symlink(parent, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		slab := record.NewSlab(0)
		slab.Append([]byte("x"))
		slab.SetCommon("h", []byte("link"))
		if err := s.Deliver(t.Context(), &sink.Batch{Views: []record.View{slab.View()}}); err == nil {
			t.Fatalf("slash %s: a symbolic link leads out of the path", slash)
		}
	}
}

func TestHDFSStaysBelowItsPathWhenHeadersAreEmpty(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	texts := hdfsTexts(dir+"/%{h}/x", "DataStream", "", "", "")
	texts["hdfs.filePrefix"] = "%{p}/f"
	s := hdfsSink(t, w.env(true), texts)
	slab := record.NewSlab(0)
	slab.Append([]byte("no headers"))
	deliverAndCommit(t, w, s, &sink.Batch{Views: []record.View{slab.View()}})
	if got := onDisk(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "x/f.") {
		t.Fatalf("files %v", got)
	}
}

func TestHDFSRefusesWhatItCannotDo(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text, want string
	}{
		{"hdfs.path", "hdfs://nn:8020/x", "hdfs:// is not there yet"},
		{"hdfs.path", "s3a://bucket/x", "s3a:// is not there yet"},
		{"hdfs.path", "file://host/x", "names no host"},
		{"hdfs.fileType", "Parquet", `"Parquet" is none of SequenceFile`},
		{"hdfs.codeC", "bzip2", "no writer for bzip2"},
		{"hdfs.codeC", "lzop", "no writer for lzop"},
		{"hdfs.codeC", "brotli", `unknown codec "brotli"`},
		{"hdfs.codeC", "gzip", "DataStream is not compressed"},
		{"hdfs.timeZone", "Mars/Base", `unknown time zone "Mars/Base"`},
		{"serializer", "com.example.S$Builder", "unknown serializer"},
		{"hdfs.roundValue", "61", "61"},
	} {
		texts := hdfsTexts(dir, "DataStream", "", "", "")
		texts["hdfs.round"] = "true"
		texts[c.name] = c.text
		_, err := maker("hdfs", texts)((&world{}).env(true))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %s: %v, want …%s…", c.name, c.text, err, c.want)
		}
	}
	if _, err := maker("hdfs", hdfsTexts(dir, "CompressedStream", "", "", ""))((&world{}).env(true)); err == nil || !strings.Contains(err.Error(), "needs hdfs.codeC") {
		t.Errorf("CompressedStream without codec: %v", err)
	}
}

func TestHDFSMindsHadoopsDefaultFileSystem(t *testing.T) {
	conf, dir := t.TempDir(), t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	set := func(fs string) {
		xml := "<configuration><property><name>fs.defaultFS</name><value>" + fs + "</value></property></configuration>"
		if err := os.WriteFile(filepath.Join(conf, "core-site.xml"), []byte(xml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("hdfs://nn:8020")
	_, err := maker("hdfs", hdfsTexts(dir, "DataStream", "", "", ""))((&world{}).env(true))
	if err == nil || !strings.Contains(err.Error(), "hdfs://nn:8020") {
		t.Fatalf("an absolute path with fs.defaultFS hdfs: %v", err)
	}
	hdfsSink(t, (&world{}).env(true), hdfsTexts("file:"+dir, "DataStream", "", "", ""))
	set("file:///")
	hdfsSink(t, (&world{}).env(true), hdfsTexts(dir, "DataStream", "", "", ""))
}

// Flume leaves files in use for ever when it is killed.
func TestHDFSClosesWhatAKilledFlumeLeft(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	write("2023/ev.1700000000001.tmp", "left", time.Hour)
	write("2023/ev.1700000000002.tmp", "", time.Hour)
	write("2023/ev.1700000000003.tmp", "being written", 0)
	write("2023/other.1700000000004.tmp", "another sink's", time.Hour)
	write("2023/ev.draft.tmp", "a person's", time.Hour)
	write("2024/ev.1700000000005.tmp", "taken", time.Hour)
	write("2024/ev.1700000000005", "before", time.Hour)
	texts := hdfsTexts(dir+"/%Y", "DataStream", "", "", "")
	texts["hdfs.filePrefix"] = "ev"
	s, err := maker("hdfs", texts)((&world{}).env(true))
	if err != nil {
		t.Fatal(err)
	}
	sink.WaitForOrphans(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, contents := []string{}, map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			b, _ := os.ReadFile(path)
			paths, contents[rel] = append(paths, rel), string(b)
		}
		return err
	})
	want := []string{"2023/ev.1700000000001", "2023/ev.1700000000003.tmp", "2023/ev.draft.tmp", "2023/other.1700000000004.tmp", "2024/ev.1700000000005", "2024/ev.1700000000005.1"}
	if !slices.Equal(paths, want) || contents["2023/ev.1700000000001"] != "left" || contents["2024/ev.1700000000005"] != "before" || contents["2024/ev.1700000000005.1"] != "taken" {
		t.Fatalf("files %v with %v, want %v", paths, contents, want)
	}
}

func TestHDFSGivesARecordThatCannotBeWrittenToTheDeadLetters(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	env := w.env(true)
	var dead []string
	env.DeadLetter = func(s *record.Slab, i int, code, reason string) {
		dead = append(dead, string(s.Body(i))+" "+code+" "+reason)
	}
	s := hdfsSink(t, env, hdfsTexts(dir, "DataStream", "", "", "org.apache.flume.sink.hdfs.AvroEventSerializer$Builder"))
	if err := s.Deliver(t.Context(), stamped("", "")); err != nil {
		t.Fatal(err)
	}
	if len(dead) != 2 || !strings.HasPrefix(dead[0], "event 0 serialize schema of an Avro body") {
		t.Fatalf("dead letters %q", dead)
	}
	if got := onDisk(t, dir); len(got) != 0 {
		t.Fatalf("files %v, want none", got)
	}
}

// The schema's file may lie on a volume that is mounted a moment later: the
// records wait for it. What a record's own header says cannot get better.
func TestRecordsWaitForTheSchemaThatTheSinkIsToldToUse(t *testing.T) {
	for _, c := range []struct{ kind, serializer string }{{"hdfs", "serializer"}, {"file_roll", "sink.serializer"}} {
		t.Run(c.kind, func(t *testing.T) {
			w, dir := &world{}, t.TempDir()
			env := w.env(true)
			dead := 0
			env.DeadLetter = func(*record.Slab, int, string, string) { dead++ }
			schema := filepath.Join(t.TempDir(), "user.avsc")
			texts := hdfsTexts(dir, "DataStream", "", "", "AvroEventSerializer")
			if c.kind == "file_roll" {
				texts = map[string]string{"sink.directory": dir, "sink.rollInterval": "0", "lazyOpen": "true", "sink.serializer": "org.apache.flume.sink.hdfs.AvroEventSerializer$Builder"}
			}
			texts[c.serializer+".schemaURL"] = schema
			s, err := maker(c.kind, texts)(env)
			if err != nil {
				t.Fatal(err)
			}
			slab := record.NewSlab(0)
			for i := range 3 {
				slab.Append([]byte("\x02x"))
				if i == 1 {
					slab.SetHeader(i, "flume.avro.schema.url", []byte("/no/such/schema"))
				}
			}
			batch := &sink.Batch{Views: []record.View{slab.View()}}
			for range 3 {
				if err := s.Deliver(t.Context(), batch); err == nil || !strings.Contains(err.Error(), schema) {
					t.Fatalf("deliver without the schema: got %v, want an error that names it", err)
				}
			}
			if got := onDisk(t, dir); len(got) != 0 || dead != 0 {
				t.Fatalf("without the schema: files %v, %d dead letters, want none", got, dead)
			}
			if err := os.WriteFile(schema, []byte(`"string"`), 0o600); err != nil {
				t.Fatal(err)
			}
			deliverAndCommit(t, w, s, batch)
			if dead != 1 {
				t.Errorf("%d dead letters, want the one whose header names no schema", dead)
			}
			paths, contents := hdfsFiles(t, dir)
			if len(paths) != 1 || bytes.Count(contents[paths[0]], []byte("\x02x")) != 2 {
				t.Errorf("files %v with %q, want one with two records", paths, contents)
			}
		})
	}
}

func TestHDFSBeginsANewFileForANewSchema(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	s := hdfsSink(t, w.env(true), hdfsTexts(dir, "DataStream", "", "", "AvroEventSerializer"))
	slab := record.NewSlab(0)
	for i, schema := range []string{`"string"`, `"string"`, `"bytes"`} {
		slab.Append([]byte("\x02x"))
		slab.SetHeader(i, "flume.avro.schema.literal", []byte(schema))
	}
	deliverAndCommit(t, w, s, &sink.Batch{Views: []record.View{slab.View()}})
	paths, contents := hdfsFiles(t, dir)
	if len(paths) != 2 || !bytes.Contains(contents[paths[0]], []byte(`"string"`)) || !bytes.Contains(contents[paths[1]], []byte(`"bytes"`)) {
		t.Fatalf("files %v", paths)
	}
}

func TestHDFSSaysAtItsStartThatItCannotMakeItsRoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{}
	if _, err := maker("hdfs", hdfsTexts(file+"/events", "DataStream", "", "", ""))(w.env(true)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func BenchmarkHDFSDeliver(b *testing.B) {
	for _, f := range []struct{ name, fileType, codec, path string }{
		{"text", "DataStream", "", ""},
		{"text by minute and host", "DataStream", "", "/%Y-%m-%d/%H%M/%{host}"},
		{"sequence", "SequenceFile", "", ""},
		{"gzip", "CompressedStream", "gzip", ""},
	} {
		b.Run(f.name, func(b *testing.B) {
			texts := hdfsTexts(b.TempDir()+f.path, f.fileType, f.codec, "", "")
			texts["hdfs.rollCount"] = "0"
			s, err := maker("hdfs", texts)((&world{}).env(true))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			slab := record.NewSlab(256 << 10)
			for i := range 1000 {
				slab.Append(fmt.Appendf(nil, "%0207d", i))
			}
			slab.SetCommon("timestamp", []byte("1700000000000"))
			slab.SetCommon("host", []byte("web-17"))
			batch := &sink.Batch{Views: []record.View{slab.View()}}
			b.SetBytes(1000 * 207)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Deliver(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A folder that somebody has put a file in the place of is the way to make a
// rename fail.
func TestHDFSTriesAgainToCloseAFile(t *testing.T) {
	for _, c := range []struct {
		tries string
		want  []string // long after the folder is back
	}{
		{"0", []string{"01/FlumeData.#"}},
		{"2", []string{"01/FlumeData.#.tmp"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, dir := &world{}, t.TempDir()
			texts := hdfsTexts(dir+"/%S", "DataStream", "", "", "")
			texts["hdfs.rollInterval"], texts["hdfs.retryInterval"], texts["hdfs.closeTries"] = "10", "60", c.tries
			s, err := maker("hdfs", texts)(w.env(true))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			deliverAndCommit(t, w, s, stamped("1000"))
			away := filepath.Join(t.TempDir(), "away")
			if err := os.Rename(filepath.Join(dir, "01"), away); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "01"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // fails at 10 s, 70 s, …
			synctest.Wait()
			if err := os.Remove(filepath.Join(dir, "01")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(away, filepath.Join(dir, "01")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			if got := onDisk(t, dir); !slices.Equal(got, c.want) {
				t.Errorf("closeTries %s: files %v, want %v", c.tries, got, c.want)
			}
			if c.tries == "2" {
				if log := w.log.String(); strings.Count(log, "will be tried again") != 1 || strings.Count(log, "tries=2") != 1 {
					t.Errorf("log of two tries: %s", log)
				}
				// The next start tries again.
				again, err := maker("hdfs", texts)(w.env(true))
				if err != nil {
					t.Fatal(err)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
				if got := onDisk(t, dir); !slices.Equal(got, []string{"01/FlumeData.#"}) {
					t.Errorf("after the next start: %v", got)
				}
			}
		})
	}
}

func TestAnAbandonedSinkLeavesItsFilesToTheNext(t *testing.T) {
	for kind, texts := range map[string]map[string]string{
		"hdfs":      {"hdfs.rollInterval": "1", "hdfs.idleTimeout": "1", "hdfs.fileType": "DataStream"},
		"file_roll": {"sink.rollInterval": "1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, dir := &world{}, t.TempDir()
			texts["hdfs.path"], texts["sink.directory"] = dir, dir
			s, err := maker(kind, texts)(w.env(true))
			if err != nil {
				t.Fatal(err)
			}
			deliverAndCommit(t, w, s, stamped(""))
			s.(sink.Abandoner).Abandon()
			files, state := onDisk(t, dir), fmt.Sprint(w.state)
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := onDisk(t, dir); !slices.Equal(got, files) || fmt.Sprint(w.state) != state {
				t.Errorf("%s: files %v became %v, state %s became %v", kind, files, got, state, w.state)
			}
			next, err := maker(kind, texts)(w.env(true))
			if err != nil {
				t.Fatal(err)
			}
			if err := next.Close(); err != nil {
				t.Fatal(err)
			}
			if got := lineFiles(t, dir); !slices.Equal(got, []string{"event 0"}) || len(w.state) != 0 {
				t.Errorf("%s: after the next run %q stands there, state %v", kind, got, w.state)
			}
		})
	}
}
