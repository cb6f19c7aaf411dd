package sink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/persistence"
)

// moody is a reel that takes its time, and sometimes fails.
type moody struct {
	*reel
	mu   *sync.Mutex
	rnd  *rand.Rand
	mood func(rnd *rand.Rand) (time.Duration, error)
}

func (m *moody) Deliver(ctx context.Context, b *sink.Batch) error {
	m.mu.Lock()
	wait, err := m.mood(m.rnd)
	m.mu.Unlock()
	if wait > 0 {
		<-time.After(wait)
	}
	if err != nil {
		return err
	}
	return m.reel.Deliver(ctx, b)
}

// ensemble is a memory channel that a source fills and several sinks empty.
type ensemble struct {
	*stage
	c     channel.Ref
	names []string
	tapes map[string]*tape
	sent  atomic.Int64
}

// ensemble makes a memory channel and sinks, called names, whose moods are the
// test's.
func (s *stage) ensemble(rnd *rand.Rand, names []string, mood func(name string) func(*rand.Rand) (time.Duration, error)) *ensemble {
	e := &ensemble{stage: s, c: s.channel("memory"), names: names, tapes: map[string]*tape{}}
	var mu sync.Mutex
	for _, name := range names {
		e.tapes[name] = &tape{}
	}
	s.make = func(env sink.Env) (sink.Sink, error) {
		return &moody{e.tapes[env.Name].open(env), &mu, rnd, mood(env.Name)}, nil
	}
	return e
}

func (e *ensemble) play() (refs []sink.Ref) {
	for _, name := range e.names {
		refs = append(refs, e.start(e.c, "default", nil, name))
	}
	return refs
}

// send puts a batch with the checkpoint that goes with it.
func (e *ensemble) send(n int) {
	e.t.Helper()
	sent := int(e.sent.Add(int64(n)))
	batch := channeltest.Batch(channeltest.Numbered(sent-n, n)...)
	key := persistence.CheckpointKey("a1", "r1", "c1", "p/s")
	mark := &channel.Mark{Settled: func(uint64) {}, Key: persistence.KV{Key: key, Value: []byte(strconv.Itoa(sent))}}
	if err := e.PutShares(context.Background(), []channel.Share{{To: e.c, Batch: batch, Mark: mark}}, time.Hour); err != nil {
		e.t.Fatal(err)
	}
}

func (e *ensemble) all() int { return int(e.sent.Load()) }

// kept is what a process that is killed now leaves: the source's place and the
// length of each tape.
func (e *ensemble) kept() (at int, lengths []int) {
	number := func(key []byte) int {
		v, _, err := e.Store.Get(key)
		if err != nil {
			e.t.Fatal(err)
		}
		n, _ := strconv.Atoi(string(v))
		return n
	}
	once := func() []int {
		all := []int{number(persistence.CheckpointKey("a1", "r1", "c1", "p/s"))}
		for _, name := range e.names {
			all = append(all, number(persistence.SinkKey("a1", name, "length")))
		}
		return all
	}
	for { // all of one moment
		a, b := once(), once()
		if slices.Equal(a, b) {
			return a[0], a[1:]
		}
	}
}

// mustFit fails unless the tapes, cut as after a kill, hold exactly what the
// source would not read again.
func (e *ensemble) mustFit() (at int) {
	e.t.Helper()
	at, lengths := e.kept()
	times, sum := map[int]int{}, 0
	for i, name := range e.names {
		for _, body := range e.tapes[name].all()[:lengths[i]] {
			n, _ := strconv.Atoi(body)
			times[n]++
		}
		sum += lengths[i]
	}
	for n := range max(at, e.all()) {
		if had := times[n]; (had == 1) != (n < at) || had > 1 {
			e.t.Fatalf("the source would go on at %d, the tapes have %v, %d in all: record %d is there %d times", at, lengths, sum, n, had)
		}
	}
	return at
}

func chance(t *testing.T) *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("SLUICE_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("replay: SLUICE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}

// A memory channel is empty after a crash, and its source reads again from the
// last checkpoint. So at every moment the files of all its sinks together must
// hold exactly what lies before that: whatever fails, and whoever is slow.
func TestSinksOfOneMemoryChannelKeepTogetherWhatTheSourceForgets(t *testing.T) {
	for _, names := range [][]string{{"k1"}, {"k1", "k2"}, {"k1", "k2", "k3"}} {
		t.Run(fmt.Sprint(len(names), " sinks"), func(t *testing.T) {
			rnd := chance(t)
			onStage(t, func(t *testing.T, s *stage) {
				e := s.ensemble(rand.New(rand.NewPCG(rnd.Uint64(), 1)), names, func(string) func(*rand.Rand) (time.Duration, error) {
					return func(rnd *rand.Rand) (wait time.Duration, err error) {
						if rnd.IntN(4) == 0 {
							wait = time.Duration(rnd.IntN(40)) * time.Millisecond
						}
						if rnd.IntN(60) == 0 {
							err = errors.New("not now")
						}
						return wait, err
					}
				})
				for _, name := range names {
					e.tapes[name].sync = func() error { <-time.After(7 * time.Millisecond); return nil }
				}
				refs := e.play()
				for range 200 {
					e.send(1 + rnd.IntN(35)) // also more than a sink takes at once
					<-time.After(time.Duration(rnd.IntN(30)) * time.Millisecond)
					e.mustFit()
					switch name := names[rnd.IntN(len(names))]; rnd.IntN(80) {
					case 0:
						_ = s.Tree.Kill("sink/"+name, "killed on purpose")
					case 1:
						_ = s.Tree.Kill("channel/c1", "killed on purpose")
					}
					e.mustFit()
				}
				s.Until("everything is kept", func() bool { return e.mustFit() == e.all() })
				for _, r := range refs {
					s.halt(r)
				}
				e.mustFit()
			})
		})
	}
}

