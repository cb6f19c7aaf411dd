package sinktest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
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
	process *process

	mu    sync.Mutex // guards steps and state: a sink may keep state beside its calls
	steps int
}

// process is what one open started. From the step on at which it ends, every
// goroutine that reaches the node is held there, with the locks it has, as if
// it did not run any more.
type process struct {
	ended   chan struct{} // closed when the process ends
	end     sync.Once
	release chan struct{} // closed when the test is over
}

func (p *process) stop() { p.end.Do(func() { close(p.ended) }) }

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

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
	p := &process{ended: make(chan struct{}), release: make(chan struct{})}
	n.mu.Lock()
	n.taken, n.steps, n.process = n.settled, 0, p
	state := cloned(n.state)
	n.mu.Unlock()
	s, err := n.target.New(sink.Env{
		Log: quiet(), Agent: "a1", Name: "k1", State: state, Replays: n.replays, Counters: &sink.Counters{}, Sole: true,
		Keep: func(_ context.Context, state sink.State) error { return n.keep(p, state) },
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
	left, p := n.sink, n.process
	p.stop()
	n.t.Cleanup(func() {
		close(p.release)
		_ = left.Close()
	})
	n.sink = nil
}

// held is after what time a call that does not come back counts as held.
const held = 30 * time.Millisecond

func (n *node) close() {
	n.t.Helper()
	if !n.closed() {
		n.t.Fatal("the process ended while the sink was closed")
	}
}

// closed closes the sink, and says whether the process lived to see that.
func (n *node) closed() bool {
	n.t.Helper()
	left := n.sink
	err := n.call(left.Close)
	if n.ended() {
		return false
	}
	if err != nil {
		n.t.Fatalf("close the sink: %v", err)
	}
	return true
}

func (n *node) ended() bool { return n.process.hasEnded() }

// keep is Env.Keep of the sink that p started: it commits state on its own.
func (n *node) keep(p *process, state sink.State) error {
	n.mu.Lock()
	lives := n.pass(p)
	if lives {
		n.merge(state)
		lives = n.pass(p)
	}
	n.mu.Unlock()
	if lives {
		return nil
	}
	<-p.release
	return errStopped
}

// stopBefore lets the process end at the given step; at none when it is 0. What
// an earlier process has left running may still pass steps.
func (n *node) stopBefore(step int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopAt = step
}

// pass is a step at which the process may end, and says whether it lives. Under
// mu.
func (n *node) pass(p *process) bool {
	if p != n.process {
		return false
	}
	if n.steps++; n.steps == n.stopAt {
		p.stop()
	}
	return !p.hasEnded()
}

// call runs fn, a call of the sink, which must come back unless the process
// ends before.
func (n *node) call(fn func() error) error {
	n.t.Helper()
	result := make(chan error, 1)
	go func() { result <- fn() }()
	select {
	case err := <-result:
		return err
	case <-n.process.ended:
		// Another goroutine of the sink reached the end. What this one has begun
		// must not go on beside the next process: it ends soon, or is held, too.
		select {
		case <-result:
		case <-time.After(held):
		}
		return errStopped
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
	if n.ended() {
		return false
	}
	batch, release := n.batch(n.taken, 1+n.random.IntN(40))
	defer release()
	if batch.Len() == 0 {
		return true
	}
	s := n.sink
	err := n.call(func() error { return s.Deliver(n.t.Context(), batch) })
	if n.ended() {
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
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pass(n.process)
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
		pending := make(chan sink.Pending, 1)
		if n.call(func() error { pending <- d.Pending(); return nil }) == nil {
			p.pending = <-pending
		}
	}
	if !n.survives() {
		return nil
	}
	return p
}

// commit makes p durable and settles its records together with its state.
func (n *node) commit(p *part) {
	n.t.Helper()
	if p == nil || n.ended() {
		return
	}
	p.sync()
	if p.err != nil {
		n.t.Fatalf("sync what is pending: %v", p.err)
	}
	if !n.survives() {
		return
	}
	n.mu.Lock()
	n.merge(p.state)
	n.mu.Unlock()
	n.settled = p.until
	if pending := p.pending; n.survives() && pending != nil {
		_ = n.call(func() error { pending.Committed(); return nil })
		n.survives()
	}
}

// merge commits state. Under mu.
func (n *node) merge(state sink.State) {
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
		if n.ended() {
			return // the sink's goroutine may be held in the middle of its work
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
