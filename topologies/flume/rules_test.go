package flume_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies/flume"
)

// base is an agent that runs.
const base = `a1.sources = r1
a1.channels = c1
a1.sinks = k1
a1.sources.r1.type = seq
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
a1.sinks.k1.type = null
a1.sinks.k1.channel = c1
`

// without is base without the lines that begin with prefix.
func without(prefix string) string {
	var out []string
	for line := range strings.Lines(base) {
		if !strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// Each case is one situation of Flume's table of errors. A line with a minus is
// one that must not be there.
func TestFlumesDropRules(t *testing.T) {
	const whole = "agent a1 sources=[r1] channels=[c1] sinks=[k1] sinkgroups=[]"
	for _, c := range []struct {
		name, conf string
		want       []string
	}{
		{"an agent that runs", base, []string{"agents [a1]", whole, "-error"}},
		{"empty value", base + "a1.sinks.k1.x = \n", []string{whole, "error ERROR PROPERTY_VALUE_NULL component=a1.sinks.k1.x key="}},
		{"value of blanks", base + "a1.sinks.k1.x = \\u0020\n", []string{whole, "error ERROR PROPERTY_VALUE_NULL component=a1.sinks.k1.x key="}},
		{"key without dot", base + "x = 1\n", []string{whole, "error ERROR AGENT_NAME_MISSING component=x key="}},
		{"key that begins with a dot", base + ".sources = 1\n", []string{whole, "error ERROR AGENT_NAME_MISSING component=.sources key="}},
		{"nothing behind the agent", base + "a1. = 1\n", []string{whole, "error ERROR PROPERTY_NAME_NULL component=a1. key="}},
		{"unknown second word", base + "a1.source.r1.x = 1\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=source.r1.x"}},
		{"processor outside a group", base + "a1.processor.type = failover\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=processor.type"}},
		{"component without property", base + "a1.sinks.k1 = 1\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=sinks.k1"}},
		{"component with an empty property", base + "a1.sinks.k1. = 1\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=sinks.k1."}},
		{"component with an empty name", base + "a1.sinks..x = 1\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=sinks..x"}},
		{"case counts in words", base + "a1.Sources = r2\n", []string{whole, "error ERROR INVALID_PROPERTY component=a1 key=Sources"}},
		{"case counts in names", strings.Replace(base, "sinks.k1.channel = c1", "sinks.k1.channel = C1", 1),
			[]string{"agent a1 sources=[r1] channels=[c1] sinks=[] sinkgroups=[]", "-error"}},
		{"an unlisted component is ignored", base + "a1.sinks.k2.type = null\n", []string{whole, "-sink a1.k2", "-error"}},
		{"listed channel without properties", strings.Replace(base, "channels = c1\n", "channels = c1 c2\n", 1),
			[]string{whole, "error ERROR CONFIG_ERROR component=a1 key=c2"}},
		{"listed sink without properties", strings.Replace(base, "sinks = k1", "sinks = k1 k2", 1),
			[]string{whole, "error ERROR CONFIG_ERROR component=a1 key=k2"}},
		{"sink without type and channel", base + "a1.sinks = k1 k2\na1.sinks.k2.x = 1\n",
			[]string{whole, "error ERROR ATTRS_MISSING component=k2 key=type", "-error ERROR PROPERTY_VALUE_NULL component=k2 key=channel"}},
		{"source without channels", without("a1.sources.r1.channels"),
			[]string{"agent a1 sources=[] channels=[c1] sinks=[k1] sinkgroups=[]", "error ERROR PROPERTY_VALUE_NULL component=r1 key=Channel", "error ERROR CONFIG_ERROR component=r1 key=ChannelSelector", "-error WARNING"}},
		{"source with unknown channels only", strings.Replace(base, "r1.channels = c1", "r1.channels = c8 c9", 1),
			[]string{"agent a1 sources=[] channels=[c1] sinks=[k1] sinkgroups=[]", "-error"}},
		{"source with one unknown channel", strings.Replace(base, "r1.channels = c1", "r1.channels = c8 c1", 1),
			[]string{whole, "source a1.r1 channels = c1", "-error"}},
		{"no channels at all", without("a1.channels ="),
			[]string{"agents []", "error ERROR PROPERTY_VALUE_NULL component=a1 key=channels", "error ERROR AGENT_CONFIGURATION_INVALID component=a1 key=", "-agent "}},
		{"no channel that is valid", without("a1.channels.c1"),
			[]string{"agents []", "error ERROR CONFIG_ERROR component=a1 key=c1", "error ERROR PROPERTY_VALUE_NULL component=a1 key=channels", "error ERROR AGENT_CONFIGURATION_INVALID component=a1 key=",
				"-error ERROR PROPERTY_VALUE_NULL component=a1 key=sources"}},
		{"only sinks", without("a1.sources"),
			[]string{"agent a1 sources=[] channels=[c1] sinks=[k1] sinkgroups=[]", "error WARNING PROPERTY_VALUE_NULL component=a1 key=sources"}},
		{"only sources", without("a1.sinks"),
			[]string{"agent a1 sources=[r1] channels=[c1] sinks=[] sinkgroups=[]", "error WARNING PROPERTY_VALUE_NULL component=a1 key=sinks"}},
		{"another agent with a mistake is judged too", base + "b2.sources = r1\n",
			[]string{"agents [a1]", "error ERROR AGENT_CONFIGURATION_INVALID component=b2 key="}},
		{"two agents", base + strings.ReplaceAll(base, "a1.", "a2."), []string{"agents [a1, a2]"}},
		{"names repeated in a list count once", strings.Replace(base, "sinks = k1", "sinks = k1 k1", 1), []string{whole, "-error"}},
		{"any white space separates names", base + "a1.channels = c1\\tc2\na1.channels.c2.type = file\n",
			[]string{"agent a1 sources=[r1] channels=[c1, c2] sinks=[k1] sinkgroups=[]"}},
		{"but only blanks separate groups", base + "a1.sinkgroups = g1\\tg2\na1.sinkgroups.g1.sinks = k1\n",
			[]string{whole, "error ERROR CONFIG_ERROR component=a1 key=g1\tg2"}},
		{"group with one unknown sink", base + "a1.sinkgroups = g1\na1.sinkgroups.g1.sinks = k1 k9\na1.sinkgroups.g1.processor.type = failover\n",
			[]string{"agent a1 sources=[r1] channels=[c1] sinks=[k1] sinkgroups=[g1]", "error ERROR INVALID_PROPERTY component=a1 key=k9",
				"sinkgroup a1.g1 sinks=[k1] type={ parameters:{type=failover} }"}},
		{"group without sinks", base + "a1.sinkgroups = g1\na1.sinkgroups.g1.processor.type = failover\n", []string{whole, "error ERROR CONFIG_ERROR component=a1 key=g1"}},
		{"config filter without properties", base + "a1.configfilters = f1\n", []string{whole, "error ERROR CONFIG_ERROR component=a1 key=f1"}},
		{"config filter without type", base + "a1.configfilters = f1\na1.configfilters.f1.x = 1\n", []string{whole, "error ERROR ATTRS_MISSING component=f1 key=type"}},
		{"lists are not filtered", base + "a1.sinks = k1 ${f1[K]}\na1.configfilters = f1\na1.configfilters.f1.type = env\n",
			[]string{whole, "error ERROR CONFIG_ERROR component=a1 key=${f1[K]}"}},
		{"the logger gets nothing", strings.Replace(base, "type = null", "type = Logger", 1),
			[]string{"sink-with-config-object-only (properties NOT passed) a1.k1 type=Logger", "-sink a1.k1"}},
		{"blocks are no blocks to Flume", "a1.sources {\n r1.type = seq\n}\n",
			[]string{"agents []", "error ERROR AGENT_CONFIGURATION_INVALID component=r1 key="}},
		{"a broken escape costs the whole file", base + `a1.sinks.k1.x = \u12`, []string{"agents []", "-error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := flume.AsFlume([]flume.File{{Name: "f", Data: []byte(c.conf)}}, flume.Options{Env: map[string]string{"K": "k2"}})
			for _, want := range c.want {
				unwanted, not := strings.CutPrefix(want, "-")
				switch {
				case not && slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, unwanted) }):
					t.Errorf("got a line %q…, want none", unwanted)
				case !not && !slices.Contains(got, want):
					t.Errorf("want the line %q", want)
				}
			}
			if t.Failed() {
				t.Logf("got:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestLaterFilesOverrideEarlierOnes(t *testing.T) {
	files := []flume.File{{Name: "a", Data: []byte(base)}, {Name: "b", Data: []byte("a1.sinks.k1.batchSize = 7\na1.sinks.k1.type = logger\n")}}
	got := flume.AsFlume(files, flume.Options{})
	if want := "sink-with-config-object-only (properties NOT passed) a1.k1 type=logger"; !slices.Contains(got, want) {
		t.Errorf("got %q, want the line %q", got, want)
	}
	p, err := flume.Read(files, flume.Options{})
	if err != nil || len(p.Faults) != 1 { // logger has no batchSize
		t.Fatalf("an override is reported: %v, %v", p.Faults, err)
	}
	k1 := p.Topology.Agents[0].Sinks[0]
	if v, _ := k1.Settings.Value("type"); v.Text != "logger" || v.Pos.String() != "b:2:20" {
		t.Errorf("got type %q at %s, want logger at b:2:20", v.Text, v.Pos)
	}
}
