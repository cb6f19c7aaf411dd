package flume_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// shape is the agents with the names of what they run: "a1: r1>c1 c1 k1<c1 g1=k1,k2(failover)".
func shape(p *flume.Parsed) string {
	var out []string
	for _, a := range p.Topology.Agents {
		parts := []string{a.Name + ":"}
		for _, s := range a.Sources {
			parts = append(parts, s.Name+">"+strings.Join(s.Channels, ","))
		}
		for _, c := range a.Channels {
			parts = append(parts, c.Name)
		}
		for _, s := range a.Sinks {
			parts = append(parts, s.Name+"<"+strings.Join(s.Channels, ","))
		}
		for _, g := range a.Groups {
			parts = append(parts, g.Name+"="+strings.Join(g.Sinks, ",")+"("+g.Processor.Name+")")
		}
		out = append(out, strings.Join(parts, " "))
	}
	return strings.Join(out, "; ")
}

// codes are the severities and codes of all faults, each once.
func codes(p *flume.Parsed) string {
	var out []string
	for _, f := range p.Faults {
		if code := fmt.Sprintf("%s %s", f.Severity, f.Code); len(out) == 0 || out[len(out)-1] != code {
			out = append(out, code)
		}
	}
	return strings.Join(out, ", ")
}

// Where Flume drops something, sluice stops; lenient it drops the same, and
// compat keeps the defects too.
func TestWhatIsDroppedInEachMode(t *testing.T) {
	const whole = "a1: r1>c1 c1 k1<c1"
	two := strings.Replace(base, "sinks = k1", "sinks = k1 k2", 1) + "a1.sinks.k2.type = null\na1.sinks.k2.channel = c1\n"
	for _, c := range []struct {
		name, conf                    string
		strict, lenient, compat       string // codes
		lenientShape, compatibleShape string
	}{
		{"nothing wrong", base, "", "", "", whole, whole},
		{"what Flume ignores does not stop sluice", base + "a1.sinks.k1.x = 1\na1.sinks.k2.type = null\na1.sinks.k1.batchSize =\nx = 1\na1.sink.k1.type = 1\n",
			"warning SL0104, warning SL0115, warning SL0108, warning SL0107, warning SL0109", "warning SL0104, warning SL0115, warning SL0108, warning SL0107, warning SL0109",
			"warning SL0104, warning SL0115, warning SL0108, warning SL0107, warning SL0109", whole, whole},
		{"a sink is dropped", two + "a1.sinks.k2.channel = c9\n",
			"warning SL0105, error SL0112", "warning SL0105, warning SL0112", "warning SL0105, warning SL0112", whole, whole},
		{"one of two channels is unknown", strings.Replace(base, "r1.channels = c1", "r1.channels = c1 c9", 1), "warning SL0112", "warning SL0112", "warning SL0112", whole, whole},
		{"an agent without sources", without("a1.sources"), "warning SL0118", "warning SL0118", "warning SL0118", "a1: c1 k1<c1", "a1: c1 k1<c1"},
		{"nothing is left", without("a1.channels.c1"), "error SL0116, error SL0110", "error SL0116, warning SL0110", "error SL0116, warning SL0110", "", ""},
		{"an unknown class costs all in every mode", strings.Replace(two, "k2.type = null", "k2.type = nul", 1), "error SL0125", "error SL0125", "error SL0125", whole, whole},
		{"a kind that is not there costs all in every mode", strings.Replace(two, "k2.type = null", "k2.type = irc", 1), "error SL0126", "error SL0126", "error SL0126", whole, whole},
		{"a batch that does not fit", two + "a1.sinks.k2.batchSize = 101\n", "error SL0127", "warning SL0127", "warning SL0127", whole, whole},
		{"a batch that just fits", two + "a1.sinks.k2.batchSize = 100\n", "", "", "", whole + " k2<c1", whole + " k2<c1"},
		{"a transaction that does not fit takes all with it", base + "a1.channels.c1.transactionCapacity = 101\n", "error SL0310", "error SL0116, warning SL0310", "error SL0116, warning SL0310", "", ""},
		{"a number that is none, where Flume takes the default", base + "a1.channels.c1.capacity = 1k\n", "", "", "", whole, whole},
		{"a number that is none, where Flume drops", two + "a1.sinks.k2.batchSize = 1k\n", "", "warning SL0301", "warning SL0301", whole, whole},
		{"a property that is needed and missing", strings.Replace(two, "k2.type = null", "k2.type = file_roll", 1), "", "warning SL0302", "warning SL0302", whole, whole},
		{"a pattern that is none", base + "a1.sources = r1 r2\na1.sources.r2.type = seq\na1.sources.r2.channels = c1\na1.sources.r2.interceptors = i\na1.sources.r2.interceptors.i.type = regex_filter\na1.sources.r2.interceptors.i.regex = (\n",
			"warning SL0105", "warning SL0105, warning SL0306", "warning SL0105, warning SL0306", whole, whole},
		{"an interceptor without type", base + "a1.sources.r1.interceptors = i1\n", "error SL0111", "warning SL0111", "warning SL0111", "a1: c1 k1<c1", "a1: c1 k1<c1"},
		{"a channel that the source does not have", base + "a1.sources.r1.selector.type = multiplexing\na1.sources.r1.selector.default = c2\n",
			"error SL0128", "warning SL0128", "warning SL0128", "a1: c1 k1<c1", "a1: c1 k1<c1"},
		{"an optional channel that the source does not have", base + "a1.sources.r1.selector.optional = c2\n", "warning SL0129", "warning SL0129", "warning SL0129", whole, whole},
		{"a group of one sink that balances load", base + "a1.sinkgroups = g1\na1.sinkgroups.g1.sinks = k1\na1.sinkgroups.g1.processor.type = load_balance\n",
			"warning SL0123", "warning SL0123", "warning SL0123", whole, "a1: r1>c1 c1"},
		{"a group of one sink without processor", base + "a1.sinkgroups = g1\na1.sinkgroups.g1.sinks = k1\n", "warning SL0124", "warning SL0124", "warning SL0124", whole, "a1: r1>c1 c1"},
		{"a group of two sinks without processor", two + "a1.sinkgroups = g1\na1.sinkgroups.g1.sinks = k1 k2\n", "error SL0124", "warning SL0124", "warning SL0124", "a1: r1>c1 c1", "a1: r1>c1 c1"},
		{"a group that works", two + "a1.sinkgroups = g1\na1.sinkgroups.g1.sinks = k1 k2\na1.sinkgroups.g1.processor.type = FAILOVER\n", "", "", "",
			whole + " k2<c1 g1=k1,k2(failover)", whole + " k2<c1 g1=k1,k2(failover)"},
		{"the logger's properties", strings.Replace(base, "type = null", "type = logger", 1) + "a1.sinks.k1.maxBytesToLog = 64\n", "", "", "note SL0144", whole, whole},
		{"a channel that nobody uses", base + "a1.channels = c1 c2\na1.channels.c2.type = memory\n", "warning SL0105, warning SL0142", "warning SL0105, warning SL0142", "warning SL0105, warning SL0142", whole, whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []struct {
				name, codes, shape string
				o                  flume.Options
			}{
				{"strict", c.strict, "", flume.Options{}},
				{"lenient", c.lenient, c.lenientShape, flume.Options{Lenient: true}},
				{"compat", c.compat, c.compatibleShape, flume.Options{Compat: true}},
			} {
				p := read(t, c.conf, mode.o)
				if got := codes(p); got != mode.codes {
					t.Errorf("%s: got the faults %q, want %q", mode.name, got, mode.codes)
				}
				if got := shape(p); mode.name != "strict" && got != mode.shape {
					t.Errorf("%s: got %q, want %q", mode.name, got, mode.shape)
				}
				if strict := strings.Contains(mode.codes, "error"); topologies.Failed(p.Faults, "a1") != strict {
					t.Errorf("%s: the agent is stopped: %v, want %v", mode.name, !strict, strict)
				}
			}
		})
	}
}

