package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/e2e/gen"
)

// benchFlags are the flags of sluice bench agent.
type benchFlags struct {
	workloads   []string
	lines, runs int
	flush, dir  string
	keep        bool
}

func newBenchAgent() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Measure agents: lines a second, CPU and memory of five workloads",
		Long: `Bench agent runs sluice agent as a process of its own on generated lines (mean 208 bytes) and
counts every line in its files afterwards:

  a  TAILDIR -> memory channel -> file_roll
  b  TAILDIR -> file channel, synced before it answers -> file_roll
  c  syslogtcp, 4 connections -> memory channel -> file_roll
  d  http, JSON, 4 connections, 100 events a request -> memory channel -> file_roll
  e  as a, with regex_filter (keeps half), timestamp and host, headers written too

The clock runs from the start of the process (a, b, e) or of the load (c, d) to the last write
of the complete output. CPU and memory are the agent's alone. Medians of the runs are shown.`,
		Example: `  sluice bench agent
  sluice bench agent --workload a,b --lines 5200000 --runs 5 -o json`,
		Args: cobra.NoArgs,
	}
	form := withOutput(cmd)
	l := cmd.Flags()
	l.StringSliceVar(&f.workloads, "workload", []string{"a", "b", "c", "d", "e"}, "which to run")
	l.IntVar(&f.lines, "lines", gen.Full, "lines of input")
	l.IntVar(&f.runs, "runs", 3, "runs of each workload")
	l.StringVar(&f.flush, "flush", "always", "flush policy of the agent's store")
	l.StringVar(&f.dir, "dir", "", "directory to work in; one below the temporary directory unless given")
	l.BoolVar(&f.keep, "keep", false, "keep the directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.lines < 1 || f.lines > 100_000_000 || f.runs < 1 {
			return &usageError{errors.New("want --lines from 1 to 100000000 and at least one run")}
		}
		for _, w := range f.workloads {
			if _, ok := workloads[w]; !ok {
				return &usageError{fmt.Errorf("--workload %s: want some of a, b, c, d, e", w)}
			}
		}
		return benchAgent(cmd, f, *form)
	}
	return cmd
}

// workload is a configuration and what is fed to it.
type workload struct {
	source, channel, sink string // lines of flume.conf, without "a1.sources.r1." and so on
	syslog                bool
	// load sends the input to a port; nil where the agent reads the file.
	load func(ctx context.Context, port int, input string, lines int) error
	keep string // what the lines that pass hold; "" is all
}

const (
	tailing = `type = TAILDIR
positionFile = ${sys:dir}/positions.json
filegroups = f1
filegroups.f1 = ${sys:dir}/input.log
batchSize = 1000`
	inMemory = `type = memory
capacity = 100000
transactionCapacity = 1000`
	inFile = `type = file
checkpointDir = ${sys:dir}/checkpoint
dataDirs = ${sys:dir}/data
capacity = 1000000
transactionCapacity = 10000`
	toFiles = `type = file_roll
sink.directory = ${sys:dir}/out
sink.rollInterval = 0
sink.batchSize = 1000`
)

var workloads = map[string]workload{
	"a": {source: tailing, channel: inMemory, sink: toFiles},
	"b": {source: tailing, channel: inFile, sink: toFiles},
	"c": {source: "type = syslogtcp\nhost = 127.0.0.1\nport = ${sys:port}", channel: inMemory, sink: toFiles, syslog: true, load: loadSyslog},
	"d": {source: "type = http\nbind = 127.0.0.1\nport = ${sys:port}", channel: inMemory, sink: toFiles, load: loadHTTP},
	"e": {source: tailing + `
interceptors = i1 i2 i3
interceptors.i1.type = regex_filter
interceptors.i1.regex = status=(200|500)\\s
interceptors.i2.type = timestamp
interceptors.i3.type = host`, channel: inMemory, sink: toFiles + "\nsink.serializer = header_and_text", keep: "status=(200|500)"},
}

// conf is the workload as a flume.conf.
func (w workload) conf() string {
	var b strings.Builder
	b.WriteString("a1.sources = r1\na1.channels = c1\na1.sinks = k1\n")
	for _, part := range [][2]string{{"sources.r1", w.source + "\nchannels = c1"}, {"channels.c1", w.channel}, {"sinks.k1", w.sink + "\nchannel = c1"}} {
		for _, line := range strings.Split(part[1], "\n") {
			fmt.Fprintf(&b, "a1.%s.%s\n", part[0], line)
		}
	}
	return b.String()
}

