package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

func topologyOf(t *testing.T, name, text string) *topologies.Topology {
	t.Helper()
	top, faults := loader(false)(admin.Definition{Name: "t", Files: []admin.File{{Name: name, Text: text}}})
	if top == nil || topologies.Failed(faults, "") {
		t.Fatalf("%s: %v", name, faults)
	}
	return top
}

// agentOf is an agent with two sinks on one channel, and more lines.
func agentOf(more string) string {
	var b strings.Builder
	for line := range strings.Lines(`sources = r1
channels = c1
sinks = k1 k2
sources.r1.type = StressSource
sources.r1.channels = c1
sources.r1.size = 300
channels.c1.type = memory
sinks.k1.type = null
sinks.k1.channel = c1
sinks.k2.type = null
sinks.k2.channel = c1
` + more) {
		b.WriteString("a1." + line)
	}
	return b.String()
}

func TestSinksOfAGroupAreDrivenAsOne(t *testing.T) {
	const group = "sinkgroups = g1\nsinkgroups.g1.sinks = k1 k2\nsinkgroups.g1.processor.type = "
	for _, c := range []struct {
		name, more string
		want       float64
	}{
		{"no group", "", 400},
		{"they take turns", group + "load_balance\n", 150},
		{"the one of the highest priority works", group + "failover\nsinkgroups.g1.processor.priority.k1 = 5\nsinkgroups.g1.processor.priority.k2 = 10\n", 300},
	} {
		ways, absent := waysOf(topologyOf(t, "flume.conf", agentOf(c.more)))
		if len(ways) != 1 || len(absent) != 0 {
			t.Fatalf("%s: got %d ways and %v", c.name, len(ways), absent)
		}
		if got := ways[0].sinkRate(map[string]float64{"k1": 100, "k2": 300}); !about(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatAFileDoesNotHaveIsNamed(t *testing.T) {
	ways, absent := waysOf(topologyOf(t, "t.yaml", "version: 1\ntopics:\n  orders: {partitions: 6}\n"))
	if len(ways) != 0 || !slices.ContainsFunc(absent, func(a string) bool { return strings.HasPrefix(a, "no agents") }) {
		t.Errorf("topics alone: got %d ways and %v", len(ways), absent)
	}
	if n, why := topicsOf(topologyOf(t, "flume.conf", agentOf("")), false); n != 0 || !strings.Contains(why, "--kafka") {
		t.Errorf("no topics: got %d partitions, %q", n, why)
	}
	if n, _ := topicsOf(topologyOf(t, "flume.conf", agentOf("")), true); n != usualPartitions {
		t.Errorf("with --kafka: got %d partitions, want %d", n, usualPartitions)
	}
	if n, _ := topicsOf(topologyOf(t, "t.yaml", "version: 1\ntopics:\n  a: {partitions: 6}\n  b: {}\n"), false); n != 6 {
		t.Errorf("a topic of 6: got %d partitions", n)
	}
}

func TestFlagsWinOverTheFileAndTheFileOverDefaults(t *testing.T) {
	conf := topologyOf(t, "flume.conf", agentOf("sources.r1.maxEventsPerSecond = 700\n"))
	topics := topologyOf(t, "t.yaml", "version: 1\ntopics:\n  a: {replicas: 3}\n  b: {replicas: 2}\n")
	for _, c := range []struct {
		name string
		f    capacityFlags
		t    *topologies.Topology
		want capacityAsked
	}{
		{"defaults", capacityFlags{}, &topologies.Topology{}, capacityAsked{usualRate, usualSize, usualReplicas, "default", "default", "default"}},
		{"an agent", capacityFlags{}, conf, capacityAsked{700, 300, usualReplicas, "file", "file", "default"}},
		{"topics", capacityFlags{}, topics, capacityAsked{usualRate, usualSize, 3, "default", "default", "file"}},
		{"flags", capacityFlags{rate: 5, size: 10, replicas: 2}, topics, capacityAsked{5, 10, 2, "flag", "flag", "flag"}},
	} {
		if got := askedOf(&c.f, c.t); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}
