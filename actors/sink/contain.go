package sink

import (
	"fmt"
	"runtime/debug"
)

// crash is a panic in a goroutine beside that of the run.
type crash struct {
	reason any
	stack  []byte
}

func (c *crash) Error() string { return fmt.Sprintf("panic: %v", c.reason) }

// newCrash is what was recovered, with the stack of where it happened.
func newCrash(r any) *crash {
	if c, ok := r.(*crash); ok {
		return c // of another goroutine
	}
	return &crash{r, debug.Stack()}
}

// contain is deferred by every goroutine that a sink starts itself: a panic
// there ends the run as one in Deliver would, and not the process. The
// supervisor sees its stack.
func (e *Env) contain() {
	r := recover()
	if r == nil {
		return
	}
	if e.crashed == nil {
		panic(r) // nobody would hear of it
	}
	e.crashed(newCrash(r))
}
