package sinktest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/persistence/record"
)

// node is what surrounds a sink: the channel that its records come from, the
// store for its state, and an end at any step.
type node struct {
	t       *testing.T
	target  Target
	random  *rand.Rand
	records []string // the channel
	taken   int      // records delivered since the start
	settled int      // records committed
	state   sink.State
	replays bool

	sink    sink.Sink
	durable bool
	stopAt  int // the step at which the process ends; 0: none
	steps   int
	stopped atomic.Bool
	process *process

	mu sync.Mutex // guards steps and state: a sink may keep state beside its calls
}

// process is what one open started. Once it has crashed its sink can keep
// nothing any more.
type process struct{ crashed atomic.Bool }

func newNode(t *testing.T, target Target, records int) *node {
	n := &node{t: t, target: target, state: sink.State{}, replays: true, random: rand.New(rand.NewPCG(1, 2))}
	n.add(records)
	return n
}

// add puts more records into the channel.
func (n *node) add(count int) {
	for range count {
		i := len(n.records)
		n.records = append(n.records, fmt.Sprintf("record %07d %s", i, strings.Repeat("x", i%90)))
	}
}

func (n *node) done() bool { return n.settled == len(n.records) }

// open starts a sink with the state last committed, at the first record that
// is not settled.
func (n *node) open() {
	n.t.Helper()
	n.taken, n.steps = n.settled, 0
	n.stopped.Store(false)
	p := &process{}
	n.process = p
	s, err := n.target.New(sink.Env{
		Log: quiet(), Agent: "a1", Name: "k1", State: cloned(n.state), Keep: func(_ context.Context, state sink.State) error { return n.keep(p, state) }, Replays: n.replays, Counters: &sink.Counters{},
		DeadLetter: func(_ *record.Slab, i int, code, reason string) {
			n.t.Errorf("record %d went to the dead letters: %s: %s", i, code, reason)
		},
	})
	if err != nil {
		n.t.Fatalf("open the sink: %v", err)
	}
	n.sink = s
	_, n.durable = s.(sink.Durable)
}

// crash leaves the sink as it is, and never speaks to it again until the test
// is over.
func (n *node) crash() {
	n.process.crashed.Store(true)
	left := n.sink
	n.t.Cleanup(func() { _ = left.Close() })
	n.sink = nil
}

func (n *node) close() {
	n.t.Helper()
	if err := n.call(n.sink.Close); err != nil {
		n.t.Fatalf("close the sink: %v", err)
	}
}

// closed closes the sink, and says whether the process lived to see that.
func (n *node) closed() bool {
	n.t.Helper()
	err := n.call(n.sink.Close)
	if n.stopped.Load() {
		return false
	}
	if err != nil {
		n.t.Fatalf("close the sink: %v", err)
	}
	return true
}

// keep is Env.Keep of the sink that p started: it commits state on its own.
func (n *node) keep(p *process, state sink.State) error {
	if p.crashed.Load() {
		return errStopped
	}
	n.pass()
	n.merge(state)
	n.pass()
	return nil
}

// pass is a step at which the process may end. Inside a call of the sink the
// goroutine ends there, so that nothing the sink would do afterwards is done.
func (n *node) pass() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.steps++
	if n.stopped.Load() || n.steps == n.stopAt {
		n.stopped.Store(true)
		runtime.Goexit()
	}
}

// call runs fn, a call of the sink, which must come back.
func (n *node) call(fn func() error) error {
	n.t.Helper()
	result := make(chan error, 1)
	go func() {
		err := errStopped
		defer func() { result <- err }()
		err = fn()
	}()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		n.t.Fatal("a call of the sink did not return")
		return nil
	}
}

// step delivers one to three batches and commits what is pending, sometimes
// only after the next batch.
func (n *node) step() {
	n.t.Helper()
	for range 1 + n.random.IntN(3) {
		if !n.deliver() {
			return
		}
	}
	p := n.pending()
	if n.random.IntN(3) == 0 && !n.commitBeside(p) {
		return
	}
	n.commit(p)
}

