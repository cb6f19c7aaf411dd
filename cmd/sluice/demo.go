package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/topologies/examples"
)

// demoAgent is the agent's name in the example.
const demoAgent = "a1"

// demoFlags are the flags of sluice demo.
type demoFlags struct {
	nodes, rate        int
	seconds, killEvery float64
	keep               bool
	http               string
}

func newDemo() *cobra.Command {
	f := &demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing on this machine, with nothing prepared",
		Long: `Demo runs an agent from an unchanged flume.conf in a temporary directory: a small load
writes a log, the agent tails it through a durable channel into rolled files. Press k to
kill a part of it and see it come back. At the end every line of the log is counted in
the files: none may be lost, and none may be there twice.`,
		Example: `  sluice demo
  sluice demo --seconds 20 --kill-every 3`,
		Args: cobra.NoArgs,
	}
	form := withOutput(cmd)
	l := cmd.Flags()
	l.IntVar(&f.nodes, "nodes", 1, "nodes to run; one for now")
	l.Float64Var(&f.seconds, "seconds", 0, "end by itself after so many seconds (0: by q or Ctrl-C)")
	l.Float64Var(&f.killEvery, "kill-every", 0, "kill a part every so many seconds (0: only by k)")
	l.IntVar(&f.rate, "rate", 1000, "lines a second that the load writes")
	l.BoolVar(&f.keep, "keep", false, "keep the directory")
	l.StringVar(&f.http, "http", "127.0.0.1:0", "where the API and the metrics listen; empty: nowhere")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case f.nodes != 1:
			return &usageError{fmt.Errorf("--nodes %d: this version runs one node", f.nodes)}
		case f.rate < 1 || f.rate > 1_000_000:
			return &usageError{fmt.Errorf("--rate %d: want 1 to 1000000 lines a second", f.rate)}
		case f.seconds < 0 || f.killEvery < 0:
			return &usageError{errors.New("--seconds and --kill-every are lengths of time, from 0 on")}
		}
		return runDemo(cmd, f, *form)
	}
	return cmd
}

// demo is a running demonstration.
type demo struct {
	f       *demoFlags
	out     *screen
	dir     string
	process *process
	load    *appLog
	began   time.Time
	kills   int
	back    int // kills of which the part has come back
	victims []string
	watched *victim
	last    counts // of the previous status line
	checked <-chan *tally
	files   *tally // as last counted
}

// victim is a part that was killed and has not come back yet.
type victim struct {
	path     string
	at       time.Time
	restarts int64
}

// counts are what a rate is made of.
type counts struct {
	at                 time.Time
	written, delivered int64
}

func runDemo(cmd *cobra.Command, f *demoFlags, form string) (err error) {
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return err
	}
	if !f.keep {
		defer os.RemoveAll(dir)
	}
	// With JSON the verdict is the data, and what is seen on the way a remark.
	show := cmd.OutOrStdout()
	if form == "json" {
		show = cmd.ErrOrStderr()
	}
	out, restore := newScreen(show, os.Stdin)
	defer restore()
	d := &demo{f: f, out: out, dir: dir}
	if err := d.start(cmd); err != nil {
		return err
	}
	runErr := d.run(cmd.Context())
	v, err := d.finish()
	out.line("")
	if err := errors.Join(runErr, err); err != nil {
		return err
	}
	restore()
	if form == "json" {
		err = writeJSON(cmd.OutOrStdout(), v)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), v)
	}
	if err == nil && !v.Good {
		return &exitError{exitFailed, nil}
	}
	return err
}

func (d *demo) start(cmd *cobra.Command) error {
	for _, sub := range []string{"out", "state"} {
		if err := os.Mkdir(filepath.Join(d.dir, sub), 0o700); err != nil {
			return err
		}
	}
	conf := filepath.Join(d.dir, "flume.conf")
	if err := os.WriteFile(conf, []byte(examples.Demo), 0o600); err != nil {
		return err
	}
	def, err := admin.ReadDefinition(admin.Definition{Name: "demo", Agent: demoAgent, Properties: map[string]string{"demo.dir": d.dir}}, conf)
	if err != nil {
		return err
	}
	cfg, _, err := config.Read(config.Input{Flags: map[string]string{
		"node": "demo", "data": filepath.Join(d.dir, "state", "store"), "http": d.f.http, "allow-chaos": "true", "store-min-free": "0",
	}})
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "sluice.log"))
	if err != nil {
		return err
	}
	d.began = time.Now()
	d.process, err = startProcess(processOptions{config: cfg, load: runs(cfg.AllowExec), stdout: io.Discard, stderr: io.Discard, log: newLogger(log, "info")})
	if err != nil {
		return err
	}
	if d.load, err = startLoad(filepath.Join(d.dir, "app.log"), d.f.rate); err != nil {
		return d.process.fail(err)
	}
	if _, _, err := d.process.deploys.Deploy(cmd.Context(), def, admin.FromFiles); err != nil {
		return d.process.fail(err)
	}
	d.head()
	return nil
}

