package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/actors/channel/channeltest"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	os.Exit(m.Run())
}

// defined is an agent whose stress source fills a memory channel for a
// file_roll sink that writes into dir.
func defined(t *testing.T, dir, more string) *topologies.Agent {
	t.Helper()
	conf := fmt.Sprintf(`
a1.sources = r1
a1.channels = c1
a1.sinks = k1
a1.sources.r1.type = org.apache.flume.source.StressSource
a1.sources.r1.maxTotalEvents = 500
a1.sources.r1.batchSize = 10
a1.sources.r1.size = 5
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
a1.channels.c1.capacity = 1000
a1.sinks.k1.type = file_roll
a1.sinks.k1.sink.rollInterval = 0
a1.sinks.k1.sink.directory = %s
a1.sinks.k1.channel = c1
%s
`, dir, more)
	p, err := flume.Read([]flume.File{{Name: "flume.conf", Data: []byte(conf)}}, flume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &p.Topology.Agents[0]
}

func start(t *testing.T, n *channeltest.Node, a *topologies.Agent) *agent.Agent {
	t.Helper()
	g, err := agent.Start(t.Context(), agent.Env{
		Topology: "test", Store: n.Store, Tree: n.Tree, Log: n.Log, Dir: n.Dir, Fatal: func(err error) { t.Error(err) },
	}, a)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func stop(g *agent.Agent) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	g.Stop(ctx)
}

func lines(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(text), "\n")
	}
	return n
}

// A reload that repairs the sink alone: the channel is the same actor, and all
// that it held arrives.
func TestAChannelKeepsWhatItHoldsOverAReloadOfItsSink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	n := channeltest.Open(t, filepath.Join(dir, "data"))
	defer n.Close()
	if err := os.WriteFile(filepath.Join(dir, "blocked"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, n, defined(t, filepath.Join(dir, "blocked", "out"), ""))
	defer stop(g)
	held := func() int64 { return g.Status().Channels[0].Size }
	n.Until("the channel holds everything", func() bool { return held() == 500 })

	before, err := n.Tree.Get("agent/a1/channel/c1")
	if err != nil {
		t.Fatal(err)
	}
	bad := defined(t, filepath.Join(dir, "out"), "")
	bad.Sinks[0].Kind = nil
	if err := g.Apply(t.Context(), bad); err == nil || held() != 500 {
		t.Fatalf("a definition that cannot run: %v, and %d records are held", err, held())
	}
	if err := g.Apply(t.Context(), defined(t, filepath.Join(dir, "out"), "")); err != nil {
		t.Fatal(err)
	}
	n.Until("everything is delivered", func() bool { return held() == 0 && lines(t, filepath.Join(dir, "out")) == 500 })
	after, err := n.Tree.Get("agent/a1/channel/c1")
	if err != nil || !after.Since.Equal(before.Since) || after.Restarts != 0 {
		t.Errorf("the channel is not the same any more: %+v, was %+v (%v)", after, before, err)
	}
	s := g.Status()
	if s.Channels[0].PutSuccess != 500 || s.Sources[0].Counts.EventReceived != 500 || s.Ledger.Unaccounted != 0 {
		t.Errorf("counters do not go on: %+v", s)
	}
}

// What lies in memory is delivered before the agent is gone.
func TestStopDrainsMemoryChannels(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	n := channeltest.Open(t, filepath.Join(dir, "data"))
	defer n.Close()
	g := start(t, n, defined(t, filepath.Join(dir, "out"), ""))
	n.Until("the source has read", func() bool { return g.Status().Sources[0].Counts.EventAccepted == 500 })
	stop(g)
	if got := lines(t, filepath.Join(dir, "out")); got != 500 {
		t.Errorf("%d records delivered, want 500", got)
	}
}
