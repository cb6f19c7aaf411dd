package persistence_test

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
)

// gate lets a test stop, fail or watch every step that changes the disk.
type gate struct {
	mu    sync.Mutex
	steps []string
	hold  map[string]chan struct{} // closed: go on
	held  chan string
	fail  map[string]error
}

func newGate() *gate {
	return &gate{hold: map[string]chan struct{}{}, held: make(chan string, 1024), fail: map[string]error{}}
}

func (g *gate) Before(op, path string) error {
	g.mu.Lock()
	g.steps = append(g.steps, op+" "+filepath.Base(path))
	hold, err := g.hold[op], g.fail[op]
	if h := g.hold[op+" "+filepath.Base(filepath.Dir(path))]; h != nil {
		hold = h
	}
	g.mu.Unlock()
	if hold != nil {
		g.held <- op
		<-hold
	}
	return err
}

// block makes every op wait; the answer lets them go.
func (g *gate) block(op string) (release func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	g.hold[op] = ch
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		delete(g.hold, op)
		g.mu.Unlock()
		close(ch)
	}
}

func (g *gate) note(s string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps = append(g.steps, s)
}

// only are the steps among names, in order.
func (g *gate) only(names ...string) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.steps {
		op, _, _ := strings.Cut(s, " ")
		if slices.Contains(names, op) {
			out = append(out, op)
		}
	}
	return out
}

func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps = nil
}

func withFaults(f persistence.Faults) func(*persistence.Options) {
	return func(o *persistence.Options) { o.Faults = f }
}

// waitForStep returns when op was begun n times and nothing holds it.
func waitForStep(t *testing.T, g *gate, op string, n int) {
	t.Helper()
	for len(g.only(op)) < n {
		select {
		case <-t.Context().Done():
			t.Fatalf("%s was begun %d times, want %d", op, len(g.only(op)), n)
		case <-time.After(time.Millisecond):
		}
	}
}
