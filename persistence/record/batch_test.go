package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

var codecs = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

// batchOf is n log-like records of size bytes, with a common header and one of
// each record's own.
func batchOf(n, size int) *record.Slab {
	s := record.NewSlab(n * size)
	s.SetTime(1_700_000_000_000)
	s.SetCommon("host", []byte("web-17"))
	rnd := rand.New(rand.NewPCG(1, 2))
	line := make([]byte, size)
	for i := range n {
		for at := 0; at < size; at += 8 {
			copy(line[at:], fmt.Sprintf("%x %03d  ", rnd.Uint32(), i%1000))
		}
		s.Append(line)
	}
	return s
}

func encode(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *record.Slab, codec record.Codec) []byte {
	t.Helper()
	b, err := s.Encode(nil, codec)
	if err != nil {
		t.Fatalf("encode %d records with %v: %v", s.Len(), codec, err)
	}
	if err := record.Batch(b).Validate(); err != nil {
		t.Fatalf("validate what was encoded with %v: %v", codec, err)
	}
	return b
}

func TestDecodeGivesBackWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := drawSlab(t)
		defer s.Release()
		if len(want) == 0 {
			if _, err := s.Encode(nil, record.None); !errors.Is(err, record.ErrEmpty) {
				t.Fatalf("encode no records: %v, want %v", err, record.ErrEmpty)
			}
			return
		}
		v := record.View{Slab: s, First: rapid.IntRange(0, len(want)-1).Draw(t, "first")}
		v.Count = rapid.IntRange(1, len(want)-v.First).Draw(t, "count")
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		before := []byte("before")
		b, err := v.Encode(before, codec)
		if err != nil || !bytes.HasPrefix(b, before) {
			t.Fatalf("encode behind %q: %q, %v", before, b[:min(len(b), 6)], err)
		}
		b = slices.Clone(b[len(before):])
		if codec == record.None && len(b) != v.EncodedSize() {
			t.Fatalf("%d bytes, EncodedSize says %d", len(b), v.EncodedSize())
		}
		got, err := record.Decode(b)
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		defer got.Release()
		if all := allOf(got); !same(all, want[v.First:v.First+v.Count]) || got.Time() != s.Time() {
			t.Fatalf("decoded %v at %d, want %v at %d", all, got.Time(), want[v.First:v.First+v.Count], s.Time())
		}
	})
}

func TestHeadersThatAllRecordsShareAreCommonAgainAfterDecode(t *testing.T) {
	s := batchOf(3, 20)
	defer s.Release()
	s.SetCommon("file", []byte("/var/log/x"))
	s.SetHeader(1, "offset", []byte("17"))
	got, err := record.Decode(encode(t, s, record.None))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	for name, want := range map[string]string{"host": "web-17", "file": "/var/log/x"} {
		if v, ok := got.Common(name); !ok || string(v) != want {
			t.Errorf("Common(%q) after decode: %q, %v; want %q", name, v, ok, want)
		}
	}
	if v, ok := got.Common("offset"); ok {
		t.Errorf("Common(offset), which one of three has: %q", v)
	}
}

