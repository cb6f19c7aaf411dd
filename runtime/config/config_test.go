package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault(t *testing.T) {
	file := write(t, "node: f\nhttp: f:1\ndrain: 3s\n")
	n, origins, err := config.Read(config.Input{
		File:    file,
		Environ: []string{"SLUICE_NODE=e", "SLUICE_HTTP=e:1", "PATH=/bin"},
		Flags:   map[string]string{"node": "g"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.Name != "g" || n.HTTP != "e:1" || n.Drain != 3*time.Second || n.Flush != "always" {
		t.Errorf("got %+v, want node from the flag, http from the environment, drain from the file, flush by default", n)
	}
	from := map[string]string{}
	for _, o := range origins {
		from[o.Name] = o.From
	}
	want := map[string]string{"node": "flag", "http": "SLUICE_HTTP", "drain": file, "flush": "default"}
	for name, w := range want {
		if from[name] != w {
			t.Errorf("origin of %s: got %q, want %q", name, from[name], w)
		}
	}
}

func TestASettingThatCannotBeReadIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown", "node: n1\nnoode: x\n", `:2: unknown setting "noode"`},
		{"twice", "node: n1\nnode: n2\n", ":2: node stands in the file twice"},
		{"list", "node: [a]\n", ":1: node: want one value"},
		{"no mapping", "- a\n", ":1: want lines of"},
		{"number", "store-min-free: much\n", `"much" is not a number of bytes`},
		{"negative", "store-min-free: -1\n", "not a number of bytes"},
		{"bool", "allow-exec: perhaps\n", "neither true nor false"},
		{"duration", "drain: 7\n", "not a length of time"},
		{"flush", "flush: interval:0s\n", "not a flush policy"},
		{"level", "log-level: loud\n", "not a log level"},
		{"partitions", "num-partitions: 0\n", "not a number from 1 to 10000"},
		{"broker", "broker-id: -1\n", "not the number of a broker"},
		{"advertise", "kafka-advertise: localhost\n", "is not HOST:PORT"},
		{"anywhere", "kafka-advertise: 0.0.0.0:9092\n", "no address that clients can connect to"},
		{"advertised port", "kafka-advertise: localhost:0\n", "has no port"},
		{"no YAML", "a: b: c\n", "sluice.yaml"},
		{"large", strings.Repeat("#", 1<<20+1), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := config.Read(config.Input{File: write(t, c.text)}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAnEmptyFileSaysNothing(t *testing.T) {
	if _, _, err := config.Read(config.Input{File: write(t, "")}); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

func component(c kinds.Category, name, typ string, texts map[string]string) topologies.Component {
	kind, _ := kinds.Lookup(c, typ)
	return topologies.Component{Name: name, Kind: kind, Settings: topologies.SettingsOf(c, typ, texts)}
}

func TestAnAgentsStoreLiesWhereItsConfigurationKeepsState(t *testing.T) {
	file := component(kinds.Channel, "c2", "file", map[string]string{"checkpointDir": "~/cp"})
	memory := component(kinds.Channel, "c1", "memory", nil)
	tail := component(kinds.Source, "r1", "TAILDIR", map[string]string{"positionFile": "/var/pos/p.json"})
	for _, c := range []struct {
		name  string
		agent topologies.Agent
		want  string
	}{
		{"file channel", topologies.Agent{Name: "a1", Channels: []topologies.Component{memory, file}, Sources: []topologies.Component{tail}}, "/home/u/cp/sluice"},
		{"position file", topologies.Agent{Name: "a1", Channels: []topologies.Component{memory}, Sources: []topologies.Component{tail}}, "/var/pos/sluice-a1"},
		{"neither", topologies.Agent{Name: "a1", Channels: []topologies.Component{memory}}, "/home/u/.flume/sluice/a1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, why := config.AgentDir(&c.agent, "/home/u")
			if got != c.want || why == "" {
				t.Errorf("got %q (%s), want %q", got, why, c.want)
			}
		})
	}
}

func TestABrokersNumberIsThatOfItsName(t *testing.T) {
	for _, c := range []struct {
		name string
		set  int32
		want int32
	}{{"n1", 0, 1}, {"n5", 0, 5}, {"n5", 7, 7}, {"alone", 0, 1}, {"n0", 0, 1}, {"node-12", 0, 12}, {"n99999999999", 0, 1}} {
		n := config.Node{Name: c.name, Kafka: config.Kafka{Node: c.set}}
		if got := n.BrokerID(); got != c.want {
			t.Errorf("node %q with broker-id %d is broker %d, want %d", c.name, c.set, got, c.want)
		}
	}
}
