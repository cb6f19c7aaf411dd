package source_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// played is a source whose Run is the test's.
type played struct {
	env     source.Env
	run     func(ctx context.Context, env source.Env, out source.Out) error
	settled func(at source.Checkpoint)
}

func (p *played) Run(ctx context.Context, out source.Out) error { return p.run(ctx, p.env, out) }

func (p *played) Settled(at source.Checkpoint) {
	if p.settled != nil {
		p.settled(at)
	}
}

// stage is a node with one source that the test plays.
type stage struct {
	*channeltest.Node
	t    *testing.T
	play played
	spec *source.Spec
	conf map[string]string
}

// onStage runs fn in a bubble. The source runs once fn has called start.
func onStage(t *testing.T, fn func(t *testing.T, s *stage)) {
	dir := t.TempDir()
	s := &stage{t: t, conf: map[string]string{}}
	defer source.Replace("seq", func(_ topologies.Settings, env source.Env) (source.Source, error) {
		return &played{env, s.play.run, s.play.settled}, nil
	})()
	synctest.Test(t, func(t *testing.T) {
		s.Node = channeltest.Open(t, dir)
		defer s.Node.Close()
		fn(t, s)
	})
}

func (s *stage) channel(name string, capacity int) channel.Ref {
	return s.Spawn(&channel.Spec{Agent: "a1", Name: name, Capacity: capacity, KeepAlive: time.Second})
}

func (s *stage) fileChannel(name string, capacity int) channel.Ref {
	return s.Spawn(&channel.Spec{Agent: "a1", Name: name, Capacity: capacity, Log: s.OpenLog(name, persistence.Always)})
}

// start starts the source; change may change its spec before.
func (s *stage) start(channels []channel.Ref, change ...func(*source.Spec)) source.Ref {
	s.t.Helper()
	s.spec = &source.Spec{
		Agent: "a1", Name: "r1", Settings: topologies.SettingsOf(kinds.Source, "seq", s.conf), Channels: channels,
		Dir: s.Dir + "/r1", Store: s.Store, Tree: s.Tree, Log: s.Log,
	}
	for _, c := range change {
		c(s.spec)
	}
	ref, err := source.Spawn(s.Root(), s.spec)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func (s *stage) halt(r source.Ref) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Halt(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) part(path string) supervise.Part {
	p, err := s.Tree.Get(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// stored is the checkpoint key of stream in a channel, or -1.
func (s *stage) stored(channel, stream string) int {
	value, ok, err := s.Store.Get(persistence.CheckpointKey("a1", "r1", channel, stream))
	if err != nil {
		s.t.Fatal(err)
	}
	if !ok {
		return -1
	}
	pos, _ := binary.Uvarint(value)
	return int(pos)
}

func balanced(t testing.TB, r source.Ref) source.Tally {
	t.Helper()
	l := r.Tally()
	if l.Received+l.Copied != l.Dropped+l.Held+l.Put {
		t.Fatalf("the source's ledger does not balance: %+v", l)
	}
	return l
}

func at(pos int) source.Checkpoint { return source.Checkpoint{Stream: "s", Pos: uint64(pos)} }

// untilEnd is a run that has nothing to do.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Three minutes of backoff, exact, in no time.
func TestAFailedSourceRunsAgainLaterAndLater(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		runs := make(chan time.Time, 100)
		s.play.run = func(context.Context, source.Env, source.Out) error {
			runs <- time.Now()
			return errors.New("nobody answers")
		}
		s.start([]channel.Ref{s.channel("c1", 10)})
		last := <-runs
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			s.Until("the source tells its backoff", func() bool { return s.part("source/r1").State == supervise.Backoff })
			if p := s.part("source/r1"); p.Reason != "nobody answers" || p.Restarts != 0 {
				t.Errorf("the part says %+v", p)
			}
			now := <-runs
			if got := now.Sub(last); got != want*time.Second {
				t.Errorf("it ran again after %v, want %v", got, want*time.Second)
			}
			last = now
		}
	})
}

func TestASourceThatEndsByItselfIsDone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.play.run = func(context.Context, source.Env, source.Out) error { return nil }
		r := s.start([]channel.Ref{s.channel("c1", 10)})
		s.Until("the source is done", func() bool {
			p, err := s.Tree.Get("source/r1")
			return err == nil && p.State == supervise.Done
		})
		s.halt(r)
	})
}

