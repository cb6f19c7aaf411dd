// Package ask lets a goroutine that is not an actor wait for an actor's answer.
package ask

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	waiter *waiter
	timer  *time.Timer // used again: no allocation per question
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
	a.waiter = &waiter{answer: make(chan any, 1)}
	a.self, _ = a.system.ProcessRegistry.Add(a.waiter, "ask"+a.system.ProcessRegistry.NextId())
}

// lateMax is how long somebody listens for the answer to a question that was
// given up.
const lateMax = 5 * time.Minute

// GiveUp makes a ready for the next question when the last one has no answer
// yet. A late answer must not be taken for that of the next question: it goes
// to late, once, from some goroutine, or nowhere when late is nil.
func (a *Asker) GiveUp(late func(answer any)) {
	if late == nil {
		a.Close()
	} else {
		registry, self := a.system.ProcessRegistry, a.self
		a.waiter.giveUp(late)
		time.AfterFunc(lateMax, func() { registry.Remove(self) })
	}
	a.register()
}

// One asks pid through a. See For.
func One[A any](ctx context.Context, a *Asker, pid *actor.PID, msg any) (A, error) {
	answer, err := Within[A](ctx, a, 0, pid, msg)
	if err != nil {
		a.GiveUp(nil)
	}
	return answer, err
}

// Within asks pid like One, and waits at most patience unless that is 0. On an
// error the caller has to GiveUp.
func Within[A any](ctx context.Context, a *Asker, patience time.Duration, pid *actor.PID, msg any) (A, error) {
	a.Send(pid, msg)
	return Answer[A](ctx, a, patience, pid)
}

// Send asks pid and does not wait: Answer does.
func (a *Asker) Send(pid *actor.PID, msg any) {
	a.system.Root.RequestWithCustomSender(pid, msg, a.self)
}

// Answer waits for the answer of pid to what was sent last, as Within does.
func Answer[A any](ctx context.Context, a *Asker, patience time.Duration, pid *actor.PID) (A, error) {
	var none A
	late := a.after(patience)
	defer a.calm()
	select {
	case <-ctx.Done():
		return none, fmt.Errorf("ask %s: %w", pid.Id, context.Cause(ctx))
	case <-late:
		return none, fmt.Errorf("ask %s: %w", pid.Id, context.DeadlineExceeded)
	case answer := <-a.waiter.answer:
		v, _, err := take[A](answer, pid)
		return v, err
	}
}

// after is a channel that says when d is over; nil, which never does, for 0.
func (a *Asker) after(d time.Duration) <-chan time.Time {
	switch {
	case d <= 0:
		return nil
	case a.timer == nil:
		a.timer = time.NewTimer(d)
	default:
		a.timer.Reset(d)
	}
	return a.timer.C
}

// calm stops the timer of after.
func (a *Asker) calm() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// Withdraw asks pid like One. When patience or ctx ends first it sends withdraw and takes
// the one answer that then comes, to either message, so that nothing which was
// granted meanwhile is lost. late says that it was so. On an error no answer
// has come to either, and the caller has to GiveUp.
func Withdraw[A any](ctx context.Context, a *Asker, patience time.Duration, pid *actor.PID, msg, withdraw any) (answer A, late bool, err error) {
	a.system.Root.RequestWithCustomSender(pid, msg, a.self)
	over := a.after(patience)
	select {
	case v := <-a.waiter.answer:
		a.calm()
		return take[A](v, pid)
	case <-ctx.Done():
	case <-over:
	}
	a.calm()
	answer, err = Within[A](context.Background(), a, withdrawMax, pid, withdraw)
	return answer, true, err
}

// withdrawMax is how long an actor may take to answer a question withdrawn.
const withdrawMax = 2 * time.Second

func take[A any](v any, pid *actor.PID) (answer A, late bool, err error) {
	switch v := v.(type) {
	case A:
		return v, false, nil
	case *actor.DeadLetterResponse:
		return answer, false, fmt.Errorf("ask %s: %w", pid.Id, ErrGone)
	default:
		panic(fmt.Sprintf("ask %s: answered by %T, want %T", pid.Id, v, answer))
	}
}

// waiter is an actor.Process that keeps the first message sent to it.
type waiter struct {
	answer chan any
	mu     sync.Mutex
	late   func(any) // nil: somebody waits for answer
}

func (w *waiter) giveUp(late func(any)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case answer := <-w.answer: // it came just now
		late(answer)
		late = func(any) {}
	default:
	}
	w.late = late
}

func (w *waiter) SendUserMessage(_ *actor.PID, msg any) {
	_, answer, _ := actor.UnwrapEnvelope(msg)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late != nil {
		w.late(answer)
		w.late = func(any) {}
		return
	}
	select {
	case w.answer <- answer:
	default: // asked once, answered twice: the first answer counts
	}
}

func (w *waiter) SendSystemMessage(*actor.PID, any) {}

func (w *waiter) Stop(*actor.PID) {}
