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

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/topologies/examples"
)

// demoAgent is the agent's name in the example.
const demoAgent = "shop"

// demoFlags are the flags of sluice demo.
type demoFlags struct {
	nodes, rate        int
	seconds, killEvery float64
	keep               bool
	http, kafka        string
}

func newDemo() *cobra.Command {
	f := &demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing on this machine, with nothing prepared",
		Long: `Demo runs a node in a temporary directory: a small load writes a log; an agent from an
unchanged flume.conf tails it through a durable channel into a topic with six partitions; a
group of three ordinary Kafka consumers reads that. Press k to kill a part, of the agent or of
the topic, and see it come back. At the end every line of the log is counted in the topic:
none may be lost, and none may be there twice.`,
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
	l.StringVar(&f.kafka, "kafka", "127.0.0.1:0", "where Kafka's clients connect; port 0 takes a free one")
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
	topic   *shopTopic
	last    counts   // of the previous status line
	lines   []counts // of the last seconds
}

// counts are what a rate is made of.
type counts struct {
	at                       time.Time
	written, delivered, read int64
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
	if err := os.Mkdir(filepath.Join(d.dir, "state"), 0o700); err != nil {
		return err
	}
	conf := filepath.Join(d.dir, "flume.conf")
	if err := os.WriteFile(conf, []byte(examples.Shop), 0o600); err != nil {
		return err
	}
	cfg, _, err := config.Read(config.Input{Flags: map[string]string{
		"node": "demo", "data": filepath.Join(d.dir, "state", "store"), "http": d.f.http, "kafka": d.f.kafka, "allow-chaos": "true", "store-min-free": "0",
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
	addr := d.process.node.KafkaAddr()
	def, err := admin.ReadDefinition(admin.Definition{Name: "demo", Agent: demoAgent,
		Properties: map[string]string{"demo.dir": d.dir, "demo.kafka": addr}}, conf)
	if err != nil {
		return d.process.fail(err)
	}
	if d.topic, err = openTopic(cmd.Context(), addr); err != nil {
		return d.process.fail(err)
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
	d.out.line("  agent shop (flume.conf, unchanged)  tail app.log -> file channel, synced -> Kafka sink -> topic %s", demoTopic)
	d.out.line("  topic %s                        %d partitions   group %s: %d consumers   all up in %d ms",
		demoTopic, demoPartitions, demoGroup, demoConsumers, time.Since(d.began).Milliseconds())
	d.out.line("  Kafka API                           %s   sluice topic consume %s --offset -5 --bootstrap-server %s",
		d.topic.addr, demoTopic, d.topic.addr)
	if a := d.process.server.Addresses()["http"]; a != "" {
		d.out.line("  API and metrics                     http://%s/metrics   sluice topology describe --server http://%s", a, a)
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
	d.last = d.counts()
	for {
		select {
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
	c.read, _, _ = d.topic.figures(0)
	return c
}

// overdueAfter is after how long a line that is in no partition yet counts as lost:
// longer than a part takes to come back.
const overdueAfter = 10 * time.Second

// overdue is how many lines were written that long ago.
func (d *demo) overdue(now counts) (written int64) {
	d.lines = append(d.lines, now)
	for len(d.lines) > 1 && now.at.Sub(d.lines[1].at) >= overdueAfter {
		d.lines = d.lines[1:]
	}
	if now.at.Sub(d.lines[0].at) >= overdueAfter {
		written = d.lines[0].written
	}
	return written
}

func (d *demo) status() {
	now := d.counts()
	secs := now.at.Sub(d.last.at).Seconds()
	rate := func(now, before int64) float64 { return float64(now-before) / secs }
	in, stored, read := rate(now.written, d.last.written), rate(now.delivered, d.last.delivered), rate(now.read, d.last.read)
	d.last = now
	l := d.process.node.Status().Ledger
	_, lost, duplicates := d.topic.figures(int(d.overdue(now)))
	d.out.redraw(
		field{fmt.Sprintf("in %.0f/s", in), 3}, field{fmt.Sprintf("in channel %d", l.Held), 4},
		field{fmt.Sprintf("stored %.0f/s", stored), 2}, field{fmt.Sprintf("read %.0f/s", read), 3},
		field{fmt.Sprintf("lag %d", max(now.delivered-now.read, 0)), 1},
		field{fmt.Sprintf("lost %d", lost), 6}, field{fmt.Sprintf("duplicates %d", duplicates), 5},
		field{fmt.Sprintf("kills %d", d.kills), 4})
}
