package sink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// played is a sink whose Deliver is the test's.
type played struct {
	env     sink.Env
	deliver func(env sink.Env, bodies []string) error
	closed  func()
}

func (p *played) Deliver(_ context.Context, b *sink.Batch) error {
	return p.deliver(p.env, bodiesOf(b))
}

func (p *played) Close() error {
	if p.closed != nil {
		p.closed()
	}
	return nil
}

func bodiesOf(b *sink.Batch) (bodies []string) {
	_ = b.Each(func(s *record.Slab, i int) error {
		bodies = append(bodies, string(s.Body(i)))
		return nil
	})
	return bodies
}

// tape is a file as a Durable sink has it: what lies behind the committed
// length is cut off when the sink is made anew.
type tape struct {
	mu      sync.Mutex
	records []string
	sync    func() error // nil: all is well
	made    int
	closed  int
}

func (f *tape) open(env sink.Env) *reel {
	f.mu.Lock()
	defer f.mu.Unlock()
	length, _ := strconv.Atoi(string(env.State["length"]))
	f.records = f.records[:length]
	f.made++
	return &reel{f: f}
}

func (f *tape) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.records)
}

// reel is the sink that writes to a tape.
type reel struct {
	f   *tape
	new bool
}

func (r *reel) Deliver(_ context.Context, b *sink.Batch) error {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.f.records = append(r.f.records, bodiesOf(b)...)
	r.new = true
	return nil
}

func (r *reel) Close() error {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.f.closed++
	return nil
}

func (r *reel) Pending() sink.Pending {
	if !r.new {
		return nil
	}
	r.new = false
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	return &length{r.f, len(r.f.records)}
}

type length struct {
	f *tape
	n int
}

func (l *length) Sync() (sink.State, error) {
	if l.f.sync != nil {
		if err := l.f.sync(); err != nil {
			return nil, err
		}
	}
	return sink.State{"length": []byte(strconv.Itoa(l.n))}, nil
}

func (l *length) Committed() {}

// stage is a node with sinks that the test plays.
type stage struct {
	*channeltest.Node
	t     *testing.T
	make  func(env sink.Env) (sink.Sink, error)
	fatal atomic.Int64
}

func onStage(t *testing.T, fn func(t *testing.T, s *stage)) {
	dir := t.TempDir()
	s := &stage{t: t}
	defer sink.Replace("null", func(_ topologies.Settings, env sink.Env) (sink.Sink, error) { return s.make(env) })()
	synctest.Test(t, func(t *testing.T) {
		s.t, s.Node = t, channeltest.Open(t, dir)
		defer func() {
			s.Node.Close()
			<-time.After(2 * time.Minute) // a commit that its channel did not answer any more
		}()
		fn(t, s)
	})
}

func (s *stage) channel(kind string) channel.Ref {
	spec := &channel.Spec{Agent: "a1", Name: "c1", Capacity: 100_000}
	if kind == "file" {
		spec.Log = s.OpenLog("c1", persistence.Always)
	}
	return s.Spawn(spec)
}

