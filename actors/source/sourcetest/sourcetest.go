package sourcetest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// Place is where one source of a test reads from.
type Place struct {
	Settings map[string]string
	// Feed makes the source see the records first to first+n-1, whose bodies
	// are Body(i). It returns when they are on their way, and sends again what
	// the source refuses. Nil where the source makes its records itself.
	Feed func(ctx context.Context, src source.Source, first, n int) error
	// Body is the body of record i; nil means Line.
	Body func(i int) string

	dir string // Env.Dir of all sources here
}

// Subject is a kind of source to be judged.
type Subject struct {
	Kind string
	// Place makes a fresh place. Settings should hold a batch size of about 10.
	Place func(t *testing.T) Place
	// Replays is true for sources that emit with checkpoints and go on there.
	// All others may repeat records after a refusal.
	Replays bool
	// Unordered is true where records of one feed may come in another order.
	Unordered bool
}

// Line is the body of record i where a Place says nothing else.
func Line(i int) string { return fmt.Sprintf("record %06d", i) }

// Env is the environment of a test's source: everything is allowed, logs go to
// the test.
func Env(t testing.TB) source.Env {
	return source.Env{
		Log:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Agent:     "a1",
		Name:      "r1",
		Dir:       t.TempDir(),
		AllowExec: true,
		Counters:  new(source.Counters),
	}
}

// New makes a source of kind, or ends the test.
func New(t testing.TB, kind string, settings map[string]string, env source.Env) source.Source {
	t.Helper()
	src, err := source.New(topologies.SettingsOf(kinds.Source, kind, settings), env)
	if err != nil {
		t.Fatalf("make a %s source: %v", kind, err)
	}
	return src
}

// Running is a source whose Run goes on.
type Running struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Start runs src into out until Stop, or until the test ends.
func Start(t testing.TB, src source.Source, out source.Out) *Running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{t: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = src.Run(ctx, out)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// Stop ends the source, which must return soon and without an error.
func (r *Running) Stop() {
	r.t.Helper()
	r.cancel()
	if err := r.Wait(); err != nil {
		r.t.Fatalf("a stopped source returned %v", err)
	}
}

// Wait waits for Run to return and answers its error.
func (r *Running) Wait() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.t.Fatalf("the source still runs after %v", patience)
		return nil
	}
}

// Run judges the kind.
func Run(t *testing.T, s Subject) {
	t.Run("delivers everything", s.deliversEverything)
	t.Run("stops at once when idle", s.stopsWhenIdle)
	t.Run("stops at once at a full channel", s.stopsWhenFull)
	t.Run("survives a full channel", s.survivesFullChannel)
	if s.Replays {
		t.Run("goes on where it was settled", s.goesOnWhereSettled)
		t.Run("crosses no checkpoint", s.crossesNoCheckpoint)
	}
}

const total = 500 // records a test feeds

func (s Subject) deliversEverything(t *testing.T) {
	defer checkLeaks(t)()
	p := s.Place(t)
	env := Env(t)
	src, out := New(t, s.Kind, p.Settings, env), new(Out)
	run := Start(t, src, out)
	stopSettling := settleAlways(src, out)
	defer stopSettling()
	s.feed(t, p, src, 0, total/2)
	out.WaitRecords(t, total/2)
	s.feed(t, p, src, total/2, total-total/2)
	s.waitFor(t, out, p, total)
	run.Stop()
	s.check(t, "all records", bodies(out.Batches()), p, 0, total)
	for _, b := range out.Batches() {
		if len(b.Records) > 0 && b.Time == 0 {
			t.Fatal("a batch came without the time when it was read")
		}
	}
	if n := env.Counters.OpenConnections.Load(); n != 0 {
		t.Errorf("stopped with %d open connections counted", n)
	}
}

func (s Subject) stopsWhenIdle(t *testing.T) {
	defer checkLeaks(t)()
	p := s.Place(t)
	src, out := New(t, s.Kind, p.Settings, Env(t)), new(Out)
	run := Start(t, src, out)
	s.feed(t, p, src, 0, 10)
	out.WaitRecords(t, 10)
	run.Stop()
}

func (s Subject) stopsWhenFull(t *testing.T) {
	defer checkLeaks(t)()
	p := s.Place(t)
	src, out := New(t, s.Kind, p.Settings, Env(t)), new(Out)
	out.SetFull(true)
	run := Start(t, src, out)
	fed := s.feedBeside(t, p, src, 0, total)
	out.WaitBlocked(t)
	run.Stop()
	fed.cancel()
	<-fed.done
}

func (s Subject) survivesFullChannel(t *testing.T) {
	defer checkLeaks(t)()
	p := s.Place(t)
	src, out := New(t, s.Kind, p.Settings, Env(t)), new(Out)
	run := Start(t, src, out)
	defer settleAlways(src, out)()
	s.feed(t, p, src, 0, 50)
	out.WaitRecords(t, 50)
	out.SetFull(true)
	fed := s.feedBeside(t, p, src, 50, total-50)
	if p.Feed != nil {
		out.WaitBlocked(t)
	}
	out.SetFull(false)
	s.waitFor(t, out, p, total)
	<-fed.done
	if fed.err != nil {
		t.Fatalf("feed: %v", fed.err)
	}
	run.Stop()
	s.check(t, "all records", bodies(out.Batches()), p, 0, total)
}