// Sinks that write side by side without end have done, of themselves, hardly ever
// everything up to one place. The checkpoint moves on all the same.
func TestTheCheckpointFollowsTheSinksOfAMemoryChannelUnderLoad(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		e := s.ensemble(chance(t), []string{"k1", "k2", "k3"}, func(string) func(*rand.Rand) (time.Duration, error) {
			return func(rnd *rand.Rand) (time.Duration, error) {
				return time.Duration(1+rnd.IntN(4)) * time.Millisecond, nil
			}
		})
		e.play()
		at, last, longest := 0, time.Now(), time.Duration(0)
		for range 2000 { // as much as they can take
			e.send(10)
			<-time.After(time.Millisecond)
			if now, _ := e.kept(); now > at {
				at, last = now, time.Now()
			}
			longest = max(longest, time.Since(last))
		}
		if longest > time.Second {
			t.Errorf("the checkpoint stood still for %v", longest)
		}
		s.Until("everything is kept", func() bool { return e.mustFit() == e.all() })
	})
}

// A sink that is down gives back what it took; the others deliver that, however
// far on they are, and everything goes on without it.
func TestASinkThatIsDownHoldsUpNoOther(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		e := s.ensemble(chance(t), []string{"k1", "k2"}, func(name string) func(*rand.Rand) (time.Duration, error) {
			return func(*rand.Rand) (time.Duration, error) {
				if name == "k2" {
					return 2 * time.Second, errors.New("down")
				}
				return 0, nil
			}
		})
		e.play()
		last := time.Now()
		for at := 0; e.all() < 4000; {
			e.send(20)
			<-time.After(5 * time.Millisecond)
			now := e.mustFit()
			if now > at {
				at, last = now, time.Now()
			}
			if still := time.Since(last); still > 10*time.Second {
				t.Fatalf("nothing is kept for %v", still)
			}
		}
		s.Until("everything is kept", func() bool { return e.mustFit() == e.all() })
		if n := len(e.tapes["k2"].all()); n > 0 {
			t.Errorf("the sink that is down has %d records", n)
		}
	})
}

// A sink that hangs keeps what it took. The others stop some time, and none of
// what they have done counts before it has.
func TestBehindASinkThatHangsTheOthersStopInTheEnd(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		hangs := make(chan bool)
		first := true
		e := s.ensemble(chance(t), []string{"k1", "k2"}, func(name string) func(*rand.Rand) (time.Duration, error) {
			return func(*rand.Rand) (time.Duration, error) { return 0, nil }
		})
		inner := s.make
		s.make = func(env sink.Env) (sink.Sink, error) {
			made, err := inner(env)
			if env.Name == "k2" {
				return &stuck{made, func() {
					if first {
						first = false
						<-hangs
					}
				}}, err
			}
			return made, err
		}
		e.send(20)
		refs := e.play()
		s.Until("a record is delivered", func() bool { return len(e.tapes["k1"].all()) > 0 })
		go func() {
			for e.all() < 100_000 {
				e.send(10)
			}
		}()
		<-time.After(5 * time.Minute)
		if was := s.Inspect(e.c); was.Size < 10_000 || was.Held-was.Size < 10_000 {
			t.Errorf("of %d records %d are delivered and not kept, want a bound on them", was.Held, was.Held-was.Size)
		}
		if at := e.mustFit(); at != 0 {
			t.Errorf("kept up to %d, though the first records are not delivered", at)
		}
		close(hangs)
		s.Until("everything is kept", func() bool { return e.mustFit() == e.all() && e.all() >= 100_000 })
		for _, r := range refs {
			s.halt(r)
		}
	})
}

// stuck is a sink that waits before it delivers.
type stuck struct {
	sink.Sink
	wait func()
}

func (s *stuck) Deliver(ctx context.Context, b *sink.Batch) error {
	s.wait()
	return s.Sink.Deliver(ctx, b)
}

func (s *stuck) Pending() sink.Pending { return s.Sink.(sink.Durable).Pending() }