// start starts a sink, or a group of them, that takes batches of 10.
func (s *stage) start(c channel.Ref, processor string, settings map[string]string, names ...string) sink.Ref {
	s.t.Helper()
	spec := &sink.Spec{
		Agent: "a1", Name: names[0], Processor: processor, Settings: topologies.SettingsOf(kinds.Processor, processor, settings),
		Store: s.Store, Tree: s.Tree, Log: s.Log, Fatal: func(error) { s.fatal.Add(1) },
		DeadLetters: filepath.Join(s.Dir, "dead-letters", "k.jsonl"),
	}
	if len(names) > 1 {
		spec.Name = "g1"
	}
	for _, name := range names {
		spec.Members = append(spec.Members, &sink.Member{
			Name: name, Settings: topologies.SettingsOf(kinds.Sink, "null", nil), Channel: c, Batch: 10, Replays: true,
		})
	}
	ref, err := sink.Spawn(s.Root(), spec)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func (s *stage) fill(c channel.Ref, first, n int) {
	s.t.Helper()
	if err := s.Put(context.Background(), channeltest.Numbered(first, n), time.Minute, c); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) empty(c channel.Ref) {
	s.t.Helper()
	s.Until("the channel is empty", func() bool { return s.Inspect(c).Held == 0 })
}

func (s *stage) halt(r sink.Ref) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Halt(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) part(path string) supervise.Part {
	s.t.Helper()
	var part supervise.Part
	s.Until(path+" is there", func() (ok bool) {
		var err error
		part, err = s.Tree.Get(path)
		return err == nil
	})
	return part
}

// A server that is down is tried later and later; its records wait in the
// channel, and everybody can see why.
func TestADeliveryThatFailsIsTriedLaterAndLater(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var tries []time.Time
		var got []string
		s.make = func(env sink.Env) (sink.Sink, error) {
			return &played{env: env, deliver: func(_ sink.Env, bodies []string) error {
				if tries = append(tries, time.Now()); len(tries) <= 7 {
					return errors.New("the server is down")
				}
				got = append(got, bodies...)
				return nil
			}}, nil
		}
		c := s.channel("file")
		s.fill(c, 0, 10)
		r := s.start(c, "default", nil, "k1")
		s.Until("it is tried", func() bool { return s.part("sink/k1").State == supervise.Backoff })
		if p := s.part("sink/k1"); p.Reason != "the server is down" || p.Restarts != 0 {
			t.Errorf("the part says %+v", p)
		}
		s.Until("all is delivered", func() bool { return s.Inspect(c).Held == 0 })
		want := []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000}
		for i, d := range want {
			if wait := tries[i+1].Sub(tries[i]); wait != d*time.Millisecond {
				t.Errorf("try %d came after %v, want %v ms", i+1, wait, int(d))
			}
		}
		if !slices.Equal(got, channeltest.Numbered(0, 10)) {
			t.Errorf("delivered %v", got)
		}
		m := r.Members()[0]
		if n := m.Counters.EventWriteFail.Load(); n != 7 {
			t.Errorf("%d failures counted, want 7", n)
		}
		if p := s.part("sink/k1"); p.State != supervise.Running {
			t.Errorf("the part is %s afterwards", p.State)
		}
		if snap := s.Inspect(c); snap.TakeErr != 7 || snap.BySink["k1"] != 10 {
			t.Errorf("the channel says %+v", snap)
		}
	})
}

// Whatever panics in a sink, and wherever, only the sink starts anew, and what
// it had not committed is there once.
func TestASinkThatPanicsStartsAnewAlone(t *testing.T) {
	for _, where := range []string{"deliver", "sync", "beside"} {
		t.Run(where, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				f := &tape{}
				s.make = func(env sink.Env) (sink.Sink, error) {
					r := f.open(env)
					if f.made > 1 {
						f.sync = nil
						return r, nil
					}
					switch where {
					case "sync":
						f.sync = func() error { panic("broken") }
					case "beside":
						go func() {
							defer sink.Contain(&env)
							panic("broken")
						}()
					case "deliver":
						return &played{deliver: func(sink.Env, []string) error { panic("broken") }}, nil
					}
					return r, nil
				}
				c := s.channel("file")
				s.fill(c, 0, 50)
				s.start(c, "default", nil, "k1")
				s.Until("it has started anew", func() bool {
					p, err := s.Tree.Get("sink/k1")
					return err == nil && p.Restarts == 1 && p.State == supervise.Running
				})
				s.empty(c)
				if !slices.Equal(f.all(), channeltest.Numbered(0, 50)) {
					t.Errorf("on the tape: %v", f.all())
				}
				if p := s.part("sink/k1"); p.Reason != "broken" || !strings.Contains(p.Stack, "actor_test.go") {
					t.Errorf("the tree does not show what happened: %+v", p)
				}
				if n := s.part("channel/c1").Restarts; n != 0 {
					t.Errorf("the channel restarted %d times, too", n)
				}
			})
		})
	}
}

