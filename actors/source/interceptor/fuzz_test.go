package interceptor_test

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// fuzzLinks are what a chain is made of: every kind, in several ways.
var fuzzLinks = [][]string{
	{"host"}, {"host", "preserveExisting", "true", "useIP", "false"},
	{"timestamp"}, {"timestamp", "preserveExisting", "true"},
	{"static", "key", "k", "value", "v"}, {"static", "key", "h", "preserveExisting", "false"},
	{"uuid"}, {"uuid", "headerName", "h", "preserveExisting", "false"},
	{"regex_filter", "regex", "a+"}, {"regex_filter", "regex", "^.?$", "excludeEvents", "true"}, {"regex_filter", "regex", "(?=b)b"},
	{"regex_extractor", "regex", `(\w)(\d*)`, "serializers", "s1 s2", "serializers.s1.name", "h", "serializers.s2.name", "digits"},
	{"search_replace", "searchPattern", "a", "replaceString", "[$0]"}, {"search_replace", "searchPattern", "(.)b", "replaceString", "$1"},
	{"remove_header", "withName", "h"}, {"remove_header", "matching", "k.*"},
}

// Whatever stands in a batch and in whatever order interceptors stand: none
// panics, none invents records, and every record can be read afterwards.
func FuzzInterceptorChain(f *testing.F) {
	for i := range fuzzLinks {
		f.Add([]byte{byte(i), byte(i + 5), 0}, []byte("a1 b\x00b22 abab\xff"), "h", []byte("v"), uint8(4), i%2 == 0)
	}
	// Each is made once: to make one may mean to ask for this machine's name, or
	// to compile a pattern. What one batch leaves behind the next one meets.
	made := map[string]interceptor.Interceptor{}
	f.Fuzz(func(t *testing.T, order, body []byte, key string, value []byte, cut uint8, compat bool) {
		order = order[:min(len(order), 8)]
		body = body[:min(len(body), 4096)]
		if !utf8.ValidString(key) || len(key) > 255 {
			key = "k"
		}
		batch := fuzzBatch(body, key, value, int(cut))
		defer func() { batch.Release() }()
		for _, link := range order {
			texts := fuzzLinks[int(link)%len(fuzzLinks)]
			name := fmt.Sprint(int(link)%len(fuzzLinks), compat)
			if made[name] == nil {
				made[name] = newOne(t, compat, texts[0], texts[1:]...)
			}
			before := batch.Len()
			if err := made[name].Intercept(batch); err != nil {
				if batch.Len() != before {
					t.Fatalf("%v: an error, %v, and %d of %d records", texts, err, batch.Len(), before)
				}
				continue
			}
			if batch.Len() > before || batch.Len() < before && texts[0] != "regex_filter" {
				t.Fatalf("%v: %d records became %d", texts, before, batch.Len())
			}
			consistent(t, batch)
		}
	})
}

// fuzzBatch cuts body into records of cut bytes; every second has a header.
func fuzzBatch(body []byte, key string, value []byte, cut int) *record.Slab {
	s := record.NewSlab(len(body))
	for rest := body; ; {
		n := min(len(rest), max(cut, 1))
		s.Append(rest[:n])
		if i := s.Len() - 1; i%2 == 1 && key != "" {
			s.SetHeader(i, key, value)
		}
		if rest = rest[n:]; len(rest) == 0 || s.Len() == 64 {
			break
		}
	}
	s.SetCommon("common", []byte("c"))
	return s
}

// consistent fails unless headers read one by one are those read together.
func consistent(t *testing.T, s *record.Slab) {
	t.Helper()
	bytes := 0
	for i := range s.Len() {
		bytes += len(s.Body(i))
		seen := map[string]bool{}
		for k, v := range s.Headers(i) {
			if seen[k] {
				t.Fatalf("record %d has the header %q twice", i, k)
			}
			seen[k] = true
			if got, ok := s.Header(i, k); !ok || string(got) != string(v) {
				t.Fatalf("record %d, header %q: %q alone and %q with the others", i, k, got, v)
			}
		}
	}
	if got := s.BodyBytes(); got != bytes {
		t.Fatalf("%d bytes of bodies, the records have %d", got, bytes)
	}
}

// The fuzz target leaves no kind out.
func TestFuzzedChainsUseEveryInterceptor(t *testing.T) {
	used := map[string]bool{}
	for i, link := range fuzzLinks {
		used[link[0]] = true
		if _, err := interceptor.Chain(settingsOf(link[0], link[1:]...), interceptor.Env{}); err != nil {
			t.Errorf("link %d: %v", i, err)
		}
	}
	for _, k := range kinds.All(kinds.Interceptor) {
		if k.Support != kinds.Missing && !used[k.Name] {
			t.Errorf("no chain has %s", k.Name)
		}
	}
}
