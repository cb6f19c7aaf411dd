package ask_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
)

var echo = actor.PropsFromFunc(func(c actor.Context) {
	switch m := c.Message().(type) {
	case string:
		c.Respond(m + "!")
		c.Respond(m + "?")
	case time.Duration:
		system, to := c.ActorSystem(), c.Sender()
		time.AfterFunc(m, func() { system.Root.Send(to, "late") })
	}
})

func TestForReturnsTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actor.NewActorSystem()
		pid := system.Root.Spawn(echo)
		if got, err := ask.For[string](t.Context(), system, pid, "ping"); got != "ping!" || err != nil {
			t.Errorf("got %q, %v; want ping!", got, err)
		}
		finish(system, pid)
	})
}

func TestForEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actor.NewActorSystem()
		pid := system.Root.Spawn(echo)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		_, err := ask.For[string](ctx, system, pid, 7) // nobody answers an int
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v; want a deadline after 1h", time.Since(start), err)
		}
		finish(system, pid)
	})
}

func TestForSaysThatAStoppedActorIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actor.NewActorSystem()
		pid := system.Root.Spawn(echo)
		finish(system, pid)
		if _, err := ask.For[string](t.Context(), system, pid, "ping"); !errors.Is(err, ask.ErrGone) {
			t.Errorf("asking a stopped actor: got %v, want %v", err, ask.ErrGone)
		}
		<-time.After(2 * time.Second) // protoactor's dead-letter throttle ends its goroutine
	})
}

// An answer that comes after its question was given up belongs to nobody.
func TestALateAnswerIsNotTakenForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := actor.NewActorSystem()
		pid := system.Root.Spawn(echo)
		a := ask.NewAsker(system)
		defer a.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ask.One[string](ctx, a, pid, 2*time.Second); err == nil {
			t.Fatal("answered before it could be")
		}
		<-time.After(2 * time.Second)
		if got, err := ask.One[string](t.Context(), a, pid, "next"); got != "next!" || err != nil {
			t.Errorf("got %q, %v; want next!", got, err)
		}
		finish(system, pid)
		<-time.After(2 * time.Second)
	})
}

func finish(system *actor.ActorSystem, pid *actor.PID) {
	system.Root.Stop(pid)
	synctest.Wait()
}