// Nobody knows what is on a disk whose sync failed: the node ends, and nothing
// is tried again before.
func TestAFailedSyncEndsTheNode(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		f := &tape{sync: func() error { return errors.New("input/output error") }}
		s.make = func(env sink.Env) (sink.Sink, error) { return f.open(env), nil }
		c := s.channel("file")
		s.fill(c, 0, 50)
		r := s.start(c, "default", nil, "k1")
		s.Until("the node is told", func() bool { return s.fatal.Load() > 0 })
		<-time.After(time.Hour)
		if n := s.fatal.Load(); n != 1 || f.made != 1 {
			t.Errorf("told %d times, %d runs; want 1 and 1", n, f.made)
		}
		if p := s.part("sink/k1"); p.State != supervise.Failed || !strings.Contains(p.Reason, "input/output error") {
			t.Errorf("the part says %+v", p)
		}
		if snap := s.Inspect(c); snap.Delivered != 0 || snap.Held != 50 {
			t.Errorf("records count as delivered: %+v", snap)
		}
		s.halt(r)
	})
}

// Leases of a channel that fails are worth nothing: the sink begins anew where
// the last commit was, and every record is on its tape once.
func TestEveryRecordArrivesOnceThoughItsChannelFails(t *testing.T) {
	for _, kind := range []string{"memory", "file"} {
		t.Run(kind, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				f := &tape{}
				s.make = func(env sink.Env) (sink.Sink, error) { return f.open(env), nil }
				c := s.channel(kind)
				s.start(c, "default", nil, "k1")
				for round := range 8 {
					s.fill(c, 100*round, 100)
					switch round % 3 {
					case 0:
						s.Kill("channel/c1")
					case 1:
						<-time.After(time.Duration(round) * 7 * time.Millisecond)
						s.Kill("channel/c1")
					case 2:
						s.Kill("sink/k1")
					}
				}
				s.empty(c)
				if got := f.all(); !slices.Equal(got, channeltest.Numbered(0, 800)) {
					t.Errorf("%d records on the tape, want 800, in order", len(got))
				}
				if f.made < 3 {
					t.Errorf("%d runs: nothing was stale", f.made)
				}
			})
		})
	}
}

// The next batches are written while those before are synced.
func TestDeliveringGoesOnWhileACommitWaitsForTheDisk(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		syncs := make(chan bool)
		f := &tape{sync: func() error { <-syncs; return nil }}
		s.make = func(env sink.Env) (sink.Sink, error) { return f.open(env), nil }
		c := s.channel("file")
		s.start(c, "default", nil, "k1")
		s.fill(c, 0, 10)
		<-time.After(time.Second)
		s.fill(c, 10, 500)
		<-time.After(time.Second)
		if n := len(f.all()); n != 510 || s.Inspect(c).Delivered != 0 {
			t.Errorf("%d records written while the first sync goes on, want 510", n)
		}
		commits := 0
		for s.Inspect(c).Held > 0 {
			select {
			case syncs <- true:
				commits++
			case <-time.After(time.Millisecond):
			}
		}
		if commits != 2 && commits != 3 {
			t.Errorf("51 batches took %d commits, want 2 or 3", commits)
		}
	})
}

// What was delivered is committed, and the sinks are closed, before a halt is
// answered.
func TestAHaltCommitsWhatIsDelivered(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		f := &tape{}
		s.make = func(env sink.Env) (sink.Sink, error) { return f.open(env), nil }
		c := s.channel("file")
		r := s.start(c, "default", nil, "k1")
		s.fill(c, 0, 25)
		s.Until("all is written", func() bool { return len(f.all()) == 25 })
		s.halt(r)
		if snap := s.Inspect(c); snap.Held != 0 || f.closed != 1 {
			t.Errorf("%d records are not committed, the sink was closed %d times", snap.Held, f.closed)
		}
		s.fill(c, 25, 5)
		<-time.After(time.Hour)
		if len(f.all()) != 25 || f.made != 1 {
			t.Error("the sink went on")
		}
	})
}