// kmsg is franz-go's generated codec, kgo its client: two readers that are not
// ours.
func TestKmsgReadsWhatWeEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := drawSlab(t)
		defer s.Release()
		if len(want) == 0 {
			return
		}
		raw := encode(t, s, record.None)
		record.SetBaseOffset(raw, 4711)
		record.SetLeaderEpoch(raw, 3)
		if err := record.Batch(raw).Validate(); err != nil {
			t.Fatalf("validate after the stamps: %v", err)
		}
		b := kmsg.NewRecordBatch()
		if err := b.ReadFrom(raw); err != nil {
			t.Fatal(err)
		}
		mine := record.Batch(raw)
		type header struct {
			base            record.Offset
			size            int
			epoch           int32
			magic           int8
			crc             uint32
			attributes      int16
			last            int32
			first, max, pid int64
			pepoch          int16
			sequence        int32
			count           int
		}
		theirs := header{record.Offset(b.FirstOffset), int(b.Length) + 12, b.PartitionLeaderEpoch, b.Magic, uint32(b.CRC), b.Attributes, b.LastOffsetDelta,
			b.FirstTimestamp, b.MaxTimestamp, b.ProducerID, b.ProducerEpoch, b.FirstSequence, int(b.NumRecords)}
		ours := header{mine.BaseOffset(), mine.Size(), mine.LeaderEpoch(), mine.Magic(), mine.CRC(), mine.Attributes(), mine.LastOffsetDelta(),
			mine.BaseTimestamp(), mine.MaxTimestamp(), mine.ProducerID(), mine.ProducerEpoch(), mine.BaseSequence(), mine.Count()}
		if theirs != ours {
			t.Fatalf("header: kmsg reads\n%+v, the accessors say\n%+v", theirs, ours)
		}
		if theirs.base != 4711 || theirs.epoch != 3 || theirs.first != s.Time() || theirs.max != s.Time() ||
			theirs.pid != -1 || theirs.pepoch != -1 || theirs.sequence != -1 || theirs.count != len(want) {
			t.Fatalf("header %+v of %d records at %d", theirs, len(want), s.Time())
		}
		rest := b.Records
		for i, p := range want {
			n, used := binary.Varint(rest)
			r := kmsg.NewRecord()
			if err := r.ReadFrom(rest[:used+int(n)]); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			rest = rest[used+int(n):]
			got := plain{string(r.Value), map[string]string{}}
			for _, h := range r.Headers {
				got.headers[h.Key] = string(h.Value)
			}
			if r.Key != nil || int(r.OffsetDelta) != i || r.TimestampDelta64 != 0 || !same([]plain{got}, []plain{p}) {
				t.Fatalf("record %d: kmsg reads %+v, want %+v", i, r, p)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes behind the last record", len(rest))
		}
	})
}

