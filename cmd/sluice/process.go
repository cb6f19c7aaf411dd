package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
)

// processOptions are what makes agent, serve and demo differ.
type processOptions struct {
	config    config.Node
	load      admin.Loader
	readyJSON bool
	stdout    io.Writer
	stderr    io.Writer
	log       *slog.Logger
	// monitoring are flume.monitoring.* of -D options.
	monitoring map[string]string
	// keep says whether what comes over the API comes back after a restart.
	keep bool
	// reload is how often files are looked at; 0 never.
	reload time.Duration
}

// process is a node with everything around it that one process has.
type process struct {
	o       processOptions
	node    *node.Node
	deploys *admin.Deployments
	server  *admin.Server
	monitor *admin.FlumeMonitor
	started time.Time
}

// startProcess starts the node and its listeners; nothing is deployed yet.
func startProcess(o processOptions) (*process, error) {
	p := &process{o: o, started: time.Now()}
	if o.config.HTTP != "" {
		if err := admin.CheckBind("--http", o.config.HTTP, o.config.InsecurePublic); err != nil {
			return nil, &exitError{exitConfig, err}
		}
	}
	if o.config.Kafka.Listen != "" {
		if err := admin.CheckBind("--kafka", o.config.Kafka.Listen, o.config.InsecurePublic); err != nil {
			return nil, &exitError{exitConfig, err}
		}
	}
	if err := os.MkdirAll(o.config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	n, err := node.Start(node.Options{Config: o.config, Version: version, Log: o.log})
	if err != nil {
		return nil, portTaken(err, "--kafka")
	}
	p.node = n
	dir := ""
	if o.keep {
		dir = filepath.Join(o.config.Dir, "deployed")
	}
	p.deploys = admin.NewDeployments(n, o.load, dir, o.log)
	p.server = admin.New(admin.Options{Node: n, Deployments: p.deploys, Log: o.log, Insecure: o.config.InsecurePublic})
	if addr := n.KafkaAddr(); addr != "" {
		p.server.Announce("kafka", addr)
	}
	if err := p.listen(); err != nil {
		return nil, p.fail(err)
	}
	return p, nil
}

func (p *process) listen() error {
	if err := p.server.ListenUnix(p.o.config.Dir); err != nil {
		return err
	}
	if p.o.config.HTTP != "" {
		if _, err := p.server.ListenTCP(p.o.config.HTTP); err != nil {
			return portTaken(err, "--http")
		}
	}
	typ := p.o.monitoring["flume.monitoring.type"]
	if typ == "" {
		return nil
	}
	port, host := p.o.monitoring["flume.monitoring.port"], p.o.monitoring["flume.monitoring.host"]
	if port == "" {
		port = fmt.Sprint(admin.FlumePort)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	addr := net.JoinHostPort(host, port)
	if err := admin.CheckBind("flume.monitoring", addr, true); err != nil {
		return &exitError{exitConfig, err}
	}
	if admin.CheckBind("flume.monitoring", addr, false) != nil {
		p.remark("flume.monitoring on %s can be read from other machines, without a password", addr)
	}
	m, err := admin.ListenFlume(addr, typ, p.node.Status, p.o.log)
	if err != nil {
		return portTaken(err, "-Dflume.monitoring.port")
	}
	p.monitor = m
	p.server.Announce("flume", m.Addr.String())
	return nil
}

// portTaken adds to an error about a port in use what to do.
func portTaken(err error, flag string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return &exitError{exitFailed, fmt.Errorf("%w; name another with %s, or 0 for any free one", err, flag)}
}

func (p *process) remark(format string, args ...any) {
	fmt.Fprintf(p.o.stderr, format+"\n", args...)
}

// ready tells people or scripts that everything runs.
func (p *process) ready() {
	addrs := p.server.Addresses()
	if p.o.readyJSON {
		line := map[string]string{"node": p.o.config.Name}
		for k, v := range addrs {
			line[k] = v
		}
		if id := p.node.ClusterID(); id != "" {
			line["cluster"] = id
		}
		writeJSONLine(p.o.stdout, line)
	}
	var parts []string
	for _, a := range p.node.Status().Agents {
		parts = append(parts, fmt.Sprintf("%s (%d sources, %d channels, %d sinks)", a.Name, len(a.Sources), len(a.Channels), len(a.Sinks)))
	}
	what := "nothing is deployed yet"
	if len(parts) > 0 {
		what = "agent " + strings.Join(parts, ", ")
	}
	p.remark("ready in %d ms: %s", time.Since(p.started).Milliseconds(), what)
	if a := addrs["kafka"]; a != "" {
		p.remark("Kafka clients connect to %s", a)
	}
	for _, name := range []string{"http", "flume"} {
		if a := addrs[name]; a != "" {
			p.remark("%s on http://%s/", map[string]string{"http": "API and metrics", "flume": "Flume's counters"}[name], a)
		}
	}
	notifySystemd("READY=1")
}

// wait runs until a signal, and then stops: sources first, then what the sinks
// can still deliver. A second signal stops at once. After a Ctrl-C the exit code
// says so, as shells expect it; a service manager's SIGTERM ends well.
func (p *process) wait(ctx context.Context, signals <-chan os.Signal) error {
	if ctx.Err() != nil { // interrupted while starting
		select {
		case <-signals:
		default:
		}
		return p.drain(signals, os.Interrupt)
	}
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackground()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if p.o.reload > 0 {
			p.deploys.Watch(background, p.o.reload)
		}
	}()
	s := <-signals
	for ; s == syscall.SIGHUP; s = <-signals {
		p.remark("reading the files again")
		p.deploys.ReloadAll(background)
	}
	p.remark("draining: sources stop, sinks deliver; %s; again to stop now", heldWords(p.node.Status()))
	endBackground()
	<-watched
	return p.drain(signals, s)
}

// nowMax is how long stopping at once may take to be orderly.
const nowMax = time.Second

// drain ends the process in order, because of the signal why.
func (p *process) drain(signals <-chan os.Signal, why os.Signal) error {
	notifySystemd("STOPPING=1")
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), p.o.config.Drain)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- p.stop(ctx) }()
	tell := time.NewTicker(time.Second)
	defer tell.Stop()
	var now <-chan time.Time
	for {
		select {
		case err := <-drained:
			p.stopped(began, ctx.Err())
			if now != nil || why == os.Interrupt {
				return errors.Join(&exitError{exitInterrupted, nil}, err)
			}
			return err
		case <-now:
			p.stopped(began, ctx.Err())
			return &exitError{exitInterrupted, nil}
		case <-tell.C:
			p.remark("draining: %s; again to stop now", heldWords(p.node.Status()))
		case s := <-signals:
			if s != syscall.SIGHUP && now == nil {
				p.remark("stopping before everything is delivered; what durable channels hold stays on disk")
				cancel()
				now = time.After(nowMax)
			}
		}
	}
}