// commitBeside delivers a batch while p is made durable.
func (n *node) commitBeside(p *part) bool {
	if p == nil {
		return true
	}
	synced := make(chan struct{})
	go func() { p.sync(); close(synced) }()
	ok := n.deliver()
	<-synced
	return ok
}

// deliver gives the sink the next records and says whether the process lives.
func (n *node) deliver() bool {
	n.t.Helper()
	if n.stopped.Load() {
		return false
	}
	batch, release := n.batch(n.taken, 1+n.random.IntN(40))
	defer release()
	if batch.Len() == 0 {
		return true
	}
	err := n.call(func() error { return n.sink.Deliver(n.t.Context(), batch) })
	if n.stopped.Load() {
		return false
	}
	if err != nil {
		n.t.Fatalf("deliver records %d to %d: %v", n.taken, n.taken+batch.Len(), err)
	}
	n.taken += batch.Len()
	return n.survives()
}

// survives is a step outside the sink.
func (n *node) survives() bool {
	_ = n.call(func() error { n.pass(); return nil })
	return !n.stopped.Load()
}

// part is what is pending, with the records it stands for.
type part struct {
	pending sink.Pending
	until   int
	state   sink.State
	err     error
	synced  bool
}

func (p *part) sync() {
	if !p.synced && p.pending != nil {
		p.state, p.err = p.pending.Sync()
	}
	p.synced = true
}

// pending asks the sink for what it has delivered; nil when the process ended.
func (n *node) pending() *part {
	p := &part{until: n.taken}
	if d, ok := n.sink.(sink.Durable); ok {
		_ = n.call(func() error { p.pending = d.Pending(); return nil })
	}
	if !n.survives() {
		return nil
	}
	return p
}

// commit makes p durable and settles its records together with its state.
func (n *node) commit(p *part) {
	n.t.Helper()
	if p == nil || n.stopped.Load() {
		return
	}
	p.sync()
	if p.err != nil {
		n.t.Fatalf("sync what is pending: %v", p.err)
	}
	if !n.survives() {
		return
	}
	n.merge(p.state)
	n.settled = p.until
	if n.survives() && p.pending != nil {
		_ = n.call(func() error { p.pending.Committed(); return nil })
		n.survives()
	}
}

func (n *node) merge(state sink.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, value := range state {
		if value == nil {
			delete(n.state, name)
			continue
		}
		n.state[name] = bytes.Clone(value)
	}
}

func cloned(state sink.State) sink.State {
	c := maps.Clone(state)
	for name := range c {
		c[name] = bytes.Clone(c[name])
	}
	return c
}

// batch is up to count records from first on, in two views: the second begins
// in the middle of its slab.
func (n *node) batch(first, count int) (*sink.Batch, func()) {
	bodies := n.records[first:min(first+count, len(n.records))]
	half := len(bodies) / 2
	a, b := n.slab(bodies[:half]), n.slab(slices.Concat([]string{"not to be delivered"}, bodies[half:], []string{"nor this"}))
	batch := &sink.Batch{
		Channel: "c1", First: record.Offset(first),
		Views: []record.View{{Slab: a, Count: half}, {Slab: b, First: 1, Count: len(bodies) - half}},
	}
	return batch, func() {
		if n.stopped.Load() {
			return // the sink's goroutine may have ended in the middle of its work
		}
		a.Release()
		b.Release()
	}
}

func (n *node) slab(bodies []string) *record.Slab {
	s := record.NewSlab(4096)
	for _, body := range bodies {
		s.Append([]byte(body))
	}
	for _, key := range slices.Sorted(maps.Keys(n.target.Headers)) {
		s.SetCommon(key, []byte(n.target.Headers[key]))
	}
	return s
}

// firstDifference tells where two lists part.
func firstDifference(got, want []string) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("from number %d on: got %q, want %q", at, ahead(got, at), ahead(want, at))
}

func ahead(list []string, at int) []string { return list[at:min(at+3, len(list))] }