// A record that can never be delivered is on disk in the dead letters before
// it counts as done, and counts once.
func TestDeadLettersAreOnDiskBeforeTheirRecordsAreDone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		failures := 1
		s.make = func(env sink.Env) (sink.Sink, error) {
			return &tombstones{env: env, fails: &failures}, nil
		}
		c := s.channel("file")
		s.fill(c, 0, 30)
		r := s.start(c, "default", nil, "k1")
		s.empty(c)
		text, err := os.ReadFile(filepath.Join(s.Dir, "dead-letters", "k.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "does not fit"); n < 3 {
			t.Errorf("%d dead letters on disk, want 3:\n%s", n, text)
		}
		if snap := s.Inspect(c); snap.Dead != 3 || snap.Delivered != 27 {
			t.Errorf("%d dead and %d delivered, want 3 and 27", snap.Dead, snap.Delivered)
		}
		s.halt(r)
		if n := r.Members()[0].Counters.EventDrainSuccess.Load(); n != 27 {
			t.Errorf("%d drained, want 27", n)
		}
	})
}

// tombstones refuses every tenth record for good, and fails now and then.
type tombstones struct {
	env   sink.Env
	fails *int
}

func (s *tombstones) Deliver(_ context.Context, b *sink.Batch) error {
	err := b.Each(func(slab *record.Slab, i int) error {
		if strings.HasSuffix(string(slab.Body(i)), "5") {
			s.env.DeadLetter(slab, i, "size", "does not fit")
		}
		return nil
	})
	if *s.fails > 0 {
		*s.fails--
		return errors.New("not now")
	}
	return err
}

func (s *tombstones) Close() error { return nil }

// The group uses the best sink that works, and the best one again once its
// penalty is over.
func TestAFailoverGroupUsesTheBestSinkThatWorks(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var mu sync.Mutex
		got := map[string]int{}
		down := map[string]bool{"k2": true}
		s.make = func(env sink.Env) (sink.Sink, error) {
			return &played{env: env, deliver: func(env sink.Env, bodies []string) error {
				mu.Lock()
				defer mu.Unlock()
				if down[env.Name] {
					return fmt.Errorf("%s is down", env.Name)
				}
				got[env.Name] += len(bodies)
				return nil
			}}, nil
		}
		c := s.channel("memory")
		r := s.start(c, "failover", map[string]string{"priority.k1": "1", "priority.k2": "9"}, "k1", "k2")
		s.fill(c, 0, 100)
		s.empty(c)
		mu.Lock()
		if got["k1"] != 100 || got["k2"] != 0 {
			t.Errorf("delivered: %v, want all by k1", got)
		}
		down = map[string]bool{}
		mu.Unlock()
		<-time.After(time.Minute)
		s.fill(c, 100, 100)
		s.empty(c)
		mu.Lock()
		if got["k2"] != 100 {
			t.Errorf("delivered: %v, want the second half by k2", got)
		}
		down = map[string]bool{"k1": true, "k2": true}
		mu.Unlock()
		s.fill(c, 200, 10)
		s.Until("the group waits", func() bool { return s.part("sink/g1").State == supervise.Backoff })
		mu.Lock()
		down = map[string]bool{"k2": true}
		mu.Unlock()
		s.empty(c)
		if n := len(r.Members()); n != 2 {
			t.Errorf("the group has %d members", n)
		}
	})
}

func TestALoadBalancingGroupSharesItsBatches(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var mu sync.Mutex
		got := map[string]int{}
		s.make = func(env sink.Env) (sink.Sink, error) {
			return &played{env: env, deliver: func(env sink.Env, bodies []string) error {
				mu.Lock()
				defer mu.Unlock()
				if env.Name == "k2" && got["k1"] > 150 {
					return errors.New("down")
				}
				got[env.Name] += len(bodies)
				return nil
			}}, nil
		}
		c := s.channel("memory")
		s.fill(c, 0, 600)
		s.start(c, "load_balance", map[string]string{"selector": "round_robin", "backoff": "true"}, "k1", "k2", "k3")
		s.empty(c)
		mu.Lock()
		defer mu.Unlock()
		if got["k1"]+got["k2"]+got["k3"] != 600 || got["k2"] == 0 || got["k2"] > 200 || got["k3"] < 200 {
			t.Errorf("delivered: %v; want k2 to have a third of the first half, and the others the rest", got)
		}
	})
}