// measured is one run, or the medians of several.
type measured struct {
	Workload string  `json:"workload"`
	Runs     int     `json:"runs"`
	Lines    int     `json:"lines"`
	Bytes    int64   `json:"bytes"` // of input
	Seconds  float64 `json:"seconds"`
	PerSec   float64 `json:"linesPerSecond"`
	MBPerSec float64 `json:"megabytesPerSecond"`
	CPUPerGB float64 `json:"cpuSecondsPerGigabyte"`
	PeakMB   float64 `json:"peakMegabytes"`
	Twice    int     `json:"duplicates"` // the most in any run
	cpu      float64
}

func benchAgent(cmd *cobra.Command, f *benchFlags, form string) error {
	dir, err := os.MkdirTemp(f.dir, "sluice-bench-")
	if err != nil {
		return err
	}
	if !f.keep {
		defer os.RemoveAll(dir)
	}
	results := []measured{}
	for _, name := range f.workloads {
		w := workloads[name]
		input := filepath.Join(dir, map[bool]string{false: "plain.log", true: "syslog.log"}[w.syslog])
		if err := writeInput(input, f.lines, w.syslog); err != nil {
			return err
		}
		var runs []measured
		for i := range f.runs {
			m, err := benchOnce(cmd.Context(), name, w, filepath.Join(dir, fmt.Sprintf("%s-%d", name, i)), input, f)
			if err != nil {
				return fmt.Errorf("workload %s, run %d: %w", name, i+1, err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, run %d of %d: %.2f s, %.2f CPU s/GB, %.0f MB\n", name, i+1, f.runs, m.Seconds, m.CPUPerGB, m.PeakMB)
			runs = append(runs, m)
		}
		results = append(results, medians(runs))
	}
	if form == "json" {
		return writeJSON(cmd.OutOrStdout(), results)
	}
	var rows [][]string
	for _, m := range results {
		rows = append(rows, []string{m.Workload, fmt.Sprint(m.Runs), fmt.Sprint(m.Lines), fmt.Sprintf("%.2f", m.Seconds), fmt.Sprintf("%.0f", m.PerSec/1000),
			fmt.Sprintf("%.0f", m.MBPerSec), fmt.Sprintf("%.2f", m.CPUPerGB), fmt.Sprintf("%.0f", m.PeakMB), fmt.Sprint(m.Twice)})
	}
	return table(cmd.OutOrStdout(), "WORKLOAD RUNS LINES SECONDS KLINES/S MB/S CPU-S/GB PEAK-MB DUPLICATES", rows)
}

// writeInput makes the input unless it is there already.
func writeInput(path string, lines int, syslog bool) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	l := gen.New(gen.Seed)
	l.Syslog = syslog
	return errors.Join(l.WriteTo(f, lines), f.Close())
}

func benchOnce(ctx context.Context, name string, w workload, dir, input string, f *benchFlags) (m measured, err error) {
	m = measured{Workload: name, Runs: 1, Lines: f.lines}
	out := filepath.Join(dir, "out")
	if err := os.MkdirAll(out, 0o700); err != nil {
		return m, err
	}
	if !f.keep {
		defer os.RemoveAll(dir)
	}
	conf := filepath.Join(dir, "flume.conf")
	if err := os.WriteFile(conf, []byte(w.conf()), 0o600); err != nil {
		return m, err
	}
	if err := os.Link(input, filepath.Join(dir, "input.log")); err != nil {
		return m, err
	}
	info, err := os.Stat(input)
	if err != nil {
		return m, err
	}
	m.Bytes = info.Size()
	port, err := freePort()
	if err != nil {
		return m, err
	}
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	child := exec.Command(self, "agent", "-n", "a1", "-f", conf, "--data", filepath.Join(dir, "store"), "--flush", f.flush,
		"--no-reload-conf", "--ready-json", "--log-level", "warn", "-Ddir="+dir, fmt.Sprintf("-Dport=%d", port))
	log, err := os.Create(filepath.Join(dir, "sluice.log"))
	if err != nil {
		return m, err
	}
	defer log.Close()
	child.Stderr = log
	ready, err := child.StdoutPipe()
	if err != nil {
		return m, err
	}
	began := time.Now()
	if err := child.Start(); err != nil {
		return m, err
	}
	ended := make(chan error, 1)
	stop := func() error {
		child.Process.Signal(syscall.SIGTERM)
		return <-ended
	}
	if n, err := ready.Read(make([]byte, 4096)); n == 0 {
		return m, errors.Join(fmt.Errorf("the agent did not start: %w", err), child.Wait(), tail(log.Name()))
	}
	go func() {
		io.Copy(io.Discard, ready)
		ended <- child.Wait()
	}()
	if w.load != nil {
		select {
		case <-time.After(time.Second): // warm-up
		case <-ctx.Done():
			return m, errors.Join(ctx.Err(), stop())
		}
		began = time.Now()
		if err := w.load(ctx, port, filepath.Join(dir, "input.log"), f.lines); err != nil {
			return m, errors.Join(fmt.Errorf("load: %w", err), stop())
		}
	}
	last, twice, err := complete(ctx, out, input, w, ended)
	if err != nil {
		return m, errors.Join(err, stop(), tail(log.Name()))
	}
	if err := stop(); err != nil {
		return m, errors.Join(err, tail(log.Name()))
	}
	m.Twice = twice
	m.Seconds = last.Sub(began).Seconds()
	m.PerSec = float64(f.lines) / m.Seconds
	m.MBPerSec = float64(m.Bytes) / 1e6 / m.Seconds
	m.cpu = (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Seconds()
	m.CPUPerGB = m.cpu / (float64(m.Bytes) / 1e9)
	m.PeakMB = peakMB(child.ProcessState)
	return m, nil
}

// completeWait is how long the output may stand still before it is given up.
const completeWait = 30 * time.Second

// complete waits until every line that should be in the output is there, and
// says when the last was written.
func complete(ctx context.Context, out, input string, w workload, ended chan error) (last time.Time, twice int, err error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	var size int64
	still, counted := time.Now(), int64(-1)
	for {
		select {
		case <-ctx.Done():
			return last, 0, ctx.Err()
		case err := <-ended:
			ended <- err
			return last, 0, errors.New("the agent ended")
		case <-look.C:
		}
		now, at, err := sizeOf(out)
		if err != nil {
			return last, 0, err
		}
		if now != size {
			size, still = now, time.Now()
			continue
		}
		// Counting costs CPU that the agent may want, so only at a standstill.
		if time.Since(still) > 300*time.Millisecond && counted != size {
			counted = size
			lost, twice, err := countAgainst(out, input, w)
			if err != nil {
				return last, 0, err
			}
			if lost == 0 {
				return at, twice, nil
			}
		}
		if time.Since(still) > completeWait {
			return last, 0, fmt.Errorf("the output stands still at %d bytes and is not complete", size)
		}
	}
}

func sizeOf(dir string) (bytes int64, last time.Time, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return bytes, last, err
}

// countAgainst counts the lines that should be in the output and are not, and
// those that are there more than once.
func countAgainst(out, input string, w workload) (lost, twice int, err error) {
	want, err := tallyFile(input, w.keep)
	if err != nil {
		return 0, 0, err
	}
	have, err := tallyDir(out)
	if err != nil {
		return 0, 0, err
	}
	for id, n := range want.seen {
		if n > 0 && (id >= len(have.seen) || have.seen[id] == 0) {
			lost++
		}
	}
	if len(have.seen) > len(want.seen) {
		return lost, 0, errors.New("the output holds lines that were never written")
	}
	for id, n := range have.seen {
		if n > 0 && want.seen[id] == 0 {
			return lost, 0, fmt.Errorf("line %d is in the output and should not have passed", id)
		}
	}
	return lost, have.duplicates(), nil
}

// medians are those of the runs, field by field.
func medians(runs []measured) measured {
	m := runs[0]
	m.Runs = len(runs)
	median := func(of func(measured) float64) float64 {
		var all []float64
		for _, r := range runs {
			all = append(all, of(r))
		}
		slices.Sort(all)
		n := len(all)
		return (all[(n-1)/2] + all[n/2]) / 2
	}
	m.Seconds = median(func(r measured) float64 { return r.Seconds })
	m.PerSec = median(func(r measured) float64 { return r.PerSec })
	m.MBPerSec = median(func(r measured) float64 { return r.MBPerSec })
	m.CPUPerGB = median(func(r measured) float64 { return r.CPUPerGB })
	m.PeakMB = median(func(r measured) float64 { return r.PeakMB })
	for _, r := range runs {
		m.Twice = max(m.Twice, r.Twice)
	}
	return m
}

// tail is the end of a log, as an error.
func tail(path string) error {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return err
	}
	return errors.New("its log ends: " + string(text[max(0, len(text)-2000):]))
}
