package flume_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/topologies/flume"
)

func TestFilesAreReadByTheRulesOfJavaProperties(t *testing.T) {
	for _, c := range []struct{ name, file, key, value string }{
		{"equals sign", "k=v", "k", "v"},
		{"colon", "k : v", "k", "v"},
		{"blank alone", "k v", "k", "v"},
		{"tab and form feed", "\fk\t\fv", "k", "v"},
		{"only one separator is skipped", "k = = v", "k", "= v"},
		{"colon after equals belongs to the value", "k=:v", "k", ":v"},
		{"blanks before the key", "   k = v", "k", "v"},
		{"blanks behind the value are kept by the file's rules", "k = v  ", "k", "v  "},
		{"key without value", "k", "k", ""},
		{"key without value before a line end", "k\r\n", "k", ""},
		{"escaped separators in the key", `a\ b\=c\:d = v`, "a b=c:d", "v"},
		{"a comment mark inside a line is text", "k = v # not", "k", "v # not"},
		{"comment with backslash does not go on", "# x \\\nk = v", "k", "v"},
		{"bang comment", "! x\nk = v", "k", "v"},
		{"continued value", "k = a \\\n   b", "k", "a b"},
		{"continued by CRLF", "k = a\\\r\n\tb", "k", "ab"},
		{"continued key", "a1.sour\\\n  ces = r1", "a1.sources", "r1"},
		{"continued between key and value", "k \\\n  = v", "k", "v"},
		{"continued line may begin with a comment mark", "k = a\\\n# b", "k", "a# b"},
		{"even backslashes do not continue", "k = a\\\\\nx = y", "k", `a\`},
		{"odd backslashes continue", "k = a\\\\\\\nb", "k", `a\b`},
		{"backslash at the end of the file", `k = v\`, "k", "v"},
		{"continued by an empty line", "k = v\\\n\nx = y", "k", "v"},
		{"nothing but continued lines", "\\\n\nk = v", "k", "v"},
		{"escapes", `k = \t\n\r\f\d\\\"`, "k", "\t\n\r\fd\\\""},
		{"unicode", `k = \u0041\u00e9`, "k", "Aé"},
		{"unicode in two escapes", `k = \ud83d\ude00!`, "k", "😀!"},
		{"half of a pair", `k = \ud83dx`, "k", "\uFFFDx"},
		{"unicode across lines", "k = \\u00\\\n41", "k", "A"},
		{"CR alone ends a line", "a = b\rk = v", "k", "v"},
		{"UTF-8", "k = größe", "k", "größe"},
		{"Latin-1 where it is not UTF-8", "k = gr\xf6\xdfe", "k", "größe"},
		{"byte order mark", "\xef\xbb\xbfk = v", "k", "v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range read(t, c.file, flume.Options{}).Properties {
				if p.Key == c.key {
					if p.Value != c.value {
						t.Errorf("%q: got the value %q, want %q", c.file, p.Value, c.value)
					}
					return
				}
			}
			t.Errorf("%q has no key %q", c.file, c.key)
		})
	}
}

func TestABrokenUnicodeEscapeIsAnErrorWithItsPlace(t *testing.T) {
	for _, file := range []string{`k = \u12`, `k = \u12g4`, "k = \\u", "x = 1\nk = C:\\users"} {
		p := read(t, file, flume.Options{})
		f := faultOf(t, p, "SL0103")
		if at := strings.LastIndex(strings.ReplaceAll(file, "x = 1\n", ""), `\u`) + 1; f.Pos.Column != at {
			t.Errorf("%q: got column %d, want %d", file, f.Pos.Column, at)
		}
	}
}

func TestCommentsAboveAKeyBelongToIt(t *testing.T) {
	p := read(t, "# a file\n\n# the port\n#  to listen on\na1.x.y.port = 1\na1.x.y.bind = 2\n", flume.Options{})
	if got := fmt.Sprint(p.Properties[0].Comments, len(p.Properties[1].Comments)); got != "[ the port   to listen on] 0" {
		t.Errorf("got %s", got)
	}
}

// written is a property in one of the many ways of writing it.
type written struct {
	key, value, text string
}

// writtenProperty draws a property and a way to write it.
func writtenProperty(t *rapid.T) written {
	letters := rapid.SampledFrom([]rune("ab.=: \t\n\r\f\\#!uéß😀\"'${}-0"))
	w := written{
		key:   string(rapid.SliceOfN(letters, 1, 8).Draw(t, "key")) + ".k",
		value: string(rapid.SliceOfN(letters, 0, 12).Draw(t, "value")),
	}
	var b strings.Builder
	spell(t, &b, w.key, " \t\f\n\r=:#!\\")
	b.WriteString(rapid.SampledFrom([]string{"=", ":", " = ", "\t", " : ", "\\\n =\\\r\n "}).Draw(t, "separator"))
	inner, first := "\n\r\\", " \t\f\n\r\\=:#!"
	if w.value != "" {
		r, n := utf8.DecodeRuneInString(w.value)
		spell(t, &b, string(r), first)
		spell(t, &b, w.value[n:], inner)
	}
	b.WriteString(rapid.SampledFrom([]string{"\n", "\r", "\r\n"}).Draw(t, "line end"))
	w.text = b.String()
	return w
}

// spell writes s, with what is in escaped behind backslashes, and with escapes
// and line breaks that change nothing.
func spell(t *rapid.T, b *strings.Builder, s, escaped string) {
	for i, r := range s {
		// Blanks at the beginning of the next line are lost, so that a line
		// goes on only before something else.
		if i > 0 && !strings.ContainsRune(" \t\f", r) && rapid.IntRange(0, 9).Draw(t, "break") == 0 {
			b.WriteString("\\\n  \\\r\n\t")
		}
		switch how := rapid.IntRange(0, 9).Draw(t, "how"); {
		case how == 0 && r < 0x10000 && r != utf8.RuneError:
			fmt.Fprintf(b, `\u%04x`, r)
		case strings.ContainsRune("\n\r", r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		case strings.ContainsRune(escaped, r) || how == 1 && !strings.ContainsRune("tnrfu", r) && r > ' ':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file strings.Builder
		want := map[string]string{}
		for range rapid.IntRange(1, 6).Draw(t, "properties") {
			w := writtenProperty(t)
			file.WriteString(w.text)
			want[w.key] = w.value
			if rapid.Bool().Draw(t, "comment") {
				file.WriteString("  # words = more\\\r\n\n")
			}
		}
		p, err := flume.Read([]flume.File{{Name: "f", Data: []byte(file.String())}}, flume.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, q := range p.Properties {
			got[q.Key] = q.Value
		}
		if p.Blocks {
			return // a line that happens to open a block
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("from %q: got %q, want %q", file.String(), got, want)
		}
	})
}
