package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// State is how a part is.
type State string

// The states of a part.
const (
	Running State = "RUNNING"
	Backoff State = "BACKOFF" // failed, or the world did; runs again by itself
	Failed  State = "FAILED"  // failed too often; waits for somebody to restart it
	Done    State = "DONE"    // a source that has no more to read
)

// ErrNoPart says that no actor has the path given.
var ErrNoPart = errors.New("no such actor")

// Part is one actor of a node as others see it.
type Part struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"`
	State    State     `json:"state"`
	Since    time.Time `json:"since"`            // of this state
	Restarts int       `json:"restarts"`         // in all
	Reason   string    `json:"reason,omitempty"` // of the last failure
	FailedAt time.Time `json:"failed_at,omitzero"`
	Stack    string    `json:"stack,omitempty"` // of the last panic
	RetryAt  time.Time `json:"retry_at,omitzero"`
	Mailbox  int64     `json:"mailbox"` // messages waiting
	Messages int64     `json:"messages"`
	// Busy is how long the actor has worked on its messages.
	Busy time.Duration `json:"busy"`
}

// Tree knows every actor of a node. It is safe for all goroutines.
type Tree struct {
	system *actor.ActorSystem
	log    *slog.Logger
	mu     sync.Mutex
	parts  map[string]*part
}

type part struct {
	Part
	pid     *actor.PID
	meter   *meter
	row     int       // failures in a row
	started time.Time // of this run
	again   func()    // starts a FAILED part anew
	gone    chan struct{}
}

// NewTree returns the tree of a system.
func NewTree(system *actor.ActorSystem, log *slog.Logger) *Tree {
	return &Tree{system: system, log: log, parts: map[string]*part{}}
}

// System is the actor system whose parts the tree knows.
func (t *Tree) System() *actor.ActorSystem { return t.system }

func (t *Tree) started(pid *actor.PID, kind string, m *meter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	p := t.parts[pid.Id]
	if p == nil {
		p = &part{Part: Part{Path: pid.Id, Kind: kind}, gone: make(chan struct{})}
		t.parts[pid.Id] = p
	} else {
		p.Restarts++
	}
	p.pid, p.meter, p.started, p.again = pid, m, now, nil
	p.State, p.Since, p.RetryAt = Running, now, time.Time{}
}

func (t *Tree) stopped(pid *actor.PID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.parts[pid.Id]; p != nil {
		close(p.gone)
		delete(t.parts, pid.Id)
	}
}

// AwaitGone returns when no actor has the path any more, or ctx ends.
func (t *Tree) AwaitGone(ctx context.Context, path string) error {
	p, err := t.find(path)
	if err != nil {
		return nil
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", path, ctx.Err())
	}
}

// failed notes a panic and says after what time to start anew, or that the
// part is given up.
func (t *Tree) failed(pid *actor.PID, policy Policy, reason any, again func()) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.parts[pid.Id]
	if p == nil {
		return policy.Min, true // failed before it had started
	}
	now := time.Now()
	if now.Sub(p.started) >= policy.Calm {
		p.row = 0
	}
	p.row++
	p.FailedAt, p.Reason, p.Stack = now, fmt.Sprint(reason), ""
	if f, ok := reason.(*Failure); ok {
		p.Stack = string(f.Stack)
	}
	if policy.GiveUp > 0 && p.row >= policy.GiveUp {
		p.State, p.Since, p.again = Failed, now, again
		t.log.Error("part given up", "part", p.Path, "failures", p.row, "reason", p.Reason, "stack", p.Stack)
		return 0, false
	}
	wait := policy.Wait(p.row)
	p.State, p.Since, p.RetryAt = Backoff, now, now.Add(wait)
	t.log.Error("part failed", "part", p.Path, "reason", p.Reason, "retry", wait, "stack", p.Stack)
	return wait, true
}

// While is ctx for as long as the actor at path lives: what it was asked and has
// not answered when it stops, it never answers. cancel must be called.
func (t *Tree) While(ctx context.Context, path string) (alive context.Context, cancel context.CancelFunc) {
	p, err := t.find(path)
	if err != nil {
		return context.WithCancel(ctx)
	}
	alive, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.gone:
			end(fmt.Errorf("%w: %s has stopped", ErrNoPart, path))
		case <-alive.Done():
		}
	}()
	return alive, func() { end(context.Canceled) }
}

// Note tells that the part at pid waits for the world (Backoff), runs again
// (Running), has nothing more to do (Done) or cannot go on (Failed), and why.
func (t *Tree) Note(pid *actor.PID, state State, reason string, retry time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.parts[pid.Id]
	if p == nil {
		return
	}
	now := time.Now()
	if p.State != state {
		p.State, p.Since = state, now
	}
	p.RetryAt = time.Time{}
	switch state {
	case Backoff:
		p.Reason, p.FailedAt, p.RetryAt = reason, now, now.Add(retry)
	case Failed:
		p.Reason, p.FailedAt = reason, now
	}
}

// Parts lists all parts, or those at and below path, by path.
func (t *Tree) Parts(path string) []Part {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Part
	for id, p := range t.parts {
		if path == "" || id == path || strings.HasPrefix(id, path+"/") {
			view := p.Part
			view.Mailbox, view.Messages = p.meter.waiting.Load(), p.meter.received.Load()
			view.Busy = time.Duration(p.meter.busy.Load())
			list = append(list, view)
		}
	}
	slices.SortFunc(list, func(a, b Part) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Get is the part at path.
func (t *Tree) Get(path string) (Part, error) {
	if parts := t.Parts(path); len(parts) > 0 && parts[0].Path == path {
		return parts[0], nil
	}
	return Part{}, fmt.Errorf("%w: %s", ErrNoPart, path)
}

// Kill makes the actor at path fail with the reason why.
func (t *Tree) Kill(path, why string) error {
	p, err := t.find(path)
	if err == nil {
		t.system.Root.Send(p.pid, Kill{Why: why})
	}
	return err
}

// Restart starts the actor at path anew, also one that was given up.
func (t *Tree) Restart(path string) error {
	p, err := t.find(path)
	if err != nil {
		return err
	}
	t.mu.Lock()
	again := p.again
	p.again, p.row = nil, 0
	t.mu.Unlock()
	if again != nil {
		again()
		return nil
	}
	t.system.Root.Send(p.pid, Restart{})
	return nil
}

func (t *Tree) find(path string) (*part, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.parts[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoPart, path)
}

// meter counts what goes through a mailbox.
type meter struct{ waiting, received, busy atomic.Int64 }

func (m *meter) worked(since time.Time) { m.busy.Add(int64(time.Since(since))) }

func (m *meter) MailboxStarted()   {}
func (m *meter) MailboxEmpty()     {}
func (m *meter) MessagePosted(any) { m.waiting.Add(1) }
func (m *meter) MessageReceived(any) {
	m.waiting.Add(-1)
	m.received.Add(1)
}