// An interceptor that panics takes its source down for a moment, and nothing
// else.
func TestAPanickingInterceptorRestartsItsSourceAlone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.conf["interceptors"], s.conf["interceptors.i1.type"], s.conf["interceptors.i1.regex"] = "i1", "regex_filter", "."
		runs := 0
		starts := make(chan time.Time, 9)
		s.play.run = func(ctx context.Context, _ source.Env, out source.Out) error {
			starts <- time.Now()
			if runs++; runs == 1 {
				poison := channeltest.Batch("x")
				poison.Mark(0, 1<<20) // no such bytes
				return out.Emit(ctx, poison, source.Checkpoint{})
			}
			if err := out.Emit(ctx, channeltest.Batch("good"), source.Checkpoint{}); err != nil {
				return err
			}
			return untilEnd(ctx)
		}
		c := s.channel("c1", 10)
		r := s.start([]channel.Ref{c})
		first, second := <-starts, <-starts
		if wait := second.Sub(first); wait < 100*time.Millisecond || wait > 120*time.Millisecond {
			t.Errorf("it ran again after %v, want 100 to 120 ms", wait)
		}
		k := s.Sink("k1", c)
		defer k.Close()
		if got := k.TakeAll(1, 1); got[0] != "good" {
			t.Errorf("got %q", got)
		}
		p := s.part("source/r1")
		if p.Restarts != 1 || !strings.Contains(p.Stack, "Intercept") || !strings.Contains(p.Reason, "out of range") {
			t.Errorf("the tree does not show what happened: %+v", p)
		}
		if n := s.part("channel/c1").Restarts; n != 0 {
			t.Errorf("the channel restarted %d times, too", n)
		}
		if l := balanced(t, r); l.Received != 1 || l.Put != 1 {
			t.Errorf("the poisoned batch counts: %+v", l)
		}
	})
}

// A connection's handler that panics must not take the node with it.
func TestAPanicBesideRunRestartsItsSourceAlone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		runs := make(chan bool, 9)
		s.play.run = func(ctx context.Context, _ source.Env, out source.Out) error {
			runs <- true
			if len(runs) == 1 {
				go func() {
					defer source.Contain(ctx)
					panic("the handler broke")
				}()
			}
			return untilEnd(ctx)
		}
		s.start([]channel.Ref{s.channel("c1", 10)})
		s.Until("it runs again", func() bool { return len(runs) == 2 })
		p := s.part("source/r1")
		if p.Restarts != 1 || p.Reason != "the handler broke" || !strings.Contains(p.Stack, "actor_test.go") {
			t.Errorf("the tree does not show what happened: %+v", p)
		}
	})
}

// brokenOut panics in the goroutine that hands it a batch.
type brokenOut struct{}

func (brokenOut) Emit(context.Context, *record.Slab, source.Checkpoint) error { panic("broken out") }
func (brokenOut) Store(context.Context, *record.Slab) error                   { panic("broken out") }