func TestCompatTakesTheLoggersProperties(t *testing.T) {
	conf := strings.Replace(base, "type = null", "type = logger", 1) + "a1.sinks.k1.maxBytesToLog = 64\n"
	for compat, want := range map[bool]int{false: 64, true: 16} {
		p := read(t, conf, flume.Options{Compat: compat})
		if got := p.Topology.Agents[0].Sinks[0].Settings.Int("maxBytesToLog"); got != want {
			t.Errorf("compat %v: got %d, want %d", compat, got, want)
		}
		if p.Topology.Agents[0].Compat != compat {
			t.Errorf("the agent does not say that compat is %v", compat)
		}
	}
}

// Flume keeps names in sets; a failover without priorities then goes by chance.
func TestComponentsKeepTheOrderOfTheirLists(t *testing.T) {
	conf := `a1.sources = z y x
a1.channels = c9 c1 c10
a1.sinks = k3 k1 k2
`
	for _, n := range []string{"x", "y", "z"} {
		conf += "a1.sources." + n + ".type = seq\na1.sources." + n + ".channels = c10 c9 c1 c9\n"
	}
	for _, n := range []string{"1", "2", "3"} {
		conf += "a1.sinks.k" + n + ".type = null\na1.sinks.k" + n + ".channel = c" + strings.Replace(strings.Replace(n, "2", "9", 1), "3", "10", 1) + "\n"
	}
	for _, n := range []string{"1", "9", "10"} {
		conf += "a1.channels.c" + n + ".type = memory\n"
	}
	p := read(t, conf, flume.Options{})
	if got, want := shape(p), "a1: z>c10,c9,c1 y>c10,c9,c1 x>c10,c9,c1 c9 c1 c10 k3<c10 k1<c1 k2<c9"; got != want {
		t.Errorf("got %q, want %q (%v)", got, want, p.Faults)
	}
}

