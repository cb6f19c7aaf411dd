// Package ask lets a goroutine that is not an actor wait for an actor's answer.
package ask

import (
	"context"
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrGone says that the actor asked no longer exists.
var ErrGone = errors.New("actor is gone")

// For sends msg to pid and returns its answer, or the reason ctx ended first.
// It blocks, so Receive must not call it. An actor that restarts drops the
// message it panicked on: ctx should have a deadline.
func For[A any](ctx context.Context, system *actor.ActorSystem, pid *actor.PID, msg any) (A, error) {
	a := NewAsker(system)
	defer a.Close()
	return One[A](ctx, a, pid, msg)
}

// Asker asks one question after the other, without the cost of registering
// anew for each. It belongs to one goroutine.
type Asker struct {
	system *actor.ActorSystem
	self   *actor.PID
	answer chan any
}

// NewAsker registers an asker; Close it.
func NewAsker(system *actor.ActorSystem) *Asker {
	a := &Asker{system: system}
	a.register()
	return a
}

// Close ends the asker.
func (a *Asker) Close() { a.system.ProcessRegistry.Remove(a.self) }

func (a *Asker) register() {
	w := waiter{answer: make(chan any, 1)}
	a.answer = w.answer
	a.self, _ = a.system.ProcessRegistry.Add(w, "ask"+a.system.ProcessRegistry.NextId())
}

// One asks pid through a. See For.
func One[A any](ctx context.Context, a *Asker, pid *actor.PID, msg any) (A, error) {
	var none A
	a.system.Root.RequestWithCustomSender(pid, msg, a.self)
	select {
	case <-ctx.Done():
		// A late answer must not be taken for that of the next question.
		a.Close()
		a.register()
		return none, fmt.Errorf("ask %s: %w", pid.Id, context.Cause(ctx))
	case answer := <-a.answer:
		switch v := answer.(type) {
		case A:
			return v, nil
		case *actor.DeadLetterResponse:
			return none, fmt.Errorf("ask %s: %w", pid.Id, ErrGone)
		default:
			panic(fmt.Sprintf("ask %s: %T answered by %T, want %T", pid.Id, msg, answer, none))
		}
	}
}

// waiter is an actor.Process that keeps the first message sent to it.
type waiter struct{ answer chan any }

func (w waiter) SendUserMessage(_ *actor.PID, msg any) {
	_, answer, _ := actor.UnwrapEnvelope(msg)
	select {
	case w.answer <- answer:
	default: // asked once, answered twice: the first answer counts
	}
}

func (w waiter) SendSystemMessage(*actor.PID, any) {}

func (w waiter) Stop(*actor.PID) {}