func TestEveryKindContainsThePanicsOfItsGoroutines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/app.log", []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, conf := range map[string]map[string]string{
		"netcat":    settings(),
		"syslogtcp": settings(),
		"http":      settings(),
		"taildir":   {"filegroups": "f1", "filegroups.f1": dir + "/.*log", "positionFile": dir + "/pos.json"},
	} {
		t.Run(kind, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer end(nil)
			src := sourcetest.New(t, kind, conf, sourcetest.Env(t))
			ended := make(chan error, 1)
			go func() { ended <- src.Run(source.WithCrashes(ctx, end), brokenOut{}) }()
			if kind != "taildir" {
				conn := dial(t, src)
				line := "<13>Jan  2 03:04:05 host app: a line\n"
				if kind == "http" {
					line = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n[{\"body\":\"x\"}]"
				}
				if _, err := conn.Write([]byte(line)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the source did not end")
			}
			if got := context.Cause(ctx); got == nil || got.Error() != "panic: broken out" {
				t.Errorf("the run ended by %v, want the panic", got)
			}
		})
	}
}

// Each channel skips what it has, and no more.
func TestAChannelThatIsFurtherSkipsWhatItHas(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		save(t, s, "c1", "attached", 1, "p/s", 30)
		save(t, s, "c2", "attached", 1, "p/s", 10, "l/s", 5)
		c1, c2 := s.fileChannel("c1", 1000), s.fileChannel("c2", 1000)
		var seen map[string][]source.Checkpoint
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			seen = env.Checkpoints
			for i, pos := range []int{20, 30, 40} {
				if err := out.Emit(ctx, channeltest.Batch(channeltest.Numbered(10*i, 10)...), at(pos)); err != nil {
					return err
				}
			}
			return nil
		}
		r := s.start([]channel.Ref{c1, c2})
		s.Until("both have their share", func() bool { return s.Inspect(c1).Put == 10 && s.Inspect(c2).Put == 30 })
		if len(seen["s"]) != 2 || seen["s"][0].Pos != 10 || seen["s"][1].Pos != 30 {
			t.Errorf("the source was told %v, want 10 and 30", seen["s"])
		}
		k := s.Sink("k1", c1)
		defer k.Close()
		if got := k.TakeAll(10, 10); !slices.Equal(got, channeltest.Numbered(20, 10)) {
			t.Errorf("c1 got %v", got)
		}
		s.halt(r)
		if l := balanced(t, r); l.Received != 30 || l.Put != 40 || l.Held != 0 {
			t.Errorf("got %+v", l)
		}
		if a, b, lag := s.stored("c1", "p/s"), s.stored("c2", "p/s"), s.stored("c1", "l/s"); a != 40 || b != 40 || lag != -1 {
			t.Errorf("checkpoints %d and %d, c1 lags at %d; want 40, 40 and no lag", a, b, lag)
		}
	})
}

// save stores checkpoints of the source as an earlier run would have.
func save(t *testing.T, s *stage, channel string, kv ...any) {
	t.Helper()
	w := new(persistence.Write)
	for i := 0; i < len(kv); i += 2 {
		w.Sets = append(w.Sets, persistence.KV{
			Key:   persistence.CheckpointKey("a1", "r1", channel, kv[i].(string)),
			Value: binary.AppendUvarint(nil, uint64(kv[i+1].(int))),
		})
	}
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	s.Store.Submit(w)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A channel that is new to a source begins where the others are: it gets
// nothing of what was read before.
func TestANewChannelBeginsWhereTheOthersAre(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		save(t, s, "c1", "attached", 1, "p/s", 30)
		seen := make(chan []source.Checkpoint, 1)
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			seen <- env.Checkpoints["s"]
			return untilEnd(ctx)
		}
		r := s.start([]channel.Ref{s.fileChannel("c1", 10), s.fileChannel("c2", 10)})
		if got := <-seen; len(got) != 1 || got[0].Pos != 30 {
			t.Errorf("the source was told %v, want 30 alone", got)
		}
		s.halt(r)
	})
}

// A channel that the selector gives nothing follows all the same, a second
// behind, or a restart would read all of it again.
func TestAChannelThatGetsNothingFollows(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.conf["selector.type"], s.conf["selector.header"] = "multiplexing", "h"
		s.conf["selector.mapping.a"], s.conf["selector.default"] = "c1", "c2"
		c1, c2 := s.fileChannel("c1", 100), s.fileChannel("c2", 100)
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			batch := channeltest.Batch(channeltest.Numbered(0, 10)...)
			batch.SetCommon("h", []byte("a"))
			if err := out.Emit(ctx, batch, at(10)); err != nil {
				return err
			}
			return untilEnd(ctx)
		}
		s.start([]channel.Ref{c1, c2})
		s.Until("c1 has it", func() bool { return s.stored("c1", "p/s") == 10 })
		<-time.After(1100 * time.Millisecond)
		s.Until("c2 follows", func() bool { return s.stored("c2", "l/s") == 10 })
		if got := s.stored("c2", "p/s"); got != -1 {
			t.Errorf("c2 has a put at %d and got nothing", got)
		}
		if s.Inspect(c1).Held != 10 || s.Inspect(c2).Held != 0 {
			t.Error("the selector was not obeyed")
		}
	})
}

