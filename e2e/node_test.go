package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bounds of waiting. They only ever pass when something is wrong.
const (
	readyMax = 60 * time.Second
	stopMax  = 60 * time.Second
	stillMax = 60 * time.Second // without progress
)

// node is one run of the binary as a node.
type node struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr string // file
	http   string // set once ready
	kafka  string // likewise; "" without a Kafka port
	ready  chan struct{}
	exited chan struct{}
	err    error // of the exit
}

// command returns the binary with args. It dies with the test.
func command(wrap []string, args ...string) *exec.Cmd {
	all := append(append([]string{}, wrap...), binary)
	all = append(all, args...)
	c := exec.Command(all[0], all[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// start starts a node whose messages go to the end of the file stderr.
func start(t *testing.T, stderr string, c *exec.Cmd) *node {
	t.Helper()
	n := &node{t: t, cmd: c, stderr: stderr, ready: make(chan struct{}), exited: make(chan struct{})}
	log, err := os.OpenFile(stderr, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stderr = log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		if n.said("WARNING: DATA RACE") > 0 {
			t.Errorf("the race detector found something\n%s", lastLines(stderr, 200))
		}
	})
	go n.watch(out)
	return n
}

// watch waits for the line that says ready, and for the end.
func (n *node) watch(out io.Reader) {
	lines := bufio.NewReader(out)
	line, err := lines.ReadBytes('\n')
	if err == nil {
		var is struct{ HTTP, Kafka string }
		if json.Unmarshal(line, &is) == nil {
			n.http, n.kafka = is.HTTP, is.Kafka
			close(n.ready)
		}
		io.Copy(io.Discard, lines)
	}
	n.err = n.cmd.Wait()
	close(n.exited)
}

// isReady waits until the node is ready, and says whether it ended before.
func (n *node) isReady() bool {
	n.t.Helper()
	select {
	case <-n.ready:
		return true
	case <-n.exited:
		select {
		case <-n.ready:
			return true
		default:
		}
		return false
	case <-time.After(readyMax):
		n.t.Fatalf("the node is not ready after %v\n%s", readyMax, n.messages())
	}
	return false
}

func (n *node) mustBeReady() {
	n.t.Helper()
	if !n.isReady() {
		n.t.Fatalf("the node did not start: %v\n%s", n.err, n.messages())
	}
}

// kill ends the node at once: kill -9.
func (n *node) kill() {
	n.cmd.Process.Kill()
	<-n.exited
}

// stop has the node end in order, and fails the test unless it does.
func (n *node) stop() {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(stopMax):
		n.t.Fatalf("the node has not stopped after %v\n%s", stopMax, n.messages())
	}
	if n.err != nil {
		n.t.Errorf("stopped by SIGTERM: %v, want exit code 0\n%s", n.err, n.messages())
	}
}

func (n *node) exitCode() int {
	<-n.exited
	return n.cmd.ProcessState.ExitCode()
}

// messages are the last lines on stderr.
func (n *node) messages() string { return lastLines(n.stderr, 25) }

func lastLines(file string, count int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return "--- " + file + "\n" + strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// get asks the node over HTTP; the answer's code is in the text's first line.
func (n *node) get(path string) string {
	c := http.Client{Timeout: 10 * time.Second}
	resp, err := c.Get("http://" + n.http + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + "\n" + string(body)
}

// call runs a command to its end.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(nil, args...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// until waits until done, and fails the test if it never is.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(stillMax); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", stillMax, what)
		}
	}
}

// bytesIn is the size of all files in the directories.
func bytesIn(dirs ...string) (sum int64) {
	for _, d := range dirs {
		filepath.WalkDir(d, func(_ string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil
			}
			if info, err := e.Info(); err == nil {
				sum += info.Size()
			}
			return nil
		})
	}
	return sum
}
