package node_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/runtime/node"
)

// tailToSinks is an agent that copies the lines of dir/in/*.log over its
// channels, several by name, to file_roll sinks below dir/out: "k1 c1" is a sink
// k1 at the channel c1.
func tailToSinks(dir, channels string, sinks []string, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
a1.sources = r1
a1.channels = %[2]s
a1.sources.r1.type = TAILDIR
a1.sources.r1.filegroups = f1
a1.sources.r1.filegroups.f1 = %[1]s/in/.*\\.log
a1.sources.r1.positionFile = %[1]s/pos.json
a1.sources.r1.batchSize = 10
a1.sources.r1.channels = %[2]s
`, dir, channels)
	for c := range strings.FieldsSeq(channels) {
		fmt.Fprintf(&b, "a1.channels.%[1]s.type = file\na1.channels.%[1]s.capacity = 10000\na1.channels.%[1]s.transactionCapacity = 1000\n", c)
	}
	var names []string
	for _, s := range sinks {
		name, channel, _ := strings.Cut(s, " ")
		names = append(names, name)
		fmt.Fprintf(&b, `
a1.sinks.%[1]s.type = file_roll
a1.sinks.%[1]s.sink.directory = %[2]s/out/%[1]s
a1.sinks.%[1]s.sink.rollInterval = 0
a1.sinks.%[1]s.sink.batchSize = 10
a1.sinks.%[1]s.channel = %[3]s
`, name, dir, channel)
	}
	fmt.Fprintf(&b, "a1.sinks = %s\n%s", strings.Join(names, " "), more)
	return b.String()
}

// linesBelow are the lines in the files of dir/out/sink.
func linesBelow(t *testing.T, dir, sink string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "out", sink, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })...)
	}
	return all
}

func makeOut(t *testing.T, dir string, sinks ...string) {
	t.Helper()
	for _, s := range sinks {
		if err := os.MkdirAll(filepath.Join(dir, "out", s), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func deploy(t *testing.T, n *node.Node, conf string) {
	t.Helper()
	if _, err := n.Deploy(t.Context(), topology(t, conf)); err != nil {
		t.Fatal(err)
	}
}

// wantLines fails unless lines 0 to n-1 are in got, each once.
func wantLines(t *testing.T, what string, got []string, n int) {
	t.Helper()
	got = slices.Sorted(slices.Values(got))
	for i := range max(n, len(got)) {
		if want := fmt.Sprintf("line %06d", i); i >= n || i >= len(got) || got[i] != want {
			t.Fatalf("%s: %d lines, the first other than wanted is number %d, want %d lines", what, len(got), i, n)
		}
	}
}

func TestALoadBalancingGroupSharesTheLinesAmongItsSinks(t *testing.T) {
	dir := place(t)
	makeOut(t, dir, "k1", "k2")
	appendLines(t, filepath.Join(dir, "in", "app.log"), 0, 1000)
	n := start(t, filepath.Join(dir, "data"))
	deploy(t, n, tailToSinks(dir, "c1", []string{"k1 c1", "k2 c1"}, `
a1.sinkgroups = g1
a1.sinkgroups.g1.sinks = k1 k2
a1.sinkgroups.g1.processor.type = load_balance
`))
	both := func() []string { return append(linesBelow(t, dir, "k1"), linesBelow(t, dir, "k2")...) }
	until(t, "all lines delivered", func() bool { return len(both()) >= 1000 })
	stop(t, n)
	wantLines(t, "both sinks", both(), 1000)
	for _, k := range []string{"k1", "k2"} {
		if got := len(linesBelow(t, dir, k)); got < 400 {
			t.Errorf("sink %s got %d of 1000 lines, want half", k, got)
		}
	}
}

func TestALoadBalancingSelectorGivesEachLineToOneChannelByChance(t *testing.T) {
	dir := place(t)
	makeOut(t, dir, "k1", "k2")
	appendLines(t, filepath.Join(dir, "in", "app.log"), 0, 1000)
	n := start(t, filepath.Join(dir, "data"))
	deploy(t, n, tailToSinks(dir, "c1 c2", []string{"k1 c1", "k2 c2"}, `
a1.sources.r1.selector.type = load_balancing
a1.sources.r1.selector.policy = random
`))
	both := func() []string { return append(linesBelow(t, dir, "k1"), linesBelow(t, dir, "k2")...) }
	until(t, "all lines delivered", func() bool { return len(both()) >= 1000 })
	until(t, "a ledger that balances", func() bool { l := n.Status().Ledger; return l.Unaccounted == 0 && l.Held == 0 })
	stop(t, n)
	wantLines(t, "both sinks", both(), 1000)
	for _, k := range []string{"k1", "k2"} {
		if got := len(linesBelow(t, dir, k)); got < 400 || got > 600 { // 6 times the deviation
			t.Errorf("sink %s got %d of 1000 lines, want about half", k, got)
		}
	}
}

// What an optional channel does not take is counted, and holds up nobody.
func TestAMultiplexingSelectorServesRequiredChannelsWhateverTheOptionalDo(t *testing.T) {
	dir := place(t)
	makeOut(t, dir, "k1", "k3") // none for k2: its channel fills up
	appendLines(t, filepath.Join(dir, "in", "app.log"), 0, 1000)
	n := start(t, filepath.Join(dir, "data"))
	deploy(t, n, tailToSinks(dir, "c1 c2 c3", []string{"k1 c1", "k2 c2", "k3 c3"}, `
a1.channels.c2.capacity = 100
a1.channels.c2.transactionCapacity = 100
a1.sources.r1.headers.f1.kind = access
a1.sources.r1.selector.type = multiplexing
a1.sources.r1.selector.header = kind
a1.sources.r1.selector.mapping.access = c1
a1.sources.r1.selector.optional.access = c2 c3
a1.sources.r1.selector.default = c2
`))
	until(t, "all lines at the required channel's sink", func() bool { return len(linesBelow(t, dir, "k1")) >= 1000 })
	until(t, "all lines at the optional channel's sink that works", func() bool { return len(linesBelow(t, dir, "k3")) >= 1000 })
	until(t, "the full channel's share counted as dropped", func() bool {
		l := n.Status().Ledger
		dropped := n.Status().Agents[0].Sources[0].Dropped["optional channel c2"]
		return l.Unaccounted == 0 && dropped == 900 && l.Held == 100 && l.Delivered == 2000
	})
	stop(t, n)
	wantLines(t, "k1", linesBelow(t, dir, "k1"), 1000)
	wantLines(t, "k3", linesBelow(t, dir, "k3"), 1000)
}

// reasons are what /readyz?verbose says of a sink.
func reasons(n *node.Node, sink string) (all []admin.Reason) {
	for _, r := range n.Status().Reasons() {
		if r.Part == "agent/a1/sink/"+sink {
			all = append(all, r)
		}
	}
	return all
}

func TestASinkWithoutItsDirectorySaysSoBeforeTheFirstRecord(t *testing.T) {
	dir := place(t)
	n := start(t, filepath.Join(dir, "data"))
	defer stop(t, n)
	deploy(t, n, tailToSinks(dir, "c1", []string{"k1 c1"}, ""))
	missing := filepath.Join(dir, "out", "k1")
	until(t, "the reason", func() bool {
		r := reasons(n, "k1")
		return len(r) == 1 && r[0].State == agent.Backoff && r[0].Blocks && strings.Contains(r[0].Reason, missing)
	})
	makeOut(t, dir, "k1")
	until(t, "no reason any more", func() bool { return len(reasons(n, "k1")) == 0 && n.Status().Ready() })
}

func TestADeadMemberOfAGroupShowsItsReasonWhileTheOthersGoOn(t *testing.T) {
	for _, processor := range []string{"failover", "load_balance"} {
		t.Run(processor, func(t *testing.T) {
			dir := place(t)
			makeOut(t, dir, "k2")
			appendLines(t, filepath.Join(dir, "in", "app.log"), 0, 200)
			n := start(t, filepath.Join(dir, "data"))
			defer stop(t, n)
			deploy(t, n, tailToSinks(dir, "c1", []string{"k1 c1", "k2 c1"}, `
a1.sinkgroups = g1
a1.sinkgroups.g1.sinks = k1 k2
a1.sinkgroups.g1.processor.priority.k1 = 10
a1.sinkgroups.g1.processor.priority.k2 = 5
a1.sinkgroups.g1.processor.type = `+processor+"\n"))
			until(t, "all lines at the sink that works", func() bool { return len(linesBelow(t, dir, "k2")) >= 200 })
			r := reasons(n, "k1")
			if len(r) != 1 || r[0].State != agent.Backoff || r[0].Blocks || !strings.Contains(r[0].Reason, "out/k1") || r[0].Since.IsZero() {
				t.Errorf("of the dead member: %+v, want BACKOFF with its own reason, which does not block", r)
			}
			if r := reasons(n, "k2"); len(r) != 0 || !n.Status().Ready() {
				t.Errorf("of the other: %+v, ready %v; want nothing and true", r, n.Status().Ready())
			}
			makeOut(t, dir, "k1")
			until(t, "no reason any more", func() bool {
				appendLines(t, filepath.Join(dir, "in", "app.log"), 0, 10) // so that it is tried
				return len(reasons(n, "k1")) == 0
			})
		})
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) lines(with string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range strings.Lines(b.all.String()) {
		if strings.Contains(l, with) {
			found = append(found, l)
		}
	}
	return found
}

func TestTheLogOfAGroupNamesTheSinkOnceAndWhenItIsTriedAgain(t *testing.T) {
	dir, log := place(t), &lockedBuffer{}
	makeOut(t, dir, "k1", "k2")
	n, err := node.Start(node.Options{
		Config: config.Node{Name: "n1", Dir: filepath.Join(dir, "data"), Flush: "always"},
		Log:    slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, n)
	deploy(t, n, tailToSinks(dir, "c1", []string{"k1 c1", "k2 c1", "k3 c1"}, `
a1.sinkgroups = g1
a1.sinkgroups.g1.sinks = k1 k2 k3
a1.sinkgroups.g1.processor.type = failover
a1.sinkgroups.g1.processor.priority.k1 = 7
a1.sinkgroups.g1.processor.priority.k2 = 7
a1.sinkgroups.g1.processor.priority.k3 = 9
`))
	until(t, "a failure of k3 in the log", func() bool { return len(log.lines("delivery failed")) > 0 })
	line := log.lines("delivery failed")[0]
	if strings.Count(line, " sink=") != 1 || !strings.Contains(line, " sink=k3 ") || !strings.Contains(line, " retry=2s") {
		t.Errorf("got %q, want the sink once and retry=2s", line)
	}
	if got := log.lines("never used"); len(got) != 1 || !strings.Contains(got[0], " sink=k2 ") {
		t.Errorf("of the second sink of a priority: %q, want one warning that names k2", got)
	}
}