func TestAFinishedStreamIsForgotten(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		more := make(chan bool)
		settled := make(chan source.Checkpoint, 9)
		s.play.settled = func(at source.Checkpoint) { settled <- at }
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			_ = out.Emit(ctx, channeltest.Batch("x"), at(1))
			<-more
			gone := at(2)
			gone.Gone = true
			_ = out.Emit(ctx, record.NewSlab(0), gone)
			return untilEnd(ctx)
		}
		r := s.start([]channel.Ref{s.fileChannel("c1", 10)})
		if got := <-settled; got.Pos != 1 || s.stored("c1", "p/s") != 1 {
			t.Errorf("settled %+v, stored %d", got, s.stored("c1", "p/s"))
		}
		more <- true
		if got := <-settled; got.Pos != 2 || !got.Gone {
			t.Errorf("settled %+v", got)
		}
		s.halt(r)
		s.Until("the keys are gone", func() bool { return s.stored("c1", "p/s") == -1 && s.stored("c1", "l/s") == -1 })
	})
}

// What lies in memory is read again after a crash, so its checkpoint stays
// where the sinks are.
func TestOverAMemoryChannelTheCheckpointWaitsForTheSink(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		settled := make(chan source.Checkpoint, 9)
		s.play.settled = func(at source.Checkpoint) { settled <- at }
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			for i := range 3 {
				_ = out.Emit(ctx, channeltest.Batch(channeltest.Numbered(10*i, 10)...), at(10*(i+1)))
			}
			return untilEnd(ctx)
		}
		c := s.channel("c1", 100)
		s.start([]channel.Ref{c})
		one, two := s.Sink("k1", c), s.Sink("k2", c)
		defer one.Close()
		defer two.Close()
		s.Until("all is in the channel", func() bool { return s.Inspect(c).Held == 30 })
		<-time.After(time.Hour)
		first, _ := one.Take(10)
		second, _ := two.Take(10)
		if s.stored("c1", "p/s") != -1 || len(settled) != 0 {
			t.Fatal("a checkpoint moved and no sink has committed")
		}
		if err := two.Commit(nil, second); err != nil {
			t.Fatal(err)
		}
		if s.stored("c1", "p/s") != -1 || len(settled) != 0 {
			t.Fatal("the checkpoint moved over records that are not committed")
		}
		if err := one.Commit(nil, first); err != nil {
			t.Fatal(err)
		}
		if got := s.stored("c1", "p/s"); got != 20 {
			t.Errorf("checkpoint %d, want 20", got)
		}
		if a, b := <-settled, <-settled; a.Pos != 10 || b.Pos != 20 {
			t.Errorf("settled %v and %v", a, b)
		}
	})
}

// Emit never gives up, so a batch that no channel could ever hold goes in
// pieces; its checkpoint is that of the last one.
func TestABatchLargerThanTheChannelIsCut(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			if err := out.Emit(ctx, channeltest.Batch(channeltest.Numbered(0, 25)...), at(25)); err != nil {
				return err
			}
			return untilEnd(ctx)
		}
		c := s.fileChannel("c1", 10)
		r := s.start([]channel.Ref{c})
		k := s.Sink("k1", c)
		defer k.Close()
		l, got := k.Take(100)
		if s.stored("c1", "p/s") != -1 {
			t.Error("the first piece brought the checkpoint of the whole")
		}
		if err := k.Commit(nil, l); err != nil {
			t.Fatal(err)
		}
		got = append(got, k.TakeAll(25-len(got), 100)...)
		if !slices.Equal(got, channeltest.Numbered(0, 25)) {
			t.Errorf("got %v", got)
		}
		s.halt(r)
		if got := s.stored("c1", "p/s"); got != 25 {
			t.Errorf("checkpoint %d, want 25", got)
		}
		if tally := balanced(t, r); tally.Received != 25 || tally.Put != 25 {
			t.Errorf("got %+v", tally)
		}
	})
}

// A request has one answer: it is stored whole or refused whole.
func TestARequestLargerThanTheChannelIsRefusedWhole(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		results := make(chan error, 1)
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			results <- out.Store(ctx, channeltest.Batch(channeltest.Numbered(0, 25)...))
			return untilEnd(ctx)
		}
		c := s.channel("c1", 10)
		r := s.start([]channel.Ref{c}, func(spec *source.Spec) { spec.Whole = true })
		if err := <-results; !errors.Is(err, channel.ErrTooLarge) {
			t.Errorf("got %v, want %v", err, channel.ErrTooLarge)
		}
		if snap := s.Inspect(c); snap.Held != 0 {
			t.Errorf("the channel kept %d of it", snap.Held)
		}
		if l := balanced(t, r); l.Received != 0 {
			t.Errorf("what was refused counts as received: %+v", l)
		}
	})
}

