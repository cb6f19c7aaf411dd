package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of processor times in /proc.
const clockTick = 10 * time.Millisecond

// usage is what a process and all below it have used.
type usage struct {
	CPU      time.Duration
	PeakRSS  int64 // bytes, VmHWM
	PeakAnon int64 // bytes, the highest RssAnon seen
}

// tool is a running process tree that is watched until it is stopped.
type tool struct {
	cmd    *exec.Cmd
	begun  time.Time
	exited chan struct{} // closed when the process has ended, with err set
	err    error
	ended  chan struct{} // closed when watch has returned
	stop   chan struct{}
	used   usage
	dead   map[int]time.Duration // processor time of children seen so far
}

// startTool runs the command in its own process group, its output in logFile.
func startTool(command []string, dir, logFile string) (*tool, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t := &tool{cmd: cmd, begun: time.Now(), exited: make(chan struct{}), ended: make(chan struct{}), stop: make(chan struct{}), dead: map[int]time.Duration{}}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		t.err = cmd.Wait()
		close(t.exited)
	}()
	go t.watch()
	go t.endWithUs()
	return t, nil
}

// endWithUs ends the tool when bench itself is told to end: nothing is left
// running.
func (t *tool) endWithUs() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(told)
	select {
	case <-told:
		_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
		os.Exit(130)
	case <-t.exited:
	}
}

func (t *tool) hasEnded() bool {
	select {
	case <-t.exited:
		return true
	default:
		return false
	}
}

// watchEvery is how often the memory of a tool is looked at.
const watchEvery = 20 * time.Millisecond

func (t *tool) watch() {
	defer close(t.ended)
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		t.look()
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
	}
}

// look adds up what all processes of the tool use now.
func (t *tool) look() {
	var rss, anon int64
	for _, pid := range descendants(t.cmd.Process.Pid) {
		peak, now := memoryOf(pid)
		rss += peak
		anon += now
		if cpu := cpuOf(pid); cpu > t.dead[pid] {
			t.dead[pid] = cpu
		}
	}
	t.used.PeakRSS = max(t.used.PeakRSS, rss)
	t.used.PeakAnon = max(t.used.PeakAnon, anon)
}

// finish notes what was used until now, then ends the tool: politely first.
func (t *tool) finish() (usage, error) {
	close(t.stop)
	<-t.ended
	t.look()
	for _, cpu := range t.dead {
		t.used.CPU += cpu
	}
	if t.hasEnded() {
		return t.used, fmt.Errorf("the tool ended by itself: %v", t.err)
	}
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.exited:
	case <-time.After(stopWait):
	}
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL) // with what it has left behind
	<-t.exited
	return t.used, nil
}

// stopWait is how long a tool may take to end.
const stopWait = 10 * time.Second

// descendants are pid and all processes below it.
func descendants(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, name := range files {
			text, _ := os.ReadFile(name)
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

func memoryOf(pid int) (peak, anon int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[0], 10, 64)
		switch name {
		case "VmHWM":
			peak = kib << 10
		case "RssAnon":
			anon = kib << 10
		}
	}
	return peak, anon
}

// cpuOf is the user and system time of one process, with that of its children
// that have ended.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in the second field may hold blanks and brackets.
	at := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[at+1:]))
	var ticks int64
	for _, field := range fields[11:15] {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

func loadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	var load float64
	_, _ = fmt.Sscan(string(text), &load)
	return load
}

var errNotComplete = errors.New("the output did not become complete in time")