func (s Subject) goesOnWhereSettled(t *testing.T) {
	for _, part := range []int{0, 1, 3, 10} { // tenths of the batches
		t.Run(fmt.Sprintf("%d tenths", part), func(t *testing.T) {
			p := s.Place(t)
			p.dir = t.TempDir()
			first := s.runOnce(t, p, nil, 0, total, total)
			n := len(first.Batches()) * part / 10
			before := bodies(first.Batches()[:n])
			again := s.runOnce(t, p, first.Checkpoints(n), total, 20, total+20-len(before))
			s.check(t, "records before and after the restart",
				append(before, again.Bodies()...), p, 0, total+20)
		})
	}
}

func (s Subject) crossesNoCheckpoint(t *testing.T) {
	p := s.Place(t)
	p.dir = t.TempDir()
	first := s.runOnce(t, p, nil, 0, total, total)
	all := first.Batches()
	n, ahead := len(all)/4, len(all)/2
	stored := first.Checkpoints(n)
	for stream, at := range first.Checkpoints(ahead) {
		if have := stored[stream]; len(have) == 0 || have[0].Pos != at[0].Pos {
			stored[stream] = append(have, at...)
		}
	}
	begun := maps.Clone(stored)
	missing := total - len(bodies(all[:n]))
	again := s.runOnce(t, p, stored, total, 20, missing+20)
	last := map[string]uint64{}
	for stream, at := range begun {
		last[stream] = at[0].Pos
	}
	for _, b := range again.Batches() {
		for _, at := range begun[b.At.Stream] {
			if from := last[b.At.Stream]; from < at.Pos && at.Pos < b.At.Pos {
				t.Errorf("a batch of %q reaches from %d to %d across the checkpoint at %d", b.At.Stream, from, b.At.Pos, at.Pos)
			}
		}
		last[b.At.Stream] = b.At.Pos
	}
	s.check(t, "records before and after the restart",
		append(bodies(all[:n]), again.Bodies()...), p, 0, total+20)
}

// runOnce runs a new source on what is stored until n records have come.
func (s Subject) runOnce(t *testing.T, p Place, stored map[string][]source.Checkpoint, first, feed, n int) *Out {
	t.Helper()
	defer checkLeaks(t)()
	env := Env(t)
	env.Dir, env.Checkpoints = p.dir, stored
	src, out := New(t, s.Kind, p.Settings, env), new(Out)
	run := Start(t, src, out)
	s.feed(t, p, src, first, feed)
	out.WaitRecords(t, n)
	run.Stop()
	return out
}

func (s Subject) feed(t *testing.T, p Place, src source.Source, first, n int) {
	t.Helper()
	fed := s.feedBeside(t, p, src, first, n)
	<-fed.done
	if fed.err != nil {
		t.Fatalf("feed: %v", fed.err)
	}
}

type feeding struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (s Subject) feedBeside(t *testing.T, p Place, src source.Source, first, n int) *feeding {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f := &feeding{cancel: cancel, done: make(chan struct{})}
	if p.Feed == nil {
		close(f.done)
		cancel()
		return f
	}
	go func() {
		defer close(f.done)
		defer cancel()
		f.err = p.Feed(ctx, src, first, n)
	}()
	t.Cleanup(func() { cancel(); <-f.done })
	return f
}

// waitFor waits until every one of the records 0 to n-1 has come.
func (s Subject) waitFor(t *testing.T, out *Out, p Place, n int) {
	t.Helper()
	out.Wait(t, "every record", func() bool {
		got := map[string]bool{}
		for _, b := range out.Bodies() {
			got[b] = true
		}
		for i := range n {
			if !got[p.body(i)] {
				return false
			}
		}
		return true
	})
}

func (p Place) body(i int) string {
	if p.Body != nil {
		return p.Body(i)
	}
	return Line(i)
}

// check compares what came with the records first to end-1. What a source
// makes itself may go beyond.
func (s Subject) check(t *testing.T, what string, got []string, p Place, first, end int) {
	t.Helper()
	var want []string
	for i := first; i < end; i++ {
		want = append(want, p.body(i))
	}
	if p.Feed == nil && len(got) > len(want) {
		got = got[:len(want)]
	}
	if s.Unordered || !s.Replays {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !s.Replays {
		got = slices.Compact(got)
		want = slices.Compact(want)
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s: got %d, want %d; %q is missing", what, len(got), len(want), want[i])
		case i >= len(want):
			t.Fatalf("%s: got %d, want %d; %q is too much", what, len(got), len(want), got[i])
		case got[i] != want[i]:
			t.Fatalf("%s: number %d is %q, want %q", what, i, got[i], want[i])
		}
	}
}

func bodies(batches []Batch) []string {
	var all []string
	for _, b := range batches {
		for _, r := range b.Records {
			all = append(all, r.Body)
		}
	}
	return all
}

// settleAlways settles beside the source; the answer ends it.
func settleAlways(src source.Source, out *Out) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); out.SettleAlways(ctx, src) }()
	return func() { cancel(); <-done }
}

// checkLeaks notes the goroutines of now; the answer fails the test when there
// are others.
func checkLeaks(t *testing.T) func() {
	before := goleak.IgnoreCurrent()
	return func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines of the source go on: %v", err)
		}
	}
}
