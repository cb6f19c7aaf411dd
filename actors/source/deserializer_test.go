package source_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

func utf16Bytes(text string, big bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b.WriteByte(byte(u >> 8))
			b.WriteByte(byte(u))
		} else {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
	}
	return b.String()
}

func TestLinesOfCharsetsPoliciesAndLengths(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		settings []string
		want     []string
	}{
		"carriage returns stay, the last line needs no newline": {"a\r\n\nb", nil, []string{"a\r", "", "b"}},
		"characters of several bytes":                           {"ä€\U0001F600\nx\n", nil, []string{"ä€\U0001F600", "x"}},
		"long lines are cut by characters":                      {"äöüäöü\nä\n", []string{"deserializer.maxLineLength", "4"}, []string{"äöüä", "öü", "ä"}},
		"a line as long as the limit is one":                    {"abcd\nabcdabcd\n", []string{"deserializer.maxLineLength", "4"}, []string{"abcd", "abcd", "abcd"}},
		"the old name of the limit":                             {"abcdef\n", []string{"bufferMaxLineLength", "3"}, []string{"abc", "def"}},
		"a pair counts as two and stays whole":                  {"a\U0001F600\U0001F600b", []string{"deserializer.maxLineLength", "2"}, []string{"a", "\U0001F600", "\U0001F600", "b"}},
		"replace":                                               {"a\xffb\n\xe2\x82x\xf0\x9f\x98\n", []string{"decodeErrorPolicy", "replace"}, []string{"a\uFFFDb", "\uFFFDx\uFFFD"}},
		"ignore":                                                {"a\xffb\n\xe2\x82x\n", []string{"decodeErrorPolicy", "IGNORE"}, []string{"ab", "x"}},
		"latin 1":                                               {"\xe4\xf6\n\xfc", []string{"inputCharset", "ISO-8859-1"}, []string{"äö", "ü"}},
		"latin 1 to itself":                                     {"\xe4\n", []string{"inputCharset", "ISO-8859-1", "deserializer.outputCharset", "latin1"}, []string{"\xe4"}},
		"what the output cannot write":                          {"ä€\n", []string{"deserializer.outputCharset", "ISO-8859-1"}, []string{"\xe4?"}},
		"utf-16le":                                              {utf16Bytes("Ċa\n\U0001F600\n", false), []string{"inputCharset", "UTF-16LE"}, []string{"Ċa", "\U0001F600"}},
		"utf-16be":                                              {utf16Bytes("ਊ\nb", true), []string{"inputCharset", "UTF-16BE"}, []string{"ਊ", "b"}},
		"utf-16 says its order":                                 {"\xff\xfe" + utf16Bytes("a\nb\n", false), []string{"inputCharset", "UTF-16"}, []string{"a", "b"}},
		"utf-16 without a mark":                                 {utf16Bytes("a\nb\n", true), []string{"inputCharset", "UTF-16"}, []string{"a", "b"}},
		"a torn pair is replaced":                               {utf16Bytes("a", true) + "\xd8\x00" + utf16Bytes("b\n", true), []string{"inputCharset", "UTF-16BE", "decodeErrorPolicy", "REPLACE"}, []string{"a\uFFFDb"}},
		"the replacement character itself":                      {utf16Bytes("\uFFFD\n", true), []string{"inputCharset", "UTF-16BE"}, []string{"\uFFFD"}},
		"a byte order mark of UTF-8 stays":                      {"\ufeffa\n", nil, []string{"\ufeffa"}},
	} {
		t.Run(name, func(t *testing.T) {
			sp := newSpool(t, c.settings...)
			sp.drop("a", c.text)
			sp.start(true)
			sp.wants(c.want...)
			sp.names("a.COMPLETED")
		})
	}
}

// Flume meets the newline behind a full line again, as a line of its own.
func TestLinesAsLongAsTheLimitHaveAnEmptyOneBehindThemWithFlumesDefects(t *testing.T) {
	sp := newSpool(t, "deserializer.maxLineLength", "4")
	sp.env.Compat = true
	sp.drop("a", "abcd\nab\n")
	sp.start(true)
	sp.wants("abcd", "", "ab")
}

func TestLinesThatAreMalformedPutTheirFileAside(t *testing.T) {
	sp := newSpool(t, "batchSize", "10")
	sp.drop("a", "good\nbad \xff\nnever read\n")
	sp.start(true)
	sp.wants("good")
	sp.drop("b", "next\n")
	sp.wants("good", "next")
	sp.names(".flumespool/aside/a", "b.COMPLETED")
	if n := sp.env.Counters.Malformed.Load(); n != 1 {
		t.Errorf("counted %d malformed, want 1", n)
	}
}

// A restart inside a line of several pieces, or behind a character of several
// bytes, goes on exactly there.
func TestLinesGoOnWhereTheyWereSettled(t *testing.T) {
	text := "äöüäöüäöü\n€uro\n\U0001F600\U0001F600\U0001F600\nlast"
	for _, charset := range []string{"UTF-8", "UTF-16"} {
		raw := text
		if charset == "UTF-16" {
			raw = "\xff\xfe" + utf16Bytes(text, false)
		}
		for n := range 9 {
			sp := newSpool(t, "batchSize", "1", "deserializer.maxLineLength", "4", "inputCharset", charset)
			sp.drop("a", raw)
			want := []string{"äöüä", "öüäö", "ü", "€uro", "\U0001F600\U0001F600", "\U0001F600", "last"}
			sp.start(false)
			sp.wants(want...)
			n = min(n, len(want))
			sp.kill(n)
			sp.start(true)
			sp.wants(want[n:]...)
			sp.names("a.COMPLETED")
		}
	}
}