func (d *demo) head() {
	end := "deleted at the end; keep it with --keep"
	if d.f.keep {
		end = "kept"
	}
	d.out.line("sluice %s  demo in %s (%s)", version, d.dir, end)
	d.out.line("  agent a1 (flume.conf, unchanged)   tail app.log -> file channel, synced -> rolled files   up in %d ms",
		time.Since(d.began).Milliseconds())
	if a := d.process.server.Addresses()["http"]; a != "" {
		d.out.line("  API and metrics                    http://%s/metrics   sluice topology describe --server http://%s", a, a)
	}
	if d.out.keys != nil {
		d.out.line("  try:  k = kill a part   q = quit, and count every line")
	}
	d.out.line("")
}

// run shows the status once a second until it is time to end.
func (d *demo) run(ctx context.Context) error {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	end, kill := after(d.f.seconds), every(d.f.killEvery)
	defer kill.Stop()
	d.last, d.files = d.counts(), &tally{}
	checking, endChecking := context.WithCancel(ctx)
	d.checked = keepCounting(checking, filepath.Join(d.dir, "out"))
	defer func() {
		endChecking()
		for range d.checked {
		}
	}()
	for {
		select {
		case t := <-d.checked:
			d.files = t
		case <-end:
			return nil
		case <-stop:
			return nil
		case err := <-d.load.ended:
			d.load.ended <- err
			return err
		case <-kill.C:
			d.kill()
		case <-look.C:
			d.lookForVictim()
		case <-tick.C:
			d.status()
		case key := <-d.out.keys:
			switch key {
			case 'k':
				d.kill()
			case 'q', 3: // 3 is Ctrl-C, while keys are read one by one
				return nil
			}
		}
	}
}

// after fires once after seconds, or never when there are none.
func after(seconds float64) <-chan time.Time {
	if seconds == 0 {
		return nil
	}
	return time.After(time.Duration(seconds * float64(time.Second)))
}

// every fires every so many seconds; with none, once in a lifetime.
func every(seconds float64) *time.Ticker {
	if seconds == 0 {
		return time.NewTicker(1 << 62)
	}
	return time.NewTicker(max(time.Duration(seconds*float64(time.Second)), time.Millisecond))
}

func (d *demo) counts() counts {
	c := counts{at: time.Now(), written: d.load.written.Load()}
	for _, a := range d.process.node.Status().Agents {
		c.delivered += a.Ledger.Delivered
	}
	return c
}

func (d *demo) status() {
	now := d.counts()
	secs := now.at.Sub(d.last.at).Seconds()
	in, out := float64(now.written-d.last.written)/secs, float64(now.delivered-d.last.delivered)/secs
	d.last = now
	l := d.process.node.Status().Ledger
	d.out.redraw(
		field{fmt.Sprintf("in %.0f/s", in), 3}, field{fmt.Sprintf("out %.0f/s", out), 3},
		field{fmt.Sprintf("received %d", l.Received), 1}, field{fmt.Sprintf("held %d", l.Held), 4},
		field{fmt.Sprintf("delivered %d", l.Delivered), 2},
		field{fmt.Sprintf("lost %d", d.files.lost(len(d.files.seen))), 6}, field{fmt.Sprintf("duplicates %d", d.files.duplicates()), 5},
		field{fmt.Sprintf("kills %d", d.kills), 4})
}

// kill makes the next of the agent's parts fail: sink, source, channel in turn.
func (d *demo) kill() {
	if d.watched != nil {
		return // one at a time, so that the line about its return is its own
	}
	if d.victims == nil {
		d.victims = parts(d.process.node.ActorTree())
	}
	if len(d.victims) == 0 {
		return
	}
	path := d.victims[d.kills%len(d.victims)]
	before, err := d.process.node.InspectActor(path)
	if err == nil {
		err = d.process.node.KillActor(path)
	}
	if err != nil {
		d.out.line("  could not kill %s: %v", path, err)
		return
	}
	d.kills++
	d.watched = &victim{path: path, at: time.Now(), restarts: before.Restarts}
	d.out.line("  killed %s", path)
}