func TestEveryValueKeepsItsPlace(t *testing.T) {
	conf := base + "a1.sources.r1.interceptors = i1 \\\n   i2\na1.sources.r1.interceptors.i1.type = static\na1.sources.r1.interceptors.i1.value : x\\ty\na1.sources.r1.interceptors.i2.type = host\n"
	p := read(t, conf, flume.Options{})
	r1 := p.Topology.Agents[0].Sources[0]
	for name, want := range map[string]string{
		"interceptors":          "flume.conf:9:30",
		"interceptors.i1.value": "flume.conf:12:39",
		"interceptors.i2.type":  "flume.conf:13:38",
	} {
		if v, ok := r1.Settings.Value(name); !ok || v.Pos.String() != want {
			t.Errorf("%s: got %s, want %s", name, v.Pos, want)
		}
	}
	v, _ := r1.Settings.Sub("interceptors.i1.", nil).Value("value")
	if v.Text != "x\ty" || v.Key.String() != "flume.conf:12:15" {
		t.Errorf("got %q with its key at %s, want %q at flume.conf:12:15", v.Text, v.Key, "x\ty")
	}
	// a name in a continued list
	p = read(t, strings.Replace(conf, "i2.type", "i3.type", 1), flume.Options{})
	if f := faultOf(t, p, "SL0111"); f.Pos.String() != "flume.conf:10:4" || f.End != 6 {
		t.Errorf("got %s to %d, want flume.conf:10:4 to 6", f.Pos, f.End)
	}
}

func TestTheWantedAgentHasToBeThere(t *testing.T) {
	p := read(t, base+strings.ReplaceAll(base, "a1.", "a2."), flume.Options{Agent: "agent1"})
	if f := faultOf(t, p, "SL0101"); f.Severity != topologies.Error || f.Message != `no agent named "agent1" in flume.conf; it has: a1 (line 1), a2 (line 9)` {
		t.Errorf("got %v", f)
	}
	if p := read(t, base, flume.Options{Agent: "a1"}); len(p.Faults) > 0 {
		t.Errorf("an agent that is there: %v", p.Faults)
	}
	if p := read(t, "", flume.Options{Agent: "a1"}); len(p.Faults) != 1 {
		t.Errorf("an empty file: got %v, want one fault", p.Faults)
	}
	if _, err := flume.Read(nil, flume.Options{}); err == nil {
		t.Error("no file at all is no error")
	}
}

func TestAMistakeInAnotherAgentDoesNotStopThisOne(t *testing.T) {
	p := read(t, base+"a2.sources = r1\n", flume.Options{Agent: "a1"})
	if topologies.Failed(p.Faults, "a1") || !topologies.Failed(p.Faults, "a2") {
		t.Errorf("got %v", p.Faults)
	}
}

func TestASelectorGetsOnlyChannelsOfItsSource(t *testing.T) {
	p := read(t, base+"a1.sources.r1.selector.optional = c2 c1 c3\n", flume.Options{})
	if got := p.Topology.Agents[0].Sources[0].Settings.String("selector.optional"); got != "c1" {
		t.Errorf("got the optional channels %q, want c1", got)
	}
	// c2 is dropped with its numbers, and the mapping to it takes the source along
	conf := strings.Replace(base, "r1.channels = c1", "r1.channels = c1 c2", 1) + `a1.channels = c1 c2
a1.channels.c2.type = memory
a1.channels.c2.capacity = 1
a1.sources.r1.selector.type = multiplexing
a1.sources.r1.selector.default = c1
a1.sources.r1.selector.mapping.x = c2
`
	if got, want := shape(read(t, conf, flume.Options{Lenient: true})), "a1: c1 k1<c1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
