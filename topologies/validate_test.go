package topologies_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// codes are the faults as "error SL0301", without the notes that do not concern
// the test.
func codes(faults []topologies.Fault) []string {
	var out []string
	for _, f := range faults {
		if f.Severity != topologies.Note {
			out = append(out, fmt.Sprintf("%s %s", f.Severity, f.Code))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestAWorkingTopologyHasNoFaults(t *testing.T) {
	if faults := topologies.Validate(shop(nil)); len(codes(faults)) > 0 {
		t.Errorf("got %v", faults)
	}
}

// Each case puts one mistake into a topology that is right.
func TestValidateNamesEachMistake(t *testing.T) {
	for edit, want := range map[string]string{
		"source r1 batchSize=ten":                        "error SL0301",
		"source r1 batchSize=0":                          "error SL0303",
		"source r1 batchSize=99999999999999999999":       "error SL0303",
		"source r1 batchsize=7":                          "warning SL0104",
		"source r1 fileHeader=yes":                       "warning SL0304",
		"source r1 filegroups.f1=log/a.log":              "error SL0308",
		"source r1 filegroups.f1=/var/*/a.log":           "warning SL0308",
		"source r1 filegroups.f1=/var/log/*.log":         "error SL0306 warning SL0308",
		"source r1 filegroups=f1 f2":                     "error SL0302",
		"source r1 interceptors=i1 i2":                   "error SL0111",
		"source r1 interceptors.i1.type=timestmp":        "error SL0125",
		"source r1 interceptors.i1.headername=x":         "warning SL0104",
		"source r1 channels=c9":                          "error SL0112",
		"source r1 channels=":                            "error SL0113",
		"source r1 selector.optional=c2":                 "warning SL0129",
		"channel c1 capacity=1k":                         "error SL0301",
		"channel c2 capacity=1k":                         "warning SL0301",
		"channel c2 transactionCapacity=1000":            "error SL0310",
		"channel c1 encryption.activeKey=k":              "error SL0321",
		"channel c1 transactionCapacity=50":              "error SL0127",
		"sink k1 channel=":                               "error SL0113 warning SL0143",
		"sink k1 channel=c1 c2":                          "error SL0113",
		"group g1 sinks=k1 k9":                           "error SL0120",
		"group g1 sinks=":                                "error SL0122",
		"group g1 processor.type=":                       "error SL0125",
		"group g1 processor.type=default":                "error SL0123",
		"group g1 processor.priorty.k1=3":                "warning SL0104",
		"group g1 sinks=k1":                              "",
		"group g2 sinks=k1":                              "error SL0121 error SL0122",
		"channel c3 type=memory":                         "warning SL0142",
		"sink k3 type=null":                              "error SL0113",
		"source r1 interceptors.i1.preserveExisting=oui": "warning SL0304",
	} {
		at, text, _ := strings.Cut(edit, "=")
		faults := topologies.Validate(shop(map[string]string{at: text}))
		if got := strings.Join(codes(faults), " "); got != want {
			t.Errorf("%s: got %q, want %q\n%v", edit, got, want, faults)
		}
	}
}

// agent builds an agent of one source, channel and sink.
func agent(source, channel, sink map[string]string) *topologies.Topology {
	for _, texts := range []map[string]string{source, sink} {
		if texts["channels"]+texts["channel"] == "" {
			texts["channels"] = "c"
		}
	}
	return &topologies.Topology{Agents: []topologies.Agent{{
		Name:     "a",
		Sources:  []topologies.Component{component(kinds.Source, "r", source)},
		Channels: []topologies.Component{component(kinds.Channel, "c", channel)},
		Sinks:    []topologies.Component{component(kinds.Sink, "k", sink)},
	}}}
}

func TestValidateWarnsOfWhatWorksAndIsLikelyNotMeant(t *testing.T) {
	type texts = map[string]string
	hdfs := func(more texts) texts {
		out := texts{"type": "hdfs", "channel": "c", "hdfs.path": "/data/x", "hdfs.rollCount": "0", "hdfs.rollSize": "0"}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	seq := func() texts { return texts{"type": "seq", "channels": "c"} }
	for name, c := range map[string]struct {
		t    *topologies.Topology
		want string
	}{
		"push source on a memory channel": {agent(texts{"type": "netcat", "channels": "c", "bind": "127.0.0.1", "port": "1"}, texts{"type": "memory"}, texts{"type": "logger", "channel": "c"}), "warning SL0331"},
		"push source on a file channel":   {agent(texts{"type": "netcat", "channels": "c", "bind": "127.0.0.1", "port": "1"}, texts{"type": "file"}, texts{"type": "logger", "channel": "c"}), ""},
		"port out of range":               {agent(texts{"type": "netcat", "channels": "c", "bind": "127.0.0.1", "port": "70000"}, texts{"type": "file"}, texts{"type": "logger", "channel": "c"}), "error SL0303"},
		"no port":                         {agent(texts{"type": "netcat", "channels": "c", "bind": "127.0.0.1"}, texts{"type": "file"}, texts{"type": "logger", "channel": "c"}), "error SL0302"},
		"small files":                     {agent(seq(), texts{"type": "memory"}, texts{"type": "hdfs", "channel": "c", "hdfs.path": "/x"}), "warning SL0330"},
		"another file system":             {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.path": "hdfs://nn/x"})), "error SL0334"},
		"compression without codec":       {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.fileType": "CompressedStream"})), "error SL0335"},
		"a codec for plain files":         {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.fileType": "DataStream", "hdfs.codeC": "gzip"})), "error SL0335"},
		"a fileType that is none":         {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.fileType": "DatStream"})), "error SL0305"},
		"times without a clock":           {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.path": "/x/%Y"})), "warning SL0336"},
		"times of writing":                {agent(seq(), texts{"type": "memory"}, hdfs(texts{"hdfs.path": "/x/%Y", "hdfs.useLocalTimeStamp": "true"})), ""},
		"times of a timestamp header": {agent(texts{"type": "seq", "channels": "c", "interceptors": "i", "interceptors.i.type": "timestamp"}, texts{"type": "memory"},
			hdfs(texts{"hdfs.path": "/x/%Y"})), ""},
		"a charset":              {agent(texts{"type": "exec", "command": "x", "charset": "EBCDIC", "channels": "c"}, texts{"type": "file"}, texts{"type": "null", "channel": "c"}), "error SL0307"},
		"a kind that is missing": {agent(texts{"type": "jms", "channels": "c"}, texts{"type": "file"}, texts{"type": "null", "channel": "c"}), "error SL0126"},
	} {
		faults := topologies.Validate(c.t)
		if got := strings.Join(codes(faults), " "); got != c.want {
			t.Errorf("%s: got %q, want %q\n%v", name, got, c.want, faults)
		}
	}
}

func TestTwoComponentsInOneFolderAreNoticed(t *testing.T) {
	roll := map[string]string{"sink k1 type": "file_roll", "sink k1 sink.directory": "/out", "sink k2 type": "file_roll", "sink k2 sink.directory": "/out/"}
	if got := codes(topologies.Validate(shop(roll))); !slices.Equal(got, []string{"warning SL0332"}) {
		t.Errorf("two sinks in /out: %v", got)
	}
	roll["sink k2 sink.pathManager.prefix"] = "b"
	if got := codes(topologies.Validate(shop(roll))); len(got) > 0 {
		t.Errorf("with names of their own: %v", got)
	}
}

// A value that came out of a file is a secret, whatever is wrong with it.
func TestNoMessageShowsASecret(t *testing.T) {
	for _, property := range []string{"batchSize", "fileHeader", "interceptors.i1.type", "filegroups.f1", "positionFile"} {
		top := shop(nil)
		r := &top.Agents[0].Sources[0]
		values := r.Settings.Values()
		values[property] = topologies.Value{Text: "canary[", Secret: true}
		r.Settings = topologies.NewSettings(r.Kind, "source a1.r1", values)
		for _, f := range topologies.Validate(top) {
			if strings.Contains(f.String(), "canary") {
				t.Errorf("%s: %s", property, f)
			}
		}
		r.Settings.Int("batchSize")
		if err := r.Settings.Err(); property == "batchSize" && (err == nil || strings.Contains(err.Error(), "canary")) {
			t.Errorf("the settings' error is %v", err)
		}
	}
}

func TestPossessivePatternsAndLookaheadCompile(t *testing.T) {
	for pattern, want := range map[string]string{
		`^(?!DEBUG).*`: "", `a++b`: "", `(\w+) \1`: "", `[a-z&&[^b]]`: "",
		`(unclosed`: "error SL0306", `[a-`: "error SL0306", `\p{javaLowerCase}`: "warning SL0306",
	} {
		edit := map[string]string{"source r1 interceptors.i1.type": "regex_filter", "source r1 interceptors.i1.regex": pattern}
		if got := strings.Join(codes(topologies.Validate(shop(edit))), " "); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}
