package node_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// start runs a node over dir whose log goes to the test's.
func start(t *testing.T, dir string) *node.Node {
	t.Helper()
	n, err := node.Start(node.Options{
		Config: config.Node{Name: "n1", Dir: dir, Flush: "always", AllowExec: true, AllowChaos: true},
		Log:    slog.New(slog.NewTextHandler(testLog{t}, nil)),
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return n
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func stop(t testing.TB, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// topology reads a flume.conf.
func topology(t *testing.T, conf string) *topologies.Topology {
	t.Helper()
	p, err := flume.Read([]flume.File{{Name: "flume.conf", Data: []byte(conf)}}, flume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Faults {
		if f.Severity == topologies.Error {
			t.Fatalf("%v", f)
		}
	}
	p.Topology.Name = "test"
	return &p.Topology
}

// tailToFile is an agent that copies the lines of dir/in/*.log to dir/out.
func tailToFile(dir, channel string) string {
	return fmt.Sprintf(`
a1.sources = r1
a1.channels = c1
a1.sinks = k1
a1.sources.r1.type = TAILDIR
a1.sources.r1.filegroups = f1
a1.sources.r1.filegroups.f1 = %[1]s/in/.*\\.log
a1.sources.r1.positionFile = %[1]s/pos.json
a1.sources.r1.channels = c1
a1.channels.c1.type = %[2]s
a1.channels.c1.capacity = 10000
a1.channels.c1.transactionCapacity = 1000
a1.sinks.k1.type = file_roll
a1.sinks.k1.sink.directory = %[1]s/out
a1.sinks.k1.sink.rollInterval = 0
a1.sinks.k1.channel = c1
`, dir, channel)
}

func place(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"in", "out", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func appendLines(t *testing.T, path string, from, to int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %06d\n", i)
	}
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// output is everything that the sink has written, file after file.
func output(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "out", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			continue // opened, and nothing came
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	return lines
}

// until waits for ok, checking often, and fails the test after half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("not within 30 s: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		case <-tick.C:
		}
	}
}

// eachOnce fails unless lines 0 to n-1 stand in the output, each once.
func eachOnce(t *testing.T, dir string, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, l := range output(t, dir) {
		seen[l]++
	}
	for i := range n {
		if got := seen[fmt.Sprintf("line %06d", i)]; got != 1 {
			t.Fatalf("line %d stands %d times in the output, want once", i, got)
		}
	}
	if len(seen) != n {
		t.Fatalf("%d different lines in the output, want %d", len(seen), n)
	}
}

func TestLinesArriveOnceOverEveryChannelAndARestart(t *testing.T) {
	for _, kind := range []string{"memory", "file", "spillablememory"} {
		t.Run(kind, func(t *testing.T) {
			dir := place(t)
			in := filepath.Join(dir, "in", "app.log")
			appendLines(t, in, 0, 5000)
			for round := range 2 {
				n := start(t, filepath.Join(dir, "data"))
				if _, err := n.Deploy(t.Context(), topology(t, tailToFile(dir, kind))); err != nil {
					t.Fatal(err)
				}
				want := 5000 + 5000*round
				until(t, fmt.Sprintf("%d lines delivered", want), func() bool { return len(output(t, dir)) >= want })
				until(t, "a ledger that balances", func() bool {
					l := n.Status().Ledger
					return l.Unaccounted == 0 && l.Held == 0 && l.Delivered == 5000
				})
				stop(t, n)
				eachOnce(t, dir, want)
				appendLines(t, in, 5000*(round+1), 5000*(round+2))
			}
		})
	}
}

// One poisoned part restarts alone while its neighbours go on.
func TestKilledPartsComeBackAndNothingIsLost(t *testing.T) {
	for _, kind := range []string{"memory", "file"} {
		t.Run(kind, func(t *testing.T) {
			dir := place(t)
			in := filepath.Join(dir, "in", "app.log")
			n := start(t, filepath.Join(dir, "data"))
			if _, err := n.Deploy(t.Context(), topology(t, tailToFile(dir, kind))); err != nil {
				t.Fatal(err)
			}
			parts := []string{"agent/a1/source/r1", "agent/a1/channel/c1", "agent/a1/sink/k1", "agent/a1"}
			sent := 0
			for round := range 12 {
				appendLines(t, in, sent, sent+1000)
				sent += 1000
				path := parts[round%len(parts)]
				var before admin.ActorNode
				until(t, path+" runs", func() (ok bool) {
					var err error
					before, err = n.InspectActor(path)
					return err == nil && before.State == "RUNNING"
				})
				if err := n.KillActor(path); err != nil {
					t.Fatal(err)
				}
				until(t, path+" is back", func() bool {
					now, err := n.InspectActor(path)
					return err == nil && now.Restarts > before.Restarts && now.State == "RUNNING"
				})
			}
			until(t, "all lines delivered", func() bool { return len(output(t, dir)) >= sent })
			until(t, "a ledger that balances", func() bool {
				l := n.Status().Ledger
				return l.Unaccounted == 0 && l.Held == 0
			})
			stop(t, n)
			eachOnce(t, dir, sent)
		})
	}
}
