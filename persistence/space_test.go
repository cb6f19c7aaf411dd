package persistence

import (
	"errors"
	"testing"
)

const mib = 1 << 20

// gateOf is a gate that keeps min free, on a volume whose free bytes a test
// sets.
func gateOf(min int64) (g *space, free *int64) {
	free = new(int64)
	return &space{min: min, stat: func(string) (int64, int64, error) { return 1 << 40, *free, nil }}, free
}

// put asks for an append of size bytes after the volume was looked at anew.
func (g *space) put(size int) error {
	if err := g.read(); err != nil {
		return err
	}
	return g.check(&Write{Appends: []Append{{Payload: make([]byte, size)}}})
}

func TestAGateThatIsShutOpensOnlyWhenMuchMoreIsFree(t *testing.T) {
	for _, c := range []struct{ min, margin int64 }{
		{100 * mib, 16 * mib}, // the least margin
		{400 * mib, 50 * mib}, // an eighth
	} {
		g, free := gateOf(c.min)
		steps := []struct {
			name string
			free int64
			shut bool
		}{
			{"just enough at first", c.min + 1, false},
			{"too little", c.min, true},
			{"a little more again", c.min + 1, true},
			{"nearly the margin", c.min + c.margin - 1, true},
			{"the margin", c.min + c.margin + 1, false},
			{"less, but enough", c.min + 1, false},
			{"too little again", c.min - mib, true},
		}
		for _, s := range steps {
			*free = s.free
			err := g.put(1)
			if errors.Is(err, ErrNoSpace) != s.shut {
				t.Errorf("min %d MiB, %s: an append is answered %v", c.min/mib, s.name, err)
			}
			if err := g.look(); errors.Is(err, ErrNoSpace) != s.shut {
				t.Errorf("min %d MiB, %s: who asks is told %v", c.min/mib, s.name, err)
			}
		}
	}
}

// A refusal by what was handed out since the volume was looked at is told even
// if the volume does not show it yet, and what was refused does not count.
func TestARefusalByEstimateIsTold(t *testing.T) {
	g, free := gateOf(100 * mib)
	*free = 104 * mib
	for range 3 {
		if err := g.put(mib); err != nil {
			t.Fatal(err)
		}
	}
	*free = 103 * mib
	if err := g.put(5 * mib); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("an append of more than is left is answered %v", err)
	}
	if g.handed != 0 {
		t.Errorf("what was refused counts with %d bytes", g.handed)
	}
	*free = 110 * mib
	if err := g.look(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("who asks after the refusal is told %v", err)
	}
	if err := g.put(1); !errors.Is(err, ErrNoSpace) {
		t.Errorf("the next append is answered %v", err)
	}
}

// Otherwise a sink could not commit what would give space back.
func TestAShutGateLetsThroughWhatAppendsNothing(t *testing.T) {
	g, free := gateOf(100 * mib)
	*free = 60 * mib
	if err := g.put(1); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("an append is answered %v", err)
	}
	if err := g.check(&Write{Deletes: [][]byte{{1}}}); err != nil {
		t.Errorf("a delete is answered %v", err)
	}
	*free = 49 * mib
	if err := g.read(); err != nil {
		t.Fatal(err)
	}
	if err := g.check(&Write{Deletes: [][]byte{{1}}}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("with half of the least free, a delete is answered %v", err)
	}
}
