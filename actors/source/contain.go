package source

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// crash is a panic in a goroutine that a source started itself.
type crash struct {
	reason any
	stack  []byte
}

func (c *crash) Error() string { return fmt.Sprintf("panic: %v", c.reason) }

// crashKey is where a run's context holds what a crash is told to.
type crashKey struct{}

// withCrashes lets the goroutines of a run that ctx belongs to end it.
func withCrashes(ctx context.Context, end context.CancelCauseFunc) context.Context {
	return context.WithValue(ctx, crashKey{}, end)
}

// contain is deferred by every goroutine that a source starts itself: a panic
// there ends the run that ctx belongs to as one in Run would, and not the
// process. The supervisor sees its stack.
func contain(ctx context.Context) {
	r := recover()
	if r == nil {
		return
	}
	end, ok := ctx.Value(crashKey{}).(context.CancelCauseFunc)
	if !ok {
		panic(r) // nobody would hear of it
	}
	end(&crash{r, debug.Stack()})
}

// crashOf is the panic that ended ctx, as the run reports it.
func crashOf(ctx context.Context) *poisoned {
	var c *crash
	if errors.As(context.Cause(ctx), &c) {
		return &poisoned{c.reason, c.stack}
	}
	return nil
}
