package persistence_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

// The tests that stop a process in the middle run this binary again as a
// writer: four goroutines put batches of all sizes with their checkpoints into
// logs a, b (always) and z (lazy), every third put into a and b at once.
// Each acknowledgement is a line on stdout: log, seed, base offset.

const childVariable = "SLUICE_TEST_WRITER"

// killAt ends the process without a word before the n-th step of a name.
type killAt struct {
	op   string
	left atomic.Int64
}

func (k *killAt) Before(op, _ string) error {
	if op == k.op && k.left.Add(-1) == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

// childSettings are what a parent tells its writer.
type childSettings struct {
	dir    string
	first  int    // seed
	writes int    // per goroutine
	kill   string // "op:n"
	lazy   bool   // also log z
	trim   bool   // give back all but the newest of a log now and then
}

func (c childSettings) String() string {
	return fmt.Sprintf("%s|%d|%d|%s|%t|%t", c.dir, c.first, c.writes, c.kill, c.lazy, c.trim)
}

func runChild() {
	spec := os.Getenv(childVariable)
	if spec == "" {
		return
	}
	f := strings.Split(spec, "|")
	c := childSettings{dir: f[0], kill: f[3], lazy: f[4] == "true", trim: f[5] == "true"}
	c.first, _ = strconv.Atoi(f[1])
	c.writes, _ = strconv.Atoi(f[2])
	if err := c.write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	writers      = 4
	keptByWriter = 1000 // offsets; far more than one writer is behind the others
)

func (c childSettings) write() error {
	o := persistence.Options{Log: quiet, MinFree: 1 << 20, SegmentBytes: 512 << 10}
	if op, n, ok := strings.Cut(c.kill, ":"); ok {
		k := &killAt{op: op}
		left, _ := strconv.Atoi(n)
		k.left.Store(int64(left))
		o.Faults = k
	}
	s, err := persistence.Open(c.dir, o)
	if err != nil {
		return err
	}
	logs := map[string]*persistence.Log{}
	for name, flush := range logsOfWriter {
		if logs[name], err = s.OpenLog(name, persistence.LogOptions{Flush: flush, State: [][]byte{checkpoint(name, -1)}}); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			credits := make(chan struct{}, 8)
			for i := range c.writes {
				n := (c.first+i)*writers + g
				credits <- struct{}{}
				names := targets(n, c.lazy)
				w := &persistence.Write{}
				for _, name := range names {
					w.Appends = append(w.Appends, persistence.Append{Log: logs[name], Count: 1 + n%3, Payload: batch(n, sizeOf(n))})
					w.Sets = append(w.Sets, persistence.KV{Key: checkpoint(name, g), Value: binary.BigEndian.AppendUint64(nil, uint64(n))})
					if l := logs[name]; c.trim && i%10 == 0 && l.Next() > keptByWriter {
						w.Trims = append(w.Trims, persistence.Trim{Log: l, To: l.Next() - keptByWriter})
					}
				}
				w.Done = func(err error) {
					<-credits
					if err != nil {
						return
					}
					var line []byte
					for i := range w.Appends {
						line = fmt.Appendf(line, "%s %d %d\n", names[i], n, w.Appends[i].Base)
					}
					os.Stdout.Write(line)
				}
				s.Submit(w)
			}
			for range cap(credits) {
				credits <- struct{}{}
			}
		})
	}
	wg.Wait()
	return s.Close()
}

var logsOfWriter = map[string]persistence.Policy{
	"a": persistence.Always, "b": persistence.Always, "z": persistence.Interval(30e6),
}

// targets are the logs that put n goes to.
func targets(n int, lazy bool) []string {
	switch k := n / writers % 6; {
	case k%3 == 0:
		return []string{"a", "b"}
	case k == 1 && lazy:
		return []string{"z"}
	case k == 2:
		return []string{"b"}
	}
	return []string{"a"}
}

func sizeOf(n int) int {
	switch {
	case n%29 == 0:
		return 150 << 10
	case n%5 == 0:
		return 20 << 10
	}
	return 100 + n%900
}

func checkpoint(log string, writer int) []byte {
	if writer < 0 {
		return persistence.CheckpointKey("agent", "source", log, "")
	}
	return persistence.CheckpointKey("agent", "source", log, strconv.Itoa(writer))
}

// ack is one acknowledgement: where the batch of a seed is.
type ack struct {
	log  string
	n    int
	base int64
}

// startWriter runs a writer; every ack is given to seen, which may kill it.
func startWriter(t testing.TB, c childSettings, seen func(acks int, p *os.Process)) (acks []ack, crashed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+c.String())
	var says bytes.Buffer
	cmd.Stderr = &says
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break // a line that was cut off was not heard
		}
		var a ack
		if _, err := fmt.Sscanf(line, "%s %d %d", &a.log, &a.n, &a.base); err != nil {
			t.Fatalf("writer says %q: %v", line, err)
		}
		acks = append(acks, a)
		seen(len(acks), cmd.Process)
	}
	err = cmd.Wait()
	if err != nil && !strings.Contains(err.Error(), "killed") && !strings.Contains(err.Error(), "status 74") {
		t.Fatalf("writer: %v: %s", err, says.String())
	}
	return acks, err != nil
}

// verify compares a store with everything that was ever acknowledged.
func verify(t testing.TB, s *persistence.Store, acks []ack) {
	t.Helper()
	at := map[string]map[int]int64{} // log, seed: base
	newest := map[string]int{}
	start := map[string]int64{}
	for name, flush := range logsOfWriter {
		l := openLog(t, s, name, persistence.LogOptions{Flush: flush, State: [][]byte{checkpoint(name, -1)}})
		at[name] = map[int]int64{}
		start[name] = int64(l.Start())
		for _, b := range content(t, l) {
			n := int(binary.BigEndian.Uint64(b[8:]))
			if _, twice := at[name][n]; twice {
				t.Errorf("log %s holds batch %d twice", name, n)
			}
			if !bytes.Equal(b[8:], batch(n, sizeOf(n))[8:]) {
				t.Errorf("log %s: batch %d has another content", name, n)
			}
			at[name][n] = int64(binary.BigEndian.Uint64(b))
			who := fmt.Sprint(name, n%writers)
			if n < newest[who] {
				t.Errorf("log %s: batch %d after %d of the same writer", name, n, newest[who])
			}
			newest[who] = n
		}
		for g := range writers {
			v, ok, err := s.Get(checkpoint(name, g))
			if err != nil {
				t.Fatal(err)
			}
			if got := newest[fmt.Sprint(name, g)]; ok && int(binary.BigEndian.Uint64(v)) != got || !ok && got > 0 {
				t.Errorf("log %s: the checkpoint of writer %d is %x, its newest batch %d", name, g, v, got)
			}
		}
	}
	lost := 0
	for _, a := range acks {
		if a.base < start[a.log] {
			continue // given back
		}
		if base, ok := at[a.log][a.n]; !ok || base != a.base {
			if lost++; lost <= 5 {
				t.Errorf("log %s: batch %d was acknowledged at %d and is not there (%d, %t)", a.log, a.n, a.base, base, ok)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged batches lost", lost, len(acks))
	}
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
		here, there := at[pair[0]], at[pair[1]]
		for n := range here {
			if _, ok := there[n]; !ok && len(targets(n, false)) == 2 && start[pair[1]] == 0 {
				t.Errorf("put %d went to %s and not to %s", n, pair[0], pair[1])
			}
		}
	}
}
