package load_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/load"
)

const shop = `version: 1
name: shop
agents:
  a1:
    sources:
      r1:
        type: TAILDIR
        channels: [c1, c2]
        batchSize: 500
        filegroups:
          app: /var/log/app/.*\.log
          sys: /var/log/syslog
        headers:
          app: {kind: app, x.y: "1"}
        selector.type: replicating
        selector: {optional: [c2]}
        interceptors:
          when: {type: timestamp}
          who:
            type: regex_extractor
            regex: 'user=(\w+) at (\d+)'
            serializers:
              s1: {name: user}
              s2: {name: when, type: millis, pattern: yyyy}
    channels:
      c1: {type: file, capacity: 1_000}
      c2: {type: memory, capacity: 1000, transactionCapacity: 500}
    sinks:
      k1: {type: "file_roll", channel: c1, sink: {directory: '/out', serializer: text, serializer.appendNewline: false}}
      k2: {type: logger, channel: c1}
      k3: {type: null, channel: c2}
    sinkgroups:
      g1: {sinks: [k1, k2], processor: {type: failover, priority: {k1: 10, k2: 5}}}
`

func read(t *testing.T, text string, edit ...func(*load.Options)) (*topologies.Topology, []topologies.Fault) {
	t.Helper()
	var o load.Options
	for _, e := range edit {
		e(&o)
	}
	got, faults, err := load.Read([]flume.File{{Name: "shop.yaml", Data: []byte(text)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return got, faults
}

func TestYAMLBecomesTheSameTopologyAsDottedNames(t *testing.T) {
	text := strings.Replace(shop, "1_000", "10000", 1)
	top, faults := read(t, text)
	for _, f := range faults {
		if f.Severity == topologies.Error {
			t.Errorf("%s", f)
		}
	}
	a, ok := top.Agent("a1")
	if !ok || top.Name != "shop" || len(a.Sources) != 1 || len(a.Channels) != 2 || len(a.Sinks) != 3 || len(a.Groups) != 1 {
		t.Fatalf("got %+v", top)
	}
	r1 := a.Sources[0]
	for name, want := range map[string]string{
		"filegroups":                              "app sys",
		"filegroups.app":                          `/var/log/app/.*\.log`,
		"headers.app.kind":                        "app",
		"headers.app.x.y":                         "1",
		"interceptors":                            "when who",
		"interceptors.who.serializers":            "s1 s2",
		"interceptors.who.serializers.s2":         "",
		"interceptors.who.serializers.s2.pattern": "yyyy",
		"selector.optional":                       "c2",
		"channels":                                "c1 c2",
		"batchSize":                               "500",
	} {
		if got := r1.Settings.String(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if v, _ := r1.Settings.Value("batchSize"); v.Pos.String() != "shop.yaml:9:20" || v.Key.String() != "shop.yaml:9:9" {
		t.Errorf("batchSize stands at %s, its key at %s", v.Pos, v.Key)
	}
	if got := a.Sinks[0].Settings.String("sink.serializer.appendNewline"); got != "false" {
		t.Errorf("appendNewline is %q", got)
	}
	g := a.Groups[0]
	if !slices.Equal(g.Sinks, []string{"k1", "k2"}) || g.Processor.Name != "failover" || g.Settings.String("processor.priority.k1") != "10" {
		t.Errorf("group %+v", g)
	}
}

// Each case changes one thing in a file that is right. The fault has the place
// of the change.
func TestEveryMistakeInYAMLHasItsPlaceAndAHint(t *testing.T) {
	base := strings.Replace(shop, "1_000", "10000", 1)
	for _, c := range []struct{ old, new, at, code, message string }{
		{"version: 1", "version: 2", "1:10", "SL0150", "this sluice reads version 1"},
		{"version: 1\n", "", "1:1", "SL0150", "begin it with version: 1"},
		{"agents:", "agent:", "3:1", "SL0150", `did you mean "agents"?`},
		{"    sources:", "    source:", "5:5", "SL0150", `did you mean "sources"?`},
		{"batchSize", "batchsize", "9:9", "SL0104", `did you mean "batchSize"?`},
		{"batchSize: 500", "batchSize: 5x", "9:20", "SL0301", `"5x" is not a whole number`},
		{"type: TAILDIR", "type: TAILDI", "7:15", "SL0125", `did you mean "taildir"?`},
		{"type: TAILDIR", "kind: TAILDIR", "6:7", "SL0111", "add type"},
		{"type: TAILDIR", "type: jms", "7:15", "SL0126", "sluice has no source"},
		{"[c1, c2]", "[c1, c3]", "8:0", "SL0112", `names channel "c3"`},
		{"channel: c1, sink", "channels: c1, sink", "", "SL0113", "has no channel"},
		{"10000", "10_000", "26:34", "SL0301", "not a whole number"},
		{"      c2: {type: memory,", "      c1: {type: memory,", "27:7", "SL0105", `"c1" stands twice`},
		{"type: timestamp", "type: timestmp", "18:24", "SL0125", `did you mean "timestamp"?`},
		{"name: user", "nam: user", "", "SL0302", "needs name"},
		{"yyyy", "", "", "SL0108", "has no value"},
		{"name: shop", "topics: {a/b: {partitions: 1}}", "2:10", "SL0160", "letters, digits"},
		{"name: shop", "topics: {__x: {partitions: 1}}", "2:10", "SL0160", "coordinators"},
		{"name: shop", "topics: {orders: {partitions: 0}}", "2:31", "SL0161", "1 to 10000"},
		{"name: shop", "topics: {orders: {partitions: 6x}}", "2:31", "SL0161", "not \"6x\""},
		{"name: shop", "topics: {orders: {replicas: -1}}", "2:29", "SL0161", "replicas is a number"},
		{"name: shop", "topics: {orders: {partition: 6}}", "2:19", "SL0150", `did you mean "partitions"?`},
		{"name: shop", "topics: {orders: {scale: wild}}", "2:26", "SL0161", "scale: ordered"},
		{"name: shop", "topics: {orders: {configs: {retention.m: 1}}}", "2:29", "SL0162", `did you mean "retention.ms"?`},
		{"name: shop", "topics: {orders: {configs: {retention.ms: 1d}}}", "2:43", "SL0163", "whole number"},
		{"name: shop", "topics: {orders: {configs: {cleanup.policy: [shred]}}}", "", "SL0163", "compact, delete"},
		{"name: shop", "topics: {orders: 6}", "2:18", "SL0150", "should be names"},
		{"name: shop", "compat: kafka", "2:9", "SL0150", "compat: flume"},
		{"      r1:", "      r.1:", "6:7", "SL0150", "cannot be the name"},
		{"      r1:", "      <<: 1\n      r1:", "6:7", "SL0150", "write the lines out"},
		{"priority: {k1: 10, k2: 5}", "priorty: {k1: 10}", "", "SL0104", "unknown property"},
		{"type: failover", "type: failove", "", "SL0125", `did you mean "failover"?`},
		{"batchSize: 500", "\tbatchSize: 500", "9:9", "SL0153", ""},
		{"batchSize: 500", "batchSize: \"500", "", "SL0153", ""},
		{"batchSize: 500", "batchSize: [[1]]", "9:21", "SL0150", "a list of texts"},
		{"batchSize: 500", "batchSize: ${env:NO}", "9:20", "SL0151", "write ${env:NO:-default}"},
		{"batchSize: 500", "batchSize: ${nope}", "9:20", "SL0151", "is no reference"},
		{"batchSize: 500", "batchSize: ${env:X", "9:20", "SL0151", "not closed"},
		{"batchSize: 500", "batchSize: ${file:/nowhere/at/all}", "9:20", "SL0151", "no such file"},
		{"k2: {type: logger, channel: c1}", "k2: logger", "30:11", "SL0150", "should be names"},
	} {
		text := strings.Replace(base, c.old, c.new, 1)
		if text == base {
			t.Fatalf("%q is not in the file", c.old)
		}
		_, faults := read(t, text)
		ok := false
		for _, f := range faults {
			place := strings.TrimPrefix(f.Pos.String(), "shop.yaml:")
			if f.Pos.Column == 0 {
				place += ":0"
			}
			if f.Code == c.code && (c.at == "" || place == c.at) && strings.Contains(f.String(), c.message) && f.Severity == topologies.Error {
				ok = true
			}
			if f.Pos.Line == 0 {
				t.Errorf("%q: a fault without a place: %s", c.new, f)
			}
		}
		if !ok {
			t.Errorf("%q: want %s at %s with %q, got", c.new, c.code, c.at, c.message)
			for _, f := range faults {
				t.Errorf("    %s", f)
			}
		}
	}
}

func TestYAMLTakesReferencesAndNeverShowsThem(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("batchSize: 500", "batchSize: ${env:BATCH:-77}", "/var/log/syslog", "${sys:dir}/${env:FILE}", "kind: app", "kind: '$${env:X}'",
		"'/out'", "'${file:"+secret+"}'").Replace(strings.Replace(shop, "1_000", "10000", 1))
	top, faults := read(t, text, func(o *load.Options) {
		o.Env = map[string]string{"FILE": "a.log"}
		o.Sys = map[string]string{"dir": "/d"}
	})
	a, _ := top.Agent("a1")
	if got := a.Sources[0].Settings.String("batchSize"); got != "77" {
		t.Errorf("batchSize %q", got)
	}
	if got := a.Sources[0].Settings.String("filegroups.sys"); got != "/d/a.log" {
		t.Errorf("filegroups.sys %q", got)
	}
	if got := a.Sources[0].Settings.String("headers.app.kind"); got != "${env:X}" {
		t.Errorf("an escaped reference became %q", got)
	}
	if got := a.Sinks[0].Settings.String("sink.directory"); got != "canary" {
		t.Errorf("sink.directory %q", got)
	}
	for _, f := range faults {
		if strings.Contains(f.String(), "canary") {
			t.Errorf("shows a secret: %s", f)
		}
	}
	_, faults = read(t, strings.Replace(text, "batchSize: ${env:BATCH:-77}", "batchSize: ${file:"+secret+"}", 1))
	if !slices.ContainsFunc(faults, func(f topologies.Fault) bool { return f.Code == "SL0301" }) {
		t.Errorf("a secret that is no number: %v", faults)
	}
	for _, f := range faults {
		if strings.Contains(f.String(), "canary") {
			t.Errorf("shows a secret: %s", f)
		}
	}
}

// These texts make YAML parsers take gigabytes, or for ever.
func TestYAMLThatIsMadeToHurtIsRefused(t *testing.T) {
	bomb := "version: 1\nx0: &x0 {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1}\n"
	for _, level := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		before := "*x" + string(level[0]-1)
		bomb += "x" + level + ": &x" + level + " {a: " + before + ", b: " + before + ", c: " + before + ", d: " + before + ", e: " + before + ", f: " + before + "}\n"
	}
	for name, text := range map[string]string{
		"brackets":    "version: 1\nagents: " + strings.Repeat("[", 100_000),
		"quoted":      "version: '[\nagents: " + strings.Repeat("[", 100_000),
		"dashes":      strings.Repeat("- ", 100_000) + "a",
		"indentation": indented(500),
		"size":        "version: 1\n#" + strings.Repeat("x", 2<<20),
		"aliases":     bomb + "agents: {a: {sources: *x9}}\n",
		"cycle":       "version: 1\nagents: &a {a: *a}\n",
		"cycle deep":  "version: 1\nagents: {a: {sources: {r: &r {type: seq, x: *r}}}}\n",
	} {
		_, faults := read(t, text)
		if !topologies.Failed(faults, "") || len(faults) > 300_000 {
			t.Errorf("%s: %d faults", name, len(faults))
		}
	}
}

func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestAFolderAndSeveralFilesMakeOneTopology(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1.yaml", "version: 1\nagents: {a: {sources: {r: {type: seq, channels: [c]}}, channels: {c: {type: memory}}}}\n")
	write("2.yml", "version: 1\nagents:\n  a: {sinks: {k: {type: \"null\", channel: c}}}\n  b: {sources: {r: {type: seq, channels: [c]}}, channels: {c: {type: memory}}, sinks: {k: {type: logger, channel: c}}}\n")
	write(".hidden.yaml", "][")
	write("notes.txt", "not a topology")
	top, faults, err := load.Load([]string{dir}, load.Options{})
	if err != nil || topologies.Failed(faults, "") || len(top.Agents) != 2 || len(top.Agents[0].Sinks) != 1 {
		t.Fatalf("%+v %v %v", top, faults, err)
	}
	write("3.yaml", "version: 1\nagents: {a: {sinks: {k: {type: logger, channel: c}}}}\n")
	if _, faults, _ = load.Load([]string{dir}, load.Options{}); !slices.ContainsFunc(faults, func(f topologies.Fault) bool {
		return f.Code == "SL0155" && strings.HasSuffix(f.Pos.File, "3.yaml") && len(f.Related) == 1
	}) {
		t.Errorf("a sink defined twice: %v", faults)
	}
	write("4.conf", "a.sources = r\n")
	if _, faults, _ = load.Load([]string{dir}, load.Options{}); !slices.ContainsFunc(faults, func(f topologies.Fault) bool { return f.Code == "SL0155" }) {
		t.Errorf("two forms: %v", faults)
	}
	if _, _, err := load.Load([]string{filepath.Join(dir, "none")}, load.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, _, err := load.Load([]string{t.TempDir()}, load.Options{}); err == nil {
		t.Error("an empty folder is read")
	}
}

func TestTheAgentThatIsAskedForHasToBeThere(t *testing.T) {
	_, faults := read(t, shop, func(o *load.Options) { o.Agent = "a" })
	if !slices.ContainsFunc(faults, func(f topologies.Fault) bool { return f.Code == "SL0101" && f.Hint == "try -n a1" }) {
		t.Errorf("%v", faults)
	}
}

func TestCompatInAFileIsForItsAgents(t *testing.T) {
	top, _ := read(t, strings.Replace(shop, "name: shop", "compat: flume", 1))
	if !top.Agents[0].Compat {
		t.Error("compat: flume has no effect")
	}
}

func TestAFlumeFileIsJudgedByItsTablesToo(t *testing.T) {
	conf := "a.sources = r\na.channels = c\na.sinks = k\na.sources.r.type = seq\na.sources.r.channels = c\na.sources.r.batchSize = many\na.channels.c.type = memory\na.sinks.k.type = logger\na.sinks.k.channel = c\n"
	_, faults, err := load.Read([]flume.File{{Name: "a.conf", Data: []byte(conf)}}, load.Options{})
	n := 0
	for _, f := range faults {
		if f.Code == "SL0301" && f.Pos.Line == 6 {
			n++
		}
	}
	if err != nil || n != 1 || !topologies.Failed(faults, "a") {
		t.Errorf("%v %v", faults, err)
	}
}

// Whatever the text is, the reader answers soon, and every fault has a file.
func FuzzTopologyFile(f *testing.F) {
	f.Add(shop)
	f.Add("version: 1\nagents: &a {a: *a}\n")
	f.Add("a: [}")
	f.Add("- ? - ? {[: ]}")
	f.Add("version: 1\nagents:\n  é: {sources: {\"r\": {type: ${env:X:-seq}}}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		top, faults, err := load.Read([]flume.File{{Name: "x.yaml", Data: []byte(text)}}, load.Options{
			File: func(string) ([]byte, error) { return nil, os.ErrNotExist },
		})
		if err != nil || top == nil {
			t.Fatalf("read: %v", err)
		}
		for _, fault := range faults {
			if fault.Pos.File != "x.yaml" || fault.Pos.Line < 0 || fault.Pos.Column < 0 {
				t.Errorf("place of %s", fault)
			}
		}
		for _, a := range top.Agents {
			for _, c := range slices.Concat(a.Sources, a.Channels, a.Sinks) {
				if c.Kind == nil {
					t.Errorf("%s has no kind", c.Name)
				}
			}
		}
		again, _, _ := load.Read([]flume.File{{Name: "x.yaml", Data: []byte(text)}}, load.Options{})
		if plan := topologies.Diff(top, again); !plan.Empty() {
			t.Errorf("read twice, it differs: %+v", plan)
		}
	})
}