// parts are the paths of an agent's sinks, sources and channels, in this order.
func parts(tree admin.ActorNode) []string {
	var paths []string
	for _, kind := range []string{"sink", "source", "channel"} {
		tree.Walk(func(n admin.ActorNode, _ int) {
			if n.Kind == kind {
				paths = append(paths, n.Path)
			}
		})
	}
	return paths
}

// lookForVictim says when what was killed runs again.
func (d *demo) lookForVictim() {
	if d.watched == nil {
		return
	}
	n, err := d.process.node.InspectActor(d.watched.path)
	if err != nil || n.State != agent.Running || n.Restarts == d.watched.restarts {
		return
	}
	d.out.line("  %s is back after %d ms", d.watched.path, time.Since(d.watched.at).Milliseconds())
	d.back++
	d.watched = nil
}

// keepCounting counts in the files below dir again and again, and rests twenty
// times as long as that takes, until ctx ends. What looks wrong is counted
// twice: a sink that comes back cuts its file while it is being read.
func keepCounting(ctx context.Context, dir string) <-chan *tally {
	results := make(chan *tally, 1)
	go func() {
		defer close(results)
		for {
			began := time.Now()
			t, err := tallyDir(dir)
			if err != nil || t.duplicates() > 0 || t.lost(len(t.seen)) > 0 {
				t, err = tallyDir(dir)
			}
			if err == nil {
				select {
				case results <- t:
				case <-ctx.Done():
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(500*time.Millisecond, 20*time.Since(began))):
			}
		}
	}()
	return results
}

// verdict is how a demo ended.
type verdict struct {
	Written    int          `json:"written"`
	Lost       int          `json:"lost"`
	Duplicates int          `json:"duplicates"`
	Foreign    int          `json:"foreign"` // lines in the files that nobody wrote
	Kills      int          `json:"kills"`
	Back       int          `json:"back"` // of the parts killed
	Ledger     agent.Ledger `json:"ledger"`
	Balanced   bool         `json:"balanced"`
	Good       bool         `json:"good"`
	Dir        string       `json:"dir,omitempty"` // where everything is kept
}

func (v verdict) String() string {
	word, balance, kept := "good", "the ledger balances", ""
	if !v.Good {
		word = "BAD"
	}
	if !v.Balanced {
		balance = fmt.Sprintf("the ledger does not balance: %+v", v.Ledger)
	}
	if v.Foreign > 0 {
		balance += fmt.Sprintf("; %d lines that nobody wrote", v.Foreign)
	}
	if v.Dir != "" {
		kept = "; kept in " + v.Dir
	}
	return fmt.Sprintf("verdict: %s: written %d, lost %d duplicates %d; %s killed, %d came back; %s%s",
		word, v.Written, v.Lost, v.Duplicates, plural(v.Kills, "part"), v.Back, balance, kept)
}

// finishWait is how long the agent has for what is left when the load ends.
const finishWait = 30 * time.Second

// finish ends the load, waits for the last line, stops the agent and counts
// every line in its files.
func (d *demo) finish() (verdict, error) {
	written, err := d.load.finish()
	if err != nil {
		return verdict{}, d.process.fail(err)
	}
	deadline := time.After(finishWait)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
waiting:
	for d.watched != nil || d.counts().delivered < int64(written) {
		select {
		case <-deadline:
			break waiting
		case <-look.C:
			d.lookForVictim()
		}
	}
	l := d.process.node.Status().Ledger
	ctx, cancel := context.WithTimeout(context.Background(), finishWait)
	defer cancel()
	if err := d.process.stop(ctx); err != nil {
		return verdict{}, err
	}
	t, err := tallyDir(filepath.Join(d.dir, "out"))
	if err != nil {
		return verdict{}, err
	}
	v := verdict{Written: written, Lost: t.lost(written), Duplicates: t.duplicates(), Foreign: t.foreign + max(len(t.seen)-written, 0), Kills: d.kills, Back: d.back, Ledger: l}
	v.Balanced = l.Unaccounted == 0 && l.Held == 0 && l.Received == int64(written) && l.Delivered == int64(written)
	v.Good = v.Lost == 0 && v.Duplicates == 0 && v.Foreign == 0 && v.Balanced && v.Kills == v.Back
	if d.f.keep {
		v.Dir = d.dir
	}
	return v, nil
}
