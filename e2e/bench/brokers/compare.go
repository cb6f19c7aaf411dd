package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparison runs tools at one load, alternating.
type comparison struct {
	load
	work   string // produce, consume or latency
	sync   bool   // acknowledged after fsync
	runs   int
	sluice string // the binary
	tools  []string
}

// figure is one run of one tool.
type figure struct {
	mbs      float64 // MB/s of values
	cpu      float64 // server's CPU seconds per GB of values
	anon     float64 // MiB of anonymous memory afterwards
	p50, p99 time.Duration
}

func (c comparison) run(dir string) error {
	all := map[string][]figure{}
	for i := range c.runs {
		for _, tool := range c.tools {
			f, err := c.once(tool, filepath.Join(dir, fmt.Sprintf("%s-%d", tool, i)))
			if err != nil {
				fmt.Fprintf(os.Stderr, "run %d of %s: %v\n", i+1, tool, err)
				continue
			}
			all[tool] = append(all[tool], f)
			fmt.Fprintf(os.Stderr, "run %d  %-12s %7.1f MB/s  %5.2f CPU s/GB  %6.1f MiB  p50 %v  p99 %v  load %s\n",
				i+1, tool, f.mbs, f.cpu, f.anon, f.p50, f.p99, loadAverage())
		}
	}
	c.print(all)
	return nil
}

func (c comparison) print(all map[string][]figure) {
	policy := "os"
	if c.sync {
		policy = "fsync"
	}
	fmt.Printf("%s, %d B, %d partitions, %d records, acknowledged after %s, medians of %d\n\n", c.work, c.size, c.partitions, c.records, policy, c.runs)
	fmt.Println("| tool | n | MB/s | [min-max] | first tool / this, per run | CPU s/GB | anon MiB | p50 ms | p99 ms |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	first := all[c.tools[0]]
	for _, tool := range c.tools {
		fs := all[tool]
		if len(fs) == 0 {
			continue
		}
		mbs := column(fs, func(f figure) float64 { return f.mbs })
		var ratios []float64
		for i := range min(len(first), len(fs)) {
			if c.work == "latency" {
				ratios = append(ratios, float64(first[i].p50)/float64(fs[i].p50))
			} else {
				ratios = append(ratios, first[i].mbs/fs[i].mbs)
			}
		}
		slices.Sort(ratios)
		fmt.Printf("| %s | %d | %.1f | %.1f-%.1f | %.2f [%.2f-%.2f] | %.2f | %.1f | %.2f | %.2f |\n", tool, len(fs), median(mbs), mbs[0], mbs[len(mbs)-1],
			median(ratios), ratios[0], ratios[len(ratios)-1],
			median(column(fs, func(f figure) float64 { return f.cpu })), median(column(fs, func(f figure) float64 { return f.anon })),
			median(column(fs, func(f figure) float64 { return f.p50.Seconds() * 1000 })), median(column(fs, func(f figure) float64 { return f.p99.Seconds() * 1000 })))
	}
}

func column(fs []figure, of func(figure) float64) []float64 {
	out := make([]float64, len(fs))
	for i, f := range fs {
		out[i] = of(f)
	}
	slices.Sort(out)
	return out
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// once starts a tool in dir, runs the load and stops it.
func (c comparison) once(tool, dir string) (f figure, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	l := c.load
	l.topic = "bench"
	if l.addr, err = freeAddr(); err != nil {
		return f, err
	}
	cmd, err := c.command(tool, l.addr, dir)
	if err != nil {
		return f, err
	}
	log, err := os.Create(dir + ".log")
	if err != nil {
		return f, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return f, err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), runMax)
	defer cancel()
	if err := reachable(ctx, l.addr); err != nil {
		return f, fmt.Errorf("%w; its log is %s", err, log.Name())
	}
	create, produce, consume := l.create, l.produce, l.consume
	if tool == "jetstream" {
		create, produce, consume = l.jetCreate, l.jetProduce, l.jetConsume
	}
	if err := create(ctx); err != nil {
		return f, fmt.Errorf("create a topic: %w", err)
	}
	before := cpuOf(cmd.Process.Pid)
	var took time.Duration
	switch c.work {
	case "latency":
		var all []time.Duration
		if all, err = l.latency(ctx); err == nil && len(all) > 0 {
			f.p50, f.p99 = all[len(all)/2], all[len(all)*99/100]
		}
	case "consume":
		if _, err = produce(ctx); err == nil {
			before = cpuOf(cmd.Process.Pid)
			took, err = consume(ctx)
		}
	default:
		took, err = produce(ctx)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", c.work, err)
	}
	gb := float64(l.records) * float64(l.size) / 1e9
	if took > 0 {
		f.mbs, f.cpu = gb*1000/took.Seconds(), (cpuOf(cmd.Process.Pid)-before)/gb
	}
	f.anon = anonOf(cmd.Process.Pid)
	return f, nil
}

func (c comparison) command(tool, addr, dir string) (*exec.Cmd, error) {
	if tool == "sluice" {
		flush := "os"
		if c.sync {
			flush = "always"
		}
		return exec.Command(c.sluice, "serve", "--data", filepath.Join(dir, "store"), "--kafka", addr, "--http", "127.0.0.1:0", "--flush", flush), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", tool, "-addr", addr, "-dir", dir}
	if c.sync {
		args = append(args, "-sync")
	}
	return exec.Command(self, args...), nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func reachable(ctx context.Context, addr string) error {
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// cpuOf is the CPU time of a process in seconds (proc(5), fields 14 and 15, in
// hundredths).
func cpuOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// anonOf is the anonymous resident memory of a process in MiB.
func anonOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(text))[0]
}
