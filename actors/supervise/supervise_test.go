package supervise_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/supervise"
)

// house is a tree with one parent whose children the test plays.
type house struct {
	t      *testing.T
	system *actor.ActorSystem
	tree   *supervise.Tree
	parent *actor.PID
}

// hire is a message to the parent: it spawns a child.
type hire struct {
	name string
	do   func(ctx actor.Context)
}

func inHouse(t *testing.T, policy supervise.Policy, fn func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		h := &house{t: t, system: actor.NewActorSystem(
			actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
			actor.WithDeadLetterRequestLogging(false),
		)}
		h.tree = supervise.NewTree(h.system, quiet)
		props := h.tree.Props("parent", policy, func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(hire); ok {
					child := h.tree.Props("child", supervise.Default, func() actor.Actor { return actor.ReceiveFunc(m.do) })
					if _, err := ctx.SpawnNamed(child, m.name); err != nil {
						t.Error(err)
					}
				}
			})
		})
		var err error
		if h.parent, err = h.system.Root.WithGuardian(h.tree.Guardian()).SpawnNamed(props, "p"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			h.system.Root.Stop(h.parent)
			if err := h.tree.AwaitGone(context.Background(), "p"); err != nil {
				t.Error(err)
			}
			pass(2 * time.Hour) // timers of restarts, and protoactor's throttle of dead letters, come to their end
		}()
		synctest.Wait()
		fn(t, h)
	})
}

// hires spawns a child of the parent and returns its path.
func (h *house) hires(name string, do func(ctx actor.Context)) string {
	h.system.Root.Send(h.parent, hire{name, do})
	synctest.Wait()
	return "p/" + name
}

func (h *house) part(path string) supervise.Part {
	h.t.Helper()
	p, err := h.tree.Get(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// starts notes when an actor starts, and then lets it do something.
func starts(at *[]time.Time, do func(nth int)) func(actor.Context) {
	return func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			*at = append(*at, time.Now())
			do(len(*at))
		}
	}
}

// pass lets time pass, and everything happen that then is due.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// isAbout says whether a wait is d, or up to a fifth more.
func isAbout(wait, d time.Duration) bool { return wait >= d && wait <= d+d/5 }

func TestWhatFailsAtEveryStartIsTriedLaterAndLaterAndThenGivenUp(t *testing.T) {
	policy := supervise.Policy{Min: time.Second, Max: 10 * time.Second, GiveUp: 8, Calm: time.Minute}
	inHouse(t, policy, func(t *testing.T, h *house) {
		var at []time.Time
		path := h.hires("c", starts(&at, func(int) { panic("no disk") }))
		if p := h.part(path); p.State != supervise.Backoff || p.Reason != "no disk" || !isAbout(time.Until(p.RetryAt), time.Second) {
			t.Errorf("after the first failure: %+v", p)
		}
		pass(time.Hour)
		want := []time.Duration{1, 2, 4, 8, 10, 10, 10}
		if len(at) != len(want)+1 {
			t.Fatalf("started %d times, want %d", len(at), len(want)+1)
		}
		for i, d := range want {
			if wait := at[i+1].Sub(at[i]); !isAbout(wait, d*time.Second) {
				t.Errorf("start %d came after %v, want %v or up to a fifth more", i+2, wait, d*time.Second)
			}
		}
		last := at[len(at)-1]
		p := h.part(path)
		if p.State != supervise.Failed || p.Reason != "no disk" || !p.Since.Equal(last) || !p.FailedAt.Equal(last) || p.Restarts != 7 {
			t.Errorf("given up: %+v", p)
		}

		// Somebody has mended it, and asks for another try: the row begins anew.
		if err := h.tree.Restart(path); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p := h.part(path); p.State != supervise.Backoff || !isAbout(time.Until(p.RetryAt), time.Second) || len(at) != 9 {
			t.Errorf("restarted by hand: %+v, %d starts", p, len(at))
		}
	})
}