// An optional channel gets what it can take, at once, and holds up nobody.
func TestAnOptionalChannelHoldsUpNobody(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		took := make(chan time.Duration, 9)
		s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
			for i := range 3 {
				start := time.Now()
				if err := out.Store(ctx, channeltest.Batch(channeltest.Numbered(10*i, 10)...)); err != nil {
					return err
				}
				took <- time.Since(start)
			}
			return untilEnd(ctx)
		}
		s.conf["selector.optional"] = "c2"
		must, may := s.channel("c1", 100), s.channel("c2", 10)
		r := s.start([]channel.Ref{must, may}, func(spec *source.Spec) {
			spec.Optional = func(i int) bool { return i == 1 }
		})
		for range 3 {
			if d := <-took; d > 10*time.Millisecond {
				t.Errorf("a store took %v", d)
			}
		}
		if a, b := s.Inspect(must).Held, s.Inspect(may).Held; a != 30 || b != 10 {
			t.Errorf("required holds %d, optional %d; want 30 and 10", a, b)
		}
		if l := balanced(t, r); l.Put != 40 || l.Received != 30 {
			t.Errorf("got %+v", l)
		}
		if got := r.Dropped()["optional channel c2"]; got != 20 {
			t.Errorf("%d records counted that the optional channel did not take, want 20", got)
		}
	})
}

// Whatever a source does and however full its channels are, every record is
// somewhere.
func TestTheLedgerAlwaysBalances(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) { randomly(t, s, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomly(t *testing.T, s *stage, random *rand.Rand) {
	s.conf["interceptors"], s.conf["interceptors.i1.type"], s.conf["interceptors.i1.regex"] = "i1", "regex_filter", "[05]$"
	s.conf["interceptors.i1.excludeEvents"] = "true"
	s.conf["selector.type"], s.conf["selector.header"] = "multiplexing", "h"
	s.conf["selector.mapping.a"], s.conf["selector.mapping.b"], s.conf["selector.default"] = "c1", "c1 c2", "c2"
	var emitting sync.Mutex // one at a time draws numbers
	emitted := 0
	s.play.run = func(ctx context.Context, env source.Env, out source.Out) error {
		var both sync.WaitGroup
		for store := range 2 {
			both.Go(func() {
				for range 25 {
					emitting.Lock()
					n, header := random.IntN(30), []string{"a", "b", "c"}[random.IntN(3)]
					batch := channeltest.Batch(channeltest.Numbered(emitted, n)...)
					batch.SetCommon("h", []byte(header))
					emitted += n
					place := at(emitted)
					emitting.Unlock()
					if store == 1 {
						_ = out.Store(ctx, batch)
					} else {
						_ = out.Emit(ctx, batch, place)
					}
				}
			})
		}
		both.Wait()
		return untilEnd(ctx)
	}
	c1, c2 := s.channel("c1", 20), s.fileChannel("c2", 15)
	r := s.start([]channel.Ref{c1, c2})
	stop := make(chan bool)
	var sinks sync.WaitGroup
	for _, c := range []channel.Ref{c1, c2} {
		sinks.Go(func() {
			k := s.Sink("k", c)
			defer k.Close()
			for {
				if l, err := k.Taker.Take(7); err != nil {
					t.Error(err)
				} else if l != nil {
					l.Release()
					if err := k.Commit(nil, l); err != nil {
						t.Error(err)
					}
				}
				balanced(t, r)
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	s.Until("everything read is in a channel", func() bool {
		l := balanced(t, r)
		return l.Held == 0 && l.Received > 0 && s.part("source/r1").Mailbox == 0 && r.Counters().AppendBatchReceived.Load() == 50
	})
	s.halt(r)
	close(stop)
	sinks.Wait()
	l := balanced(t, r)
	if put := s.Inspect(c1).Put + s.Inspect(c2).Put; l.Put != put || l.Held != 0 {
		t.Errorf("the source says %+v, the channels took %d", l, put)
	}
}