// stopped is the last line of a process; cut is why draining ended early.
func (p *process) stopped(began time.Time, cut error) {
	end := ""
	if errors.Is(cut, context.DeadlineExceeded) {
		end = fmt.Sprintf(", with events left after %s (--drain); what durable channels hold stays on disk", p.o.config.Drain)
	}
	p.remark("stopped after %d ms%s", time.Since(began).Milliseconds(), end)
}

// heldWords says what the channels still hold: "312 events held in c1".
func heldWords(st admin.Status) string {
	n := int64(0)
	var where []string
	for _, a := range st.Agents {
		for _, c := range a.Channels {
			if c.Size > 0 {
				n += c.Size
				where = append(where, c.Name)
			}
		}
	}
	if n == 0 {
		return "no events held"
	}
	return fmt.Sprintf("%s held in %s", plural(int(n), "event"), strings.Join(where, ", "))
}

// stop ends the node, and then what shows it: until the end the API says that
// it is stopping. Sinks deliver what they can until ctx ends.
func (p *process) stop(ctx context.Context) error {
	errs := []error{p.node.Stop(ctx)}
	soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if p.monitor != nil {
		errs = append(errs, p.monitor.Close(soon))
	}
	return errors.Join(append(errs, p.server.Close(soon))...)
}

// fail stops what has been started because of err.
func (p *process) fail(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if stopErr := p.stop(ctx); stopErr != nil {
		return fmt.Errorf("%w (and stopping: %v)", err, stopErr)
	}
	return err
}

// notifySystemd tells a service manager of type notify how the process does.
func notifySystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(c, state)
}