func TestARunThatWasCalmEndsTheRowOfFailures(t *testing.T) {
	policy := supervise.Policy{Min: time.Second, Max: time.Hour, GiveUp: 3, Calm: time.Minute}
	inHouse(t, policy, func(t *testing.T, h *house) {
		var at []time.Time
		path := h.hires("c", starts(&at, func(int) {}))
		for round := range 5 {
			for _, d := range []time.Duration{time.Second, 2 * time.Second} {
				if err := h.tree.Kill(path, "killed"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if p := h.part(path); p.State != supervise.Backoff || !isAbout(time.Until(p.RetryAt), d) {
					t.Fatalf("round %d: %+v, want it back in %v", round, p, d)
				}
				pass(d + d/5)
				synctest.Wait()
			}
			pass(time.Minute)
		}
		if p := h.part(path); p.State != supervise.Running || p.Restarts != 10 {
			t.Errorf("afterwards: %+v", p)
		}
	})
}

// Parts that failed for one reason must not all come back at one moment.
func TestWaitsVaryByUpToAFifth(t *testing.T) {
	policy := supervise.Policy{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	for n, want := range map[int]time.Duration{1: 100 * time.Millisecond, 5: 1600 * time.Millisecond, 10: 30 * time.Second, 100: 30 * time.Second} {
		lowest, highest := time.Hour, time.Duration(0)
		for range 1000 {
			wait := policy.Wait(n)
			if !isAbout(wait, want) {
				t.Fatalf("failure %d: wait %v, want %v or up to a fifth more", n, wait, want)
			}
			lowest, highest = min(lowest, wait), max(highest, wait)
		}
		if highest-lowest < want/10 {
			t.Errorf("failure %d: 1000 waits lie between %v and %v", n, lowest, highest)
		}
	}
}

func breakDown() { panic(errors.New("index out of range")) }

func TestTheStackOfAPanicIsKept(t *testing.T) {
	inHouse(t, supervise.Default, func(t *testing.T, h *house) {
		path := h.hires("c", func(ctx actor.Context) {
			switch ctx.Message() {
			case "break":
				breakDown()
			case "report": // of a goroutine of the actor's
				panic(&supervise.Failure{Reason: "reader died", Stack: []byte("where the reader was")})
			}
		})
		child := actor.NewPID(h.parent.Address, path)
		h.system.Root.Send(child, "break")
		synctest.Wait()
		if p := h.part(path); p.Reason != "index out of range" || !strings.Contains(p.Stack, "breakDown") {
			t.Errorf("after a panic: reason %q, stack %q", p.Reason, p.Stack)
		}
		pass(time.Second)
		h.system.Root.Send(child, "report")
		synctest.Wait()
		if p := h.part(path); p.Reason != "reader died" || p.Stack != "where the reader was" {
			t.Errorf("after a failure that brings its stack: reason %q, stack %q", p.Reason, p.Stack)
		}
	})
}

func TestOnlyThePartThatFailedStartsAnew(t *testing.T) {
	inHouse(t, supervise.Default, func(t *testing.T, h *house) {
		var one, two []time.Time
		first, second := h.hires("one", starts(&one, func(int) {})), h.hires("two", starts(&two, func(int) {}))
		if err := h.tree.Kill(first, "killed"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if len(one) != 2 || len(two) != 1 || h.part(second).Restarts != 0 || h.part("p").Restarts != 0 {
			t.Errorf("started %d and %d times; the tree: %+v", len(one), len(two), h.tree.Parts(""))
		}
	})
}

func TestARestartOnPurposeIsNoFailure(t *testing.T) {
	inHouse(t, supervise.Policy{Min: time.Hour, Max: time.Hour, GiveUp: 2, Calm: time.Hour}, func(t *testing.T, h *house) {
		var at []time.Time
		path := h.hires("c", starts(&at, func(int) {}))
		for range 5 {
			if err := h.tree.Restart(path); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if p := h.part(path); p.State != supervise.Running || p.Restarts != 5 || p.Reason != "" || len(at) != 6 {
			t.Errorf("restarted five times: %+v, %d starts", p, len(at))
		}
	})
}

// Whoever talks to a part that is spawned anew at the path it had may be faster
// than the part.
func TestWhatComesBeforeAPartHasStartedWaits(t *testing.T) {
	inHouse(t, supervise.Default, func(t *testing.T, h *house) {
		var got []any
		props := h.tree.Props("child", supervise.Default, func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case *actor.Started:
					got = append(got, "started")
				case string:
					got = append(got, m)
				}
			})
		}).Configure(actor.WithOnInit(func(ctx actor.Context) { // it has a path, and no mailbox that works
			h.system.Root.Send(ctx.Self(), "one")
			h.system.Root.Send(ctx.Self(), "two")
		}))
		pid, err := h.system.Root.WithGuardian(h.tree.Guardian()).SpawnNamed(props, "c")
		if err != nil {
			t.Fatal(err)
		}
		h.system.Root.Send(pid, "three")
		synctest.Wait()
		if !slices.Equal(got, []any{"started", "one", "two", "three"}) {
			t.Errorf("received %v", got)
		}
		if p := h.part("c"); p.Mailbox != 0 || p.Messages < 3 {
			t.Errorf("the mailbox counts %d of %d waiting", p.Mailbox, p.Messages)
		}
		h.system.Root.Stop(pid)
		if err := h.tree.AwaitGone(context.Background(), "c"); err != nil {
			t.Error(err)
		}
	})
}

