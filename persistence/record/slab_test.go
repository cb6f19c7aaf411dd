package record_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
	"pgregory.net/rapid"
)

// plain is a record as a reader of the slab sees it.
type plain struct {
	body    string
	headers map[string]string
}

func plainOf(s *record.Slab, i int) plain {
	p := plain{string(s.Body(i)), map[string]string{}}
	for k, v := range s.Headers(i) {
		if _, twice := p.headers[k]; twice {
			panic("header " + k + " comes twice")
		}
		p.headers[k] = string(v)
	}
	return p
}

func allOf(s *record.Slab) []plain {
	var all []plain
	for i := range s.Len() {
		all = append(all, plainOf(s, i))
	}
	return all
}

func same(a, b []plain) bool {
	return slices.EqualFunc(a, b, func(x, y plain) bool {
		return x.body == y.body && maps.Equal(x.headers, y.headers)
	})
}

var headerNames = []string{"a", "timestamp", "host", "key", ""}

// drawSlab draws a slab by random use, with the plain records it must hold.
func drawSlab(t *rapid.T) (*record.Slab, []plain) {
	s, want := record.NewSlab(rapid.SampledFrom([]int{0, 100_000}).Draw(t, "size")), []plain{}
	s.SetTime(rapid.Int64().Draw(t, "time"))
	common := map[string]string{}
	names := headerNames
	if rapid.Bool().Draw(t, "many names") {
		names = slices.Clone(names)
		for i := range 60 {
			names = append(names, fmt.Sprint("h", i))
		}
	}
	body := rapid.OneOf(rapid.StringN(0, 20, 60), rapid.Just(strings.Repeat("x", 5000)))
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		i := -1
		if len(want) > 0 {
			i = rapid.IntRange(0, len(want)-1).Draw(t, "i")
		}
		name, value := rapid.SampledFrom(names).Draw(t, "name"), body.Draw(t, "value")
		switch op := rapid.IntRange(0, 11).Draw(t, "op"); {
		case op <= 3 || i < 0:
			s.Append([]byte(value))
			want = append(want, plain{value, maps.Clone(common)})
		case op == 4:
			s.SetCommon(name, []byte(value))
			common[name] = value
			for _, p := range want {
				p.headers[name] = value
			}
		case op <= 6:
			s.SetHeader(i, name, []byte(value))
			want[i].headers[name] = value
		case op == 7:
			s.RemoveHeader(name)
			delete(common, name)
			for _, p := range want {
				delete(p.headers, name)
			}
		case op == 8:
			s.DropHeader(i, name)
			delete(want[i].headers, name)
		case op == 9:
			s.SetBody(i, []byte(value))
			want[i].body = value
		case op == 10:
			s.Keep(func(j int) bool { return j != i })
			want = slices.Delete(want, i, i+1)
		case op == 11:
			// A value that is part of the slab itself, and makes it grow.
			s.SetHeader(i, name, s.Body(i))
			want[i].headers[name] = want[i].body
		}
	}
	return s, want
}

func TestASlabHoldsWhatWasPutIntoIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := drawSlab(t)
		defer s.Release()
		if got := allOf(s); !same(got, want) {
			t.Fatalf("slab holds %v, want %v", got, want)
		}
		for i, p := range want {
			for _, name := range headerNames {
				got, ok := s.Header(i, name)
				if w, has := p.headers[name]; ok != has || string(got) != w {
					t.Fatalf("header %q of record %d: %q, %v; want %q, %v", name, i, got, ok, w, has)
				}
			}
			if s.HasHeaders(i) != (len(p.headers) > 0) {
				t.Fatalf("HasHeaders(%d) with headers %v", i, p.headers)
			}
		}
		for _, name := range headerNames {
			if v, ok := s.Common(name); ok {
				for i, p := range want {
					if w, has := p.headers[name]; !has || w != string(v) {
						t.Fatalf("Common(%q) is %q, but record %d has %q, %v", name, v, i, w, has)
					}
				}
			}
		}
	})
}

func TestASubsetOutlivesItsSlab(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, want := drawSlab(t)
		var which []int
		var chosen []plain
		for i := range want {
			if rapid.Bool().Draw(t, "chosen") {
				which, chosen = append(which, i), append(chosen, want[i])
			}
		}
		sub := s.Subset(which)
		s.Release()
		other := record.NewSlab(0) // takes the buffer of s if it was given back too early
		other.Append(bytes.Repeat([]byte{'#'}, 4096))
		if got := allOf(sub); !same(got, chosen) {
			t.Fatalf("subset %v holds %v, want %v", which, got, chosen)
		}
		other.Release()
		sub.Release()
	})
}

func TestABodyStaysReadableWhileItsSlabGrows(t *testing.T) {
	s := record.NewSlab(0)
	defer s.Release()
	s.Append([]byte("first"))
	before := s.Body(0)
	s.Tail(1 << 20)
	other := record.NewSlab(0) // would get the outgrown buffer
	defer other.Release()
	other.Append([]byte("XXXXXXXXXX"))
	if string(before) != "first" {
		t.Fatalf("the body read before the slab grew is now %q", before)
	}
}

func TestReleasingASlabTwicePanics(t *testing.T) {
	s := record.NewSlab(0)
	s.Retain()
	s.Release()
	s.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("a third release of two references: no panic")
		}
	}()
	s.Release()
}

// Per batch a few objects may be needed, per record none.
func TestAPooledSlabTakesRecordsWithoutAllocating(t *testing.T) {
	line := bytes.Repeat([]byte{'l'}, 207)
	fill := func() {
		s := record.NewSlab(256 << 10)
		s.SetCommon("host", line[:10])
		for i := range 1000 {
			s.Append(line)
			s.SetHeader(i, "offset", line[:8])
		}
		s.Keep(func(i int) bool { return i%2 == 0 })
		for i := range s.Len() {
			for range s.Headers(i) {
			}
		}
		s.Release()
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 20 {
		t.Fatalf("%v objects for a batch of 1000 records", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	line := bytes.Repeat([]byte{'l'}, 207)
	b.SetBytes(1000 * 207)
	b.ReportAllocs()
	for b.Loop() {
		s := record.NewSlab(256 << 10)
		for range 1000 {
			s.Append(line)
		}
		s.Release()
	}
}

func BenchmarkKeepHalf(b *testing.B) {
	s := batchOf(1000, 207)
	which := make([]int, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		which = which[:0]
		for i := range 1000 {
			if s.Body(i)[0]&1 == byte(i&1) {
				which = append(which, i)
			}
		}
		s.Subset(which).Release()
	}
}
