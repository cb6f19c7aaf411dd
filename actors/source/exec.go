package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/topologies"
)

const (
	// execGrace is how long a command may take to end after SIGTERM.
	execGrace = 2 * time.Second
	// execRetry is the longest pause between two tries at a full channel.
	execRetry = time.Second
)

// execSource runs a command and makes a record of each line that it prints.
// While the channel is full the command waits at its pipe.
type execSource struct {
	log      *slog.Logger
	counters *Counters

	argv         []string
	restart      bool
	throttle     time.Duration
	logStdErr    bool
	batchSize    int
	batchTimeout time.Duration
	charset      *interceptor.Charset
	compat       bool
}

func newExec(settings topologies.Settings, env Env) (Source, error) {
	s := &execSource{
		log:          env.Log,
		counters:     env.Counters,
		restart:      settings.Bool("restart"),
		throttle:     settings.Duration("restartThrottle"),
		logStdErr:    settings.Bool("logStdErr"),
		batchSize:    max(1, settings.Int("batchSize")),
		batchTimeout: settings.Duration("batchTimeout"),
		compat:       env.Compat,
	}
	if !env.AllowExec {
		return nil, fmt.Errorf("%s: commands of a configuration may not run here; --allow-exec allows them", settings.Name())
	}
	command := settings.String("command")
	if shell := settings.List("shell"); len(shell) > 0 {
		s.argv = append(shell, command)
	} else {
		s.argv = strings.Fields(command) // there is no quoting
	}
	if strings.TrimSpace(command) == "" {
		settings.Fail("command", "a command has to be given")
	}
	var err error
	if s.charset, err = interceptor.CharsetNamed(settings.String("charset")); err != nil {
		settings.Fail("charset", err.Error())
	}
	return s, settings.Err()
}

func (s *execSource) Settled(Checkpoint) {}

func (s *execSource) Run(ctx context.Context, out Out) error {
	for ctx.Err() == nil {
		err := s.runOnce(ctx, out)
		switch {
		case ctx.Err() != nil:
			return nil
		case !s.restart && err != nil:
			return fmt.Errorf("run %q: %w", s.argv[0], err)
		case !s.restart:
			return nil
		case err != nil:
			s.log.Error("command cannot be run; it is tried again", "command", s.argv, "err", err, "after", s.throttle)
		}
		sleep(ctx, s.throttle)
	}
	return nil
}

// runOnce runs the command to its end. The error is that it could not be
// started; how it ended is only logged.
func (s *execSource) runOnce(ctx context.Context, out Out) error {
	stdout, childOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, childErr, err := os.Pipe()
	if err != nil {
		childOut.Close()
		return err
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Stdout, cmd.Stderr = childOut, childErr
	// A group of its own, so that what a shell has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	childOut.Close()
	childErr.Close()
	if err != nil {
		stderr.Close()
		return err
	}
	s.log.Info("command runs", "command", s.argv, "pid", cmd.Process.Pid)
	errorsRead := make(chan struct{})
	go func() { defer contain(ctx); defer close(errorsRead); s.readErrors(stderr) }()

	// What is on its way when the source is stopped may still be stored.
	storing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &execProcess{pid: cmd.Process.Pid, ended: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer contain(ctx)
		p.stopWith(ctx, func() { stdout.SetReadDeadline(time.Unix(0, 0)); cancel() })
	}()

	s.readLines(ctx, storing, stdout, out)
	err = cmd.Wait()
	p.reaped.Store(true)
	close(p.ended)
	<-p.stopped
	cancel()
	stderr.Close()
	<-errorsRead
	s.log.Info("command has ended", "command", s.argv, "state", cmd.ProcessState.String(), "err", err)
	return nil
}

// execProcess ends a command and all it has started.
type execProcess struct {
	pid     int
	reaped  atomic.Bool // the pid may belong to somebody else
	ended   chan struct{}
	stopped chan struct{} // stopWith is over
}

// stopWith ends the process when ctx ends: politely, then not, then cut tells
// those who still wait for it.
func (p *execProcess) stopWith(ctx context.Context, cut func()) {
	defer close(p.stopped)
	select {
	case <-p.ended:
		return
	case <-ctx.Done():
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(execGrace):
	}
	p.signal(syscall.SIGKILL)
	cut()
	<-p.ended
}

func (p *execProcess) signal(sig syscall.Signal) {
	if !p.reaped.Load() {
		// The group may be gone: then there is nothing to end.
		_ = syscall.Kill(-p.pid, sig)
	}
}

// readErrors empties the command's standard error, lest it waits there.
func (s *execSource) readErrors(r io.Reader) {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		if s.logStdErr {
			s.log.Info("command says on its standard error", "line", string(line))
		}
	}
}

// readLines stores the lines of the command until its end.
func (s *execSource) readLines(ctx, storing context.Context, r *os.File, out Out) {
	c := newLineCollector(s)
	pushed := time.Now()
	push := func() {
		s.push(ctx, storing, c, out)
		pushed = time.Now()
	}
	buf := make([]byte, 64<<10)
	for {
		due := time.Time{}
		if c.count() > 0 {
			due = pushed.Add(s.batchTimeout)
		}
		if ctx.Err() == nil { // afterwards the deadline belongs to stopWith
			r.SetReadDeadline(due)
		}
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			if rest = c.feed(rest, s.batchSize); c.count() >= s.batchSize {
				push()
			}
		}
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if c.count() > 0 && time.Since(pushed) >= s.batchTimeout {
			push()
		}
		if err != nil && !(late && storing.Err() == nil) {
			break
		}
	}
	c.end()
	for c.count() > 0 {
		push()
	}
}

// push stores the lines collected, however long the channel is full. Only when
// the source is being stopped it gives up, and counts what is lost.
func (s *execSource) push(ctx, storing context.Context, c *lineCollector, out Out) {
	n := min(c.count(), s.batchSize)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, execRetry) {
		err := out.Store(storing, c.batch(n))
		if err == nil {
			break
		}
		s.counters.ChannelWriteFail.Add(1)
		if ctx.Err() != nil {
			s.counters.Lost.Add(int64(n))
			s.log.Warn("lines of the command are lost: the source was stopped and the channel did not take them", "lines", n, "err", err)
			break
		}
		if pause >= execRetry {
			s.log.Warn("lines of the command wait for the channel, and the command with them", "lines", n, "err", err)
		}
		sleep(ctx, pause)
	}
	c.drop(n)
}