// What waits for the world tells so itself; that is no failure of the part.
func TestAPartSaysItselfHowItIs(t *testing.T) {
	inHouse(t, supervise.Default, func(t *testing.T, h *house) {
		var self *actor.PID
		path := h.hires("c", func(ctx actor.Context) { self = ctx.Self() })
		began := h.part(path).Since
		pass(time.Second)
		h.tree.Note(self, supervise.Backoff, "port in use", 5*time.Second)
		told := time.Now()
		pass(time.Second)
		h.tree.Note(self, supervise.Backoff, "port still in use", 5*time.Second)
		if p := h.part(path); p.State != supervise.Backoff || !p.Since.Equal(told) || p.Reason != "port still in use" ||
			!p.RetryAt.Equal(told.Add(6*time.Second)) || p.Restarts != 0 {
			t.Errorf("waiting since %v: %+v", told, p)
		}
		h.tree.Note(self, supervise.Running, "", 0)
		if p := h.part(path); p.State != supervise.Running || !p.RetryAt.IsZero() || !p.Since.After(began) {
			t.Errorf("running again: %+v", p)
		}
		h.tree.Note(self, supervise.Failed, "volume gone", 0)
		if p := h.part(path); p.State != supervise.Failed || p.Reason != "volume gone" {
			t.Errorf("failed by its own word: %+v", p)
		}
		h.tree.Note(actor.NewPID(self.Address, "nobody"), supervise.Failed, "", 0) // of a part that is gone
		if _, err := h.tree.Get("nobody"); !errors.Is(err, supervise.ErrNoPart) {
			t.Errorf("a part that never was: %v", err)
		}
	})
}

func TestTheTreeForgetsWhatHasStoppedAndTellsWhoeverWaits(t *testing.T) {
	inHouse(t, supervise.Default, func(t *testing.T, h *house) {
		path := h.hires("c", func(actor.Context) {})
		h.hires("cc", func(actor.Context) {}) // not below c
		alive, cancel := h.tree.While(context.Background(), path)
		defer cancel()
		if err := h.tree.Kill(path, "killed"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if alive.Err() != nil {
			t.Error("a restart counts as the end")
		}
		var paths []string
		for _, p := range h.tree.Parts("p/c") {
			paths = append(paths, p.Path)
		}
		if !slices.Equal(paths, []string{"p/c"}) {
			t.Errorf("at and below p/c: %v", paths)
		}
		h.system.Root.Stop(actor.NewPID(h.parent.Address, path))
		<-alive.Done()
		if err := context.Cause(alive); !errors.Is(err, supervise.ErrNoPart) {
			t.Errorf("why it is over: %v", err)
		}
		for what, err := range map[string]error{
			"kill": h.tree.Kill(path, "again"), "restart": h.tree.Restart(path),
		} {
			if !errors.Is(err, supervise.ErrNoPart) {
				t.Errorf("%s what has stopped: %v, want %v", what, err, supervise.ErrNoPart)
			}
		}
		if err := h.tree.AwaitGone(context.Background(), path); err != nil {
			t.Error(err)
		}
		hurried, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.tree.AwaitGone(hurried, "p"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait a second for what goes on: %v", err)
		}
	})
}
