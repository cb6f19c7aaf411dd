package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluicehq/sluice/persistence/record"
)

// readJSON writes the events of text as "k=v;|body" lines.
func readJSON(text string) (string, error) {
	slab := record.NewSlab(0)
	defer slab.Release()
	copy(slab.Tail(len(text)), text)
	slab.Advance(len(text))
	if err := new(jsonEvents).parse(slab, 0, len(text)); err != nil {
		return "", err
	}
	out := ""
	for i := range slab.Len() {
		headers := map[string]string{}
		for k, v := range slab.Headers(i) {
			headers[k] = string(v)
		}
		for _, k := range slices.Sorted(maps.Keys(headers)) {
			out += k + "=" + headers[k] + ";"
		}
		out += "|" + string(slab.Body(i)) + "\n"
	}
	return out, nil
}

func TestJSONIsReadAsGsonReadsIt(t *testing.T) {
	for text, want := range map[string]string{
		`[{"headers":{"a":"b","c":"d"},"body":"x"},{"body":"y"}]`: "a=b;c=d;|x\n|y\n",
		`[]`:                             "",
		` [ ] `:                          "",
		`[{}]`:                           "|\n",
		`[{"body":null,"headers":null}]`: "|\n",
		`[{"headers":{"n":1.5e3,"b":true,"z":null}}]`:                  "b=true;n=1.5e3;|\n",
		`[{"body":"a\"b\\\/\u00e9\ud83d\ude00\n\ud800x"}]`:             "|a\"b\\/é😀\n\uFFFDx\n",
		`[{'body':'it"s',headers:{k:v}}]`:                              "k=v;|it\"s\n",
		`[{body=hello;headers=>{"a"="b"}}; {"body":"2"}]`:              "a=b;|hello\n|2\n",
		"# c\n[/* x */{\"body\"://y\n1}]// end":                        "|1\n",
		"\ufeff[{\"body\":\"bom\"}]":                                   "|bom\n",
		`[{"body":"x","other":{"deep":[1,[2,{"a":[]}],"]"],"t":"}"}}]`: "|x\n",
		`[{"body":"first","body":"last"}]`:                             "|last\n",
		"[{\"body\":\"line\nbreak\ttab\"}]":                            "|line\nbreak\ttab\n",
	} {
		if got, err := readJSON(text); err != nil || got != want {
			t.Errorf("%s:\n got %q, %v\nwant %q", text, got, err, want)
		}
	}
}

func TestInvalidJSONIsRefusedWithItsPlace(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"body":"x"}`, `[{"body":"x"}`, `[{"body":"x"},]`, `[{"body":"x"} {}]`, `[1]`, `["x"]`, `[{"body":{}}]`, `[{"body":[]}]`,
		`[{"headers":[]}]`, `[{"headers":{"a":{}}}]`, `[{"headers":{"a":[]}}]`, `[{"headers":{"a":"1","a":"2"}}]`, `[{"headers":"x"}]`,
		`[{"body":"x}]`, `[{"body":"\x"}]`, `[{"body":"\u12g4"}]`, `[{"body":"\`, `[{"body" "x"}]`, `[] []`, `[{"a":` + strings.Repeat("[", 200) + `}]`, `[{"body":"x"}] x`, `[/*`,
	} {
		got, err := readJSON(text)
		if err == nil || errors.Is(err, errNullEvent) || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{``, ` `, `null`, `[null]`, `[{"body":"x"},null]`} {
		if _, err := readJSON(text); !errors.Is(err, errNullEvent) {
			t.Errorf("%q: got %v, want %v", text, err, errNullEvent)
		}
	}
	many := "[{\"headers\":{"
	for i := range 1001 {
		many += fmt.Sprintf("\"h%d\":1,", i)
	}
	if _, err := readJSON(strings.TrimSuffix(many, ",") + "}}]"); err == nil || !strings.Contains(err.Error(), "more than 1000") {
		t.Errorf("1001 headers: got %v", err)
	}
}

// What strict JSON says, this reader says too.
func FuzzHTTPJSON(f *testing.F) {
	for _, text := range []string{`[{"headers":{"a":"b"},"body":"x"}]`, `[{"body":"\u00e9\ud83d\ude00"}]`, `[{body=hello;headers=>{"a"="b"}}]`, `[{"a":[[]],"body":1}]`, `['`, `[{"body":"\ud800\u0041"}]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readJSON(text)
		var events []struct {
			Body    *string
			Headers map[string]string
		}
		if !utf8.ValidString(text) || strings.Contains(text, "null") || json.Unmarshal([]byte(text), &events) != nil || events == nil {
			return
		}
		var exact []map[string]json.RawMessage // encoding/json folds the case of names
		if json.Unmarshal([]byte(text), &exact) != nil {
			return
		}
		want := ""
		for i, e := range events {
			for name := range exact[i] {
				if name != "body" && name != "headers" {
					return
				}
			}
			for _, k := range slices.Sorted(maps.Keys(e.Headers)) {
				want += k + "=" + e.Headers[k] + ";"
			}
			want += "|"
			if e.Body != nil {
				want += *e.Body
			}
			want += "\n"
		}
		if err == nil && got != want || err != nil && !strings.Contains(err.Error(), "twice") {
			t.Errorf("%q:\n got %q, %v\nwant %q", text, got, err, want)
		}
	})
}

func BenchmarkHTTPJSON(b *testing.B) {
	text := "["
	for i := range 100 {
		text += fmt.Sprintf(`{"headers":{"h":"a"},"body":"2026-11-22T12:00:00.000Z web07 INFO seq=%09d %s"},`, i, strings.Repeat("words ", 26))
	}
	text = strings.TrimSuffix(text, ",") + "]"
	var j jsonEvents
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		slab := record.NewSlab(len(text))
		copy(slab.Tail(len(text)), text)
		slab.Advance(len(text))
		if err := j.parse(slab, 0, len(text)); err != nil || slab.Len() != 100 {
			b.Fatal(err)
		}
		slab.Release()
	}
}
