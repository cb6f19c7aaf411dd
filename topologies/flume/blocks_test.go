package flume_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

func TestTheArticlesListingRunsAsPrinted(t *testing.T) {
	p := read(t, readFile(t, "testdata/faults/article.conf"), flume.Options{Agent: "agent"})
	if got, want := shape(p), "agent: source1>channel1 channel1 sink1<channel1"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if topologies.Failed(p.Faults, "agent") || !p.Blocks {
		t.Errorf("got %v", p.Faults)
	}
	a := p.Topology.Agents[0]
	if got := a.Channels[0].Settings.Int("capacity"); got != 1000000 {
		t.Errorf("got capacity %d", got)
	}
	if got := a.Sources[0].Settings.String("command"); got != "tail -F /var/log/app.log" {
		t.Errorf("got command %q", got)
	}
	v, _ := a.Sinks[0].Settings.Value("hdfs.path")
	if v.Text != "/data/events" || v.Pos.String() != "flume.conf:16:23" || v.Key.String() != "flume.conf:16:11" {
		t.Errorf("got %q at %s, key at %s", v.Text, v.Pos, v.Key)
	}
}

func TestBlocksAreReadLiberally(t *testing.T) {
	const want = "a: r1>c1 c1 k1<c1"
	for name, conf := range map[string]string{
		"semicolons and comments": "a.sources { # here\n// a source\nr1.type = seq;\n\n  r1.channels = c1 ;\n};\na.channels {\n! one\nc1.type = memory\n}\na.sinks {\nk1.type = null\nk1.channel = c1\n}",
		"one line each":           "a.sources { r1.type = seq; r1.channels = c1 }\na.channels { c1.type = memory }\na.sinks { k1.type = null; k1.channel = c1; }",
		"blocks in blocks":        "a {\nsources {\nr1 {\ntype = seq\n}\n}\nchannels { c1.type = memory }\nsinks {\nk1.type = null\n}\n}\na.sources(r1).channels(c1)\na.sinks(k1).channel(c1)",
		"wiring alone":            "a.sources {\nr1.type = seq\n}\na.channels {\nc1.type = memory\n}\na.sinks {\nk1.type = null\n}\na.sources(r1).channels(c1);\na.sinks( k1 ) . channels( c1 ) # done\n",
		"equals signs and CRLF":   "a.sources = {\r\nr1.type = seq\r\nr1.channels = c1\r\n}\r\na.channels: {\r\nc1.type = memory\r\n}\r\na.sinks{\r\nk1.type = null\r\nk1.channels = c1\r\n}\r\n",
		"whole keys in blocks":    "a.sources {\na.sources.r1.type = seq\nr1.channels = c1\n}\na.channels {\nc1.type = memory\n}\na.sinks {\nk1.type = null\nk1.channel = c1\n}\n",
		"properties beside":       "a.sources {\nr1.type = seq\nr1.channels = c1\n}\na.channels = c1\na.channels.c1.type = memory\na.sinks = k1\na.sinks.k1.type = null\na.sinks.k1.channel = c1\n",
	} {
		p := read(t, conf, flume.Options{})
		if got := shape(p); got != want || topologies.Failed(p.Faults, "") || !p.Blocks {
			t.Errorf("%s: got %q, want %q; %v", name, got, want, p.Faults)
		}
	}
}

func TestWiringAddsToWhatBlocksSay(t *testing.T) {
	p := read(t, `a.sources {
 r1.type = seq
 r1.channels = c1
 r2.type = seq
}
a.channels {
 c1.type = memory
 c2.type = memory
}
a.sinks {
 k1.type = null
 k2.type = null
}
a.sources(r1, r2).channels(c1, c2)
a.sinks(k1).channels(c1)
a.sinks(k2).channels(c2)
`, flume.Options{})
	if got, want := shape(p), "a: r1>c1,c2 r2>c1,c2 c1 c2 k1<c1 k2<c2"; got != want || len(p.Faults) != 0 {
		t.Errorf("got %q, want %q; %v", got, want, p.Faults)
	}
}

func TestBracesInsideValuesAreNotBlocks(t *testing.T) {
	p := read(t, base+"a1.sinks.k1.x = {\na1.sinks.k1.y = a {b} ${env:NONE:-c}\na1.sinks.k1.z = awk '\\\n BEGIN {\\\n}'\n", flume.Options{})
	if p.Blocks || topologies.Failed(p.Faults, "") {
		t.Errorf("taken for blocks: %v", p.Faults)
	}
	p = read(t, "a.sinks { k1.type = null; k1.x = ${env:NONE:-;}/%{h} }\n", flume.Options{})
	if v := p.Properties[1]; v.Key != "a.sinks.k1.x" || strings.TrimSpace(v.Value) != "${env:NONE:-;}/%{h}" {
		t.Errorf("got %q = %q", v.Key, v.Value)
	}
}

func TestWhatIsWrongInBlocksHasItsPlace(t *testing.T) {
	const rest = "a.channels {\nc1.type = memory\n}\n"
	for _, c := range []struct{ conf, at, message string }{
		{"a.sources {\nr1.type = seq\n", "flume.conf:1:1", "the block that begins here has no closing brace"},
		{rest + "}\n", "flume.conf:4:1", "this brace closes nothing"},
		{rest + "a.source {\n}\n", "flume.conf:4:1", "there are no source in an agent"},
		{rest + "  a.sources(r9).channels(c1)\n", "flume.conf:4:13", "the wiring names r9, which no block of a.sources has"},
		{rest + "a.sources().channels(c1)\n", "flume.conf:4:1", "the wiring names no component or no channel"},
		{rest + "a.sources(r1).channel\n", "flume.conf:4:1", "this line is not understood"},
		{rest + "a.sinks {\nk1.type = null\nk1.channels = c1 c2\n}\n", "flume.conf:6:15", `sink "k1" names 2 channels, and a sink drains one`},
		{strings.Repeat("a.sources {\n", 9), "flume.conf:9:1", "blocks stand more than 8 deep in blocks"},
	} {
		p := read(t, c.conf, flume.Options{})
		found := false
		for _, f := range p.Faults {
			found = found || f.Code == "SL0137" && f.Severity == topologies.Error && f.Pos.String() == c.at && f.Message == c.message
		}
		if !found {
			t.Errorf("%q: want %q at %s, got %v", c.conf, c.message, c.at, p.Faults)
		}
	}
}
