package record_test

import (
	"maps"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

// What Flume's own classes write: one header h=v and the body "hi".
var flumeEvent = []byte{2, 2, 'h', 2, 'v', 0, 4, 'h', 'i'}

func TestAFlumeEventIsReadAndWrittenAsFlumeDoes(t *testing.T) {
	s := record.NewSlab(100)
	defer s.Release()
	i, err := s.AddFlumeEvent(flumeEvent)
	if err != nil {
		t.Fatal(err)
	}
	if h, _ := s.Header(i, "h"); string(h) != "v" || string(s.Body(i)) != "hi" {
		t.Fatalf("header %q, body %q", h, s.Body(i))
	}
	if got := s.AppendFlumeEvent(nil, i); string(got) != string(flumeEvent) {
		t.Fatalf("written %v, want %v", got, flumeEvent)
	}
	sized := []byte{1, 8, 2, 'h', 2, 'v', 0, 0} // the other form of a block, and no body
	if i, err = s.AddFlumeEvent(sized); err != nil || len(s.Body(i)) != 0 {
		t.Fatalf("a block with its size: %v", err)
	}
}

func FuzzFlumeEvent(f *testing.F) {
	f.Add(flumeEvent)
	f.Add([]byte{0, 0})
	f.Add([]byte{1, 8, 2, 'h', 2, 'v', 0, 0})
	f.Add([]byte{254, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2})
	f.Fuzz(func(t *testing.T, value []byte) {
		s := record.NewSlab(len(value))
		defer s.Release()
		i, err := s.AddFlumeEvent(value)
		if err != nil {
			if s.Len() != 0 {
				t.Fatal("a bad event left a record")
			}
			return
		}
		again := record.NewSlab(len(value))
		defer again.Release()
		j, err := again.AddFlumeEvent(s.AppendFlumeEvent(nil, i))
		if err != nil || string(again.Body(j)) != string(s.Body(i)) {
			t.Fatalf("written and read again: %v", err)
		}
		if !maps.EqualFunc(collect(s, i), collect(again, j), func(a, b string) bool { return a == b }) {
			t.Fatalf("headers %v, then %v", collect(s, i), collect(again, j))
		}
	})
}

func collect(s *record.Slab, i int) map[string]string {
	m := map[string]string{}
	for k, v := range s.Headers(i) {
		m[k] = string(v)
	}
	return m
}