func TestAKafkaClientReadsWhatWeEncode(t *testing.T) {
	for _, codec := range codecs {
		s := batchOf(500, 207)
		s.SetHeader(7, "own", []byte("x"))
		raw := encode(t, s, codec)
		if codec != record.None && record.Batch(raw).Codec() != codec {
			t.Fatalf("asked for %v, got %v", codec, record.Batch(raw).Codec())
		}
		record.SetBaseOffset(raw, 1000)
		got := kgoRecords(t, append(raw, raw...)) // two batches in a row, the second is behind
		if len(got) != 500 {
			t.Fatalf("%v: kgo reads %d records, want 500", codec, len(got))
		}
		for i, r := range got {
			if r.Offset != int64(1000+i) || string(r.Value) != string(s.Body(i)) || r.Timestamp.UnixMilli() != s.Time() || len(r.Headers) != 1+b2i(i == 7) {
				t.Fatalf("%v: kgo reads record %d as %+v", codec, i, r)
			}
		}
		s.Release()
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func kgoRecords(t *testing.T, raw []byte) []*kgo.Record {
	t.Helper()
	first, rest, err := record.Split(raw)
	if err != nil || len(first)+len(rest) != len(raw) {
		t.Fatalf("split %d bytes: %d and %d, %v", len(raw), len(first), len(rest), err)
	}
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches = first
	fetched, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t", Offset: 1000}, &p, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		t.Fatalf("kgo: %v", fetched.Err)
	}
	return fetched.Records
}

// foreign is a batch as a Kafka client makes it: keys, null values, differing
// times, repeated header names.
func foreign(t *testing.T, codec kgo.CompressionCodec, number record.Codec) []byte {
	t.Helper()
	var records []byte
	for i := range 3 {
		r := kmsg.NewRecord()
		r.TimestampDelta64, r.OffsetDelta = int64(i), int32(2*i)
		r.Headers = []kmsg.Header{{Key: "h", Value: []byte("1")}, {Key: "n", Value: nil}, {Key: "h", Value: []byte(fmt.Sprint(i))}}
		switch i {
		case 0:
			r.Key, r.Value = []byte("k0"), []byte(strings.Repeat("value ", 40))
		case 1:
			r.Headers = append(r.Headers, kmsg.Header{Key: "key", Value: []byte("kept")})
			r.Key, r.Value = []byte("k1"), []byte("v1")
		}
		body := r.AppendTo(nil)[1:] // without its length, 0 in one byte
		r.Length = int32(len(body))
		records = r.AppendTo(records)
	}
	compressor, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	if number != record.None {
		var kind kgo.CompressionCodecType
		if records, kind = compressor.Compress(new(bytes.Buffer), records); int(kind) != int(number) {
			t.Fatalf("kgo compressed with %v", kind)
		}
	}
	b := kmsg.NewRecordBatch()
	b.Magic, b.Attributes, b.LastOffsetDelta, b.FirstTimestamp, b.MaxTimestamp, b.NumRecords = 2, int16(number), 4, 50, 52, 3
	b.Records, b.Length = records, int32(49+len(records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func TestWeReadWhatAKafkaClientWrites(t *testing.T) {
	clients := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		raw := foreign(t, clients[i], codec)
		if err := record.Batch(raw).Validate(); err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
		records, pooled, err := record.Batch(raw).Payload(record.DefaultLimits)
		if err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
		var seen []string
		it := record.Iterate(records, 3)
		for it.Next() {
			line := fmt.Sprintf("%d+%d %q %.6q %v", it.OffsetDelta(), it.TimestampDelta(), it.Key(), it.Value(), it.Value() == nil)
			for name, value := range it.Headers {
				line += fmt.Sprintf(" %s=%s", name, value)
			}
			seen = append(seen, line)
		}
		want := []string{
			`0+0 "k0" "value " false h=1 n= h=0`,
			`2+1 "k1" "v1" false h=1 n= h=1 key=kept`,
			`4+2 "" "" true h=1 n= h=2`}
		if it.Err() != nil || !slices.Equal(seen, want) {
			t.Fatalf("%v: iterator %v\n%s", codec, it.Err(), strings.Join(seen, "\n"))
		}
		if pooled {
			record.PutBuffer(records)
		}
		s, err := record.Decode(raw)
		if err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
		if got, want := allOf(s), []plain{
			{strings.Repeat("value ", 40), map[string]string{"h": "0", "n": "", "key": "k0"}},
			{"v1", map[string]string{"h": "1", "n": "", "key": "kept"}},
			{"", map[string]string{"h": "2", "n": ""}}}; !same(got, want) || s.Time() != 50 {
			t.Fatalf("%v: decoded %v at %d, want %v", codec, got, s.Time(), want)
		}
		s.Release()
	}
}

func TestSnappyIsReadInOneBareBlockToo(t *testing.T) {
	for _, name := range []string{"xerial", "bare"} {
		s := batchOf(400, 207) // several blocks of 32 KiB
		raw := encode(t, s, record.Snappy)
		if !bytes.HasPrefix(raw[record.HeaderSize:], []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")) {
			t.Fatalf("no xerial stream: % x", raw[record.HeaderSize:][:16])
		}
		if name == "bare" {
			records, _, err := record.Batch(raw).Payload(record.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			compressor, _ := kgo.DefaultCompressor(kgo.SnappyCompression())
			block, _ := compressor.Compress(new(bytes.Buffer), records)
			raw = append(raw[:record.HeaderSize:record.HeaderSize], block...)
			binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
		}
		got, err := record.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !same(allOf(got), allOf(s)) {
			t.Fatalf("%s: records differ", name)
		}
		got.Release()
		s.Release()
	}
}

// bomb is a batch of one record whose compressed bytes are small and whose
// records are 256 MiB of zeros.
func bomb(t *testing.T, codec record.Codec) []byte {
	t.Helper()
	s := record.NewSlab(100)
	defer s.Release()
	s.Append([]byte("x"))
	b := encode(t, s, record.None)[:record.HeaderSize]
	var out bytes.Buffer
	w := map[record.Codec]func() interface {
		Write([]byte) (int, error)
		Close() error
	}{
		record.Gzip: func() interface {
			Write([]byte) (int, error)
			Close() error
		} {
			return gzip.NewWriter(&out)
		},
		record.Zstd: func() interface {
			Write([]byte) (int, error)
			Close() error
		} {
			z, _ := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
			return z
		},
	}[codec]()
	zeros := make([]byte, 1<<20)
	for range 256 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	b = append(b, out.Bytes()...)
	b[22] = byte(codec)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	return b
}

func TestADecompressionBombIsRefusedBeforeItFillsTheMemory(t *testing.T) {
	for _, codec := range []record.Codec{record.Gzip, record.Zstd} {
		b := bomb(t, codec)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := record.Decode(b)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, record.ErrTooLarge) {
			t.Fatalf("%v: %d bytes that become 256 MiB: %v, want %v", codec, len(b), err, record.ErrTooLarge)
		}
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 160 {
			t.Fatalf("%v: refused after allocating %d MiB", codec, grown)
		}
	}
}

func TestABatchThatCompressesTooWellStaysReadable(t *testing.T) {
	s := record.NewSlab(4 << 20)
	defer s.Release()
	s.Append(make([]byte, 4<<20))
	for _, codec := range codecs {
		got, err := record.Decode(encode(t, s, codec))
		if err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
		got.Release()
	}
}

func TestDamageIsNamedWithItsPlace(t *testing.T) {
	s := batchOf(3, 20)
	defer s.Release()
	good := encode(t, s, record.None)
	change := func(at int, b ...byte) []byte {
		bad := slices.Clone(good)
		copy(bad[at:], b)
		return bad
	}
	for _, c := range []struct {
		what  string
		bytes []byte
		want  string
	}{
		{"cut header", good[:60], "60 bytes, the header alone has 61"},
		{"cut records", good[:len(good)-1], fmt.Sprintf("length at byte 8 makes it %d bytes, there are %d", len(good), len(good)-1)},
		{"old magic", change(16, 1), "magic 1 at byte 16"},
		{"negative length", change(8, 0xff, 0xff, 0xff, 0xff), "length at byte 8 makes it 11 bytes"},
		{"negative count", change(57, 0xff, 0, 0, 0), "count -16777216 at byte 57"},
		{"count beyond offsets", change(57, 0, 0, 0, 4), "count 4 at byte 57, but offset deltas only up to 2"},
		{"stretched offsets", change(23, 0, 1, 0, 0), "crc"},
		{"unknown codec", change(21, 0, 5), "unknown compression 5"},
		{"flipped body", change(80, good[80]^1), "crc"},
	} {
		if err := record.Batch(c.bytes).Validate(); !errors.Is(err, record.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", c.what, err, c.want)
		}
	}
	for _, c := range []struct {
		what  string
		bytes []byte
		want  string
	}{
		{"record length", change(61, 0xff, 0xff, 0xff, 0x7f), "record 0 at byte 0 of the records: bad length at byte 0"},
		{"fewer records", change(57, 0, 0, 0, 2), "bytes behind the last of 2 records"},
		{"header count", change(61+1+1+1+1+1+1+20, 0x7e), "record 0 at byte 0 of the records: bad header count at byte 26"},
		{"control batch", change(21, 0, 0x20), "control batch"},
	} {
		if _, err := record.Decode(c.bytes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", c.what, err, c.want)
		}
	}
}

// A batch with a header of one's own name for every record must not be slow to
// read: that would be a lever for a stranger.
func TestManyHeaderNamesAreReadInOneGo(t *testing.T) {
	s := record.NewSlab(0)
	defer s.Release()
	const n = 70_000
	s.Append(nil)
	for i := range n {
		s.SetHeader(0, fmt.Sprint(i), nil)
		if i == 100 { // building it by SetHeader is the sender's problem
			break
		}
	}
	raw := encode(t, s, record.None)[:record.HeaderSize]
	var headers []byte
	for i := range n {
		name := fmt.Sprint(i)
		headers = append(binary.AppendVarint(headers, int64(len(name))), name...)
		headers = binary.AppendVarint(headers, 0)
	}
	rec := append([]byte{0, 0, 0, 1, 0}, binary.AppendVarint(nil, n)...)
	rec = append(rec, headers...)
	raw = append(binary.AppendVarint(raw, int64(len(rec))), rec...)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	got, err := record.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if v, ok := got.Header(0, "69999"); !ok || len(v) != 0 {
		t.Fatalf("header 69999 of %d: %q, %v", n, v, ok)
	}
}

func TestEncodeAndIterateAllocateNothing(t *testing.T) {
	s := batchOf(1000, 207)
	defer s.Release()
	for i := range s.Len() {
		s.SetHeader(i, "offset", []byte("12345678"))
	}
	dst := make([]byte, 0, s.EncodedSize())
	count := 0
	if n := testing.AllocsPerRun(10, func() {
		b, _ := s.Encode(dst, record.None)
		it := record.Iterate(b[record.HeaderSize:], s.Len())
		for it.Next() {
			for name, value := range it.Headers {
				count += len(name) + len(value) + len(it.Value())
			}
		}
	}); n != 0 || count == 0 {
		t.Fatalf("%v objects for encoding and reading 1000 records", n)
	}
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	s := batchOf(1000, 207)
	defer s.Release()
	for i := range s.Len() {
		s.SetHeader(i, "offset", []byte("12345678"))
	}
	round := func() {
		b, _ := s.Encode(record.GetBuffer(s.EncodedSize()), record.None)
		got, err := record.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		got.Release()
	}
	round()
	if n := testing.AllocsPerRun(20, round); n > 20 {
		t.Fatalf("%v objects for a batch of 1000 records", n)
	}
}

func FuzzRecordBatch(f *testing.F) {
	for _, codec := range codecs {
		s := batchOf(5, 30)
		s.SetHeader(2, "own", []byte("x"))
		b, err := s.Encode(nil, codec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		s.Release()
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _ = record.Split(data)
		_ = record.Batch(data).Validate()
		if len(data) >= record.HeaderSize { // get past the first checks
			data = slices.Clone(data)
			data[16] = 2
			binary.BigEndian.PutUint32(data[8:], uint32(len(data)-12))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := record.Decode(slices.Clone(data))
		runtime.ReadMemStats(&after)
		// One MiB is allowed to every batch; reading it takes columns, readers
		// and buffers that double.
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(64<<20+64*len(data)) {
			t.Fatalf("decoding %d bytes allocated %d", len(data), grown)
		}
		if err != nil {
			return
		}
		defer s.Release()
		want := allOf(s)
		if len(want) == 0 {
			return
		}
		for _, codec := range codecs {
			again, err := record.Decode(encode(t, s, codec))
			if err != nil {
				t.Fatalf("decode what was encoded with %v: %v", codec, err)
			}
			if got := allOf(again); !same(got, want) {
				t.Fatalf("%v: %v, want %v", codec, got, want)
			}
			again.Release()
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			s := batchOf(1000, 207)
			defer s.Release()
			b.SetBytes(1000 * 207)
			b.ReportAllocs()
			for b.Loop() {
				dst, err := s.Encode(record.GetBuffer(s.EncodedSize()), codec)
				if err != nil {
					b.Fatal(err)
				}
				record.PutBuffer(dst)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			s := batchOf(1000, 207)
			defer s.Release()
			raw := encode(b, s, codec)
			b.SetBytes(1000 * 207)
			b.ReportAllocs()
			for b.Loop() {
				got, err := record.Decode(append(record.GetBuffer(len(raw)), raw...))
				if err != nil {
					b.Fatal(err)
				}
				got.Release()
			}
		})
	}
}

func BenchmarkIterate(b *testing.B) {
	s := batchOf(1000, 207)
	defer s.Release()
	raw := encode(b, s, record.None)
	b.SetBytes(1000 * 207)
	b.ReportAllocs()
	for b.Loop() {
		it := record.Iterate(raw[record.HeaderSize:], s.Len())
		for it.Next() {
		}
		if it.Err() != nil {
			b.Fatal(it.Err())
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s := batchOf(1000, 207)
	defer s.Release()
	raw := encode(b, s, record.None)
	b.SetBytes(1000 * 207)
	for b.Loop() {
		if err := record.Batch(raw).Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