func TestLinesLongerThanAnyBlock(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	sp := newSpool(t, "deserializer.maxLineLength", "2000000")
	sp.drop("a", "short\n"+long+"\nshort\n")
	sp.start(true)
	sp.wants("short", long, "short")
}

func TestBlobsAreWholeFilesOrPiecesOfThem(t *testing.T) {
	sp := newSpool(t, "deserializer", "org.apache.flume.sink.solr.morphline.BlobDeserializer$Builder", "deserializer.maxBlobLength", "10")
	sp.drop("a", "0123456789\nabc\n")
	sp.drop("b", "short")
	sp.drop("c", "")
	for i, name := range []string{"a", "b", "c"} {
		setTime(t, sp.path(name), i)
	}
	sp.start(true)
	sp.wants("0123456789", "\nabc\n", "short", "")
}

const userSchema = `{"type":"record","name":"User","fields":[{"name":"name","type":"string"},{"name":"tags","type":{"type":"array","items":"long"}}]}`

type user struct {
	Name string  `avro:"name"`
	Tags []int64 `avro:"tags"`
}

// container is an Avro file of n users, three a block, and their encodings.
func container(t *testing.T, n int, opts ...ocf.WriterOpt) (text string, datums []string) {
	t.Helper()
	schema := avro.MustParse(userSchema)
	var file bytes.Buffer
	w, err := ocf.NewWriter(&file, schema, append(opts, ocf.WithBlockCount(3), ocf.WithSchema(userSchema))...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		u := user{fmt.Sprintf("user %d", i), []int64{int64(i), 1 << 40}}
		if err := w.Encode(u); err != nil {
			t.Fatal(err)
		}
		datum, err := schema.Encode(u)
		if err != nil {
			t.Fatal(err)
		}
		datums = append(datums, string(datum))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.String(), datums
}

func TestAvroFilesAreCutIntoTheirRecords(t *testing.T) {
	zstd, err := ocf.ZstdCodec(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]ocf.WriterOpt{
		"null": nil, "deflate": {ocf.WithCodec(ocf.DeflateCodec(6))}, "snappy": {ocf.WithCodec(ocf.SnappyCodec())}, "zstd": {ocf.WithCodec(zstd)},
	} {
		t.Run(name, func(t *testing.T) {
			text, datums := container(t, 10, opts...)
			for n := range 6 { // restarts inside a block and between blocks
				sp := newSpool(t, "deserializer", "AVRO", "batchSize", "2")
				sp.drop("a", text)
				sp.start(false)
				sp.wants(datums...)
				sp.kill(n)
				sp.start(true)
				sp.wants(datums[2*n:]...)
				sp.names("a.COMPLETED")
			}
		})
	}
}

func TestAvroRecordsTellTheirSchema(t *testing.T) {
	for typ, want := range map[string][2]string{
		"HASH":    {"flume.avro.schema.hash", hashOfUser(t)},
		"literal": {"flume.avro.schema.literal", userSchema},
	} {
		sp := newSpool(t, "deserializer", "avro", "deserializer.schemaType", typ)
		text, _ := container(t, 2)
		sp.drop("a", text)
		sp.start(true)
		for _, r := range sp.out.WaitRecords(t, 2) {
			if len(r.Headers) != 1 || r.Headers[want[0]] != want[1] {
				t.Errorf("%s: headers %v, want %v", typ, r.Headers, want)
			}
		}
	}
}

// hashOfUser is the CRC-64-AVRO of the schema's canonical form as Java prints
// its bytes: the lowest first.
func hashOfUser(t *testing.T) string {
	h := avro.NewRabin()
	h.Write([]byte(`{"name":"User","type":"record","fields":[{"name":"name","type":"string"},{"name":"tags","type":{"type":"array","items":"long"}}]}`))
	sum := h.Sum64()
	var b strings.Builder
	for range 8 {
		fmt.Fprintf(&b, "%02x", byte(sum))
		sum >>= 8
	}
	return b.String()
}

func TestAvroFilesThatAreDamagedAreMovedAside(t *testing.T) {
	text, datums := container(t, 9)
	for name, damaged := range map[string]string{
		"no container":  "just text\n",
		"cut in header": text[:20],
		"cut in block":  text[:len(text)-20],
		"other marker":  text[:len(text)-1] + "\x00",
		"huge block":    text + "\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"negative":      text + "\x01\x01",
	} {
		t.Run(name, func(t *testing.T) {
			sp := newSpool(t, "deserializer", "avro")
			sp.drop("a", damaged)
			sp.start(true)
			sp.names(".flumespool/aside/a")
			got := sp.out.Bodies()
			if !slices.Equal(got, datums[:min(len(got), len(datums))]) {
				t.Errorf("got %q before the damage", got)
			}
		})
	}
}
