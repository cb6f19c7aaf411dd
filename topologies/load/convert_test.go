package load_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/load"
)

// What was converted is the same topology: nothing would be touched.
func TestAConvertedFileIsTheSameTopology(t *testing.T) {
	for _, f := range exampleFiles(t) {
		if load.IsYAML(f.Name) {
			continue
		}
		before, _, _ := load.Read([]flume.File{f}, exampleOptions())
		text, _, err := load.Convert([]flume.File{f}, exampleOptions())
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		after, faults, err := load.Read([]flume.File{{Name: "x.yaml", Data: text}}, exampleOptions())
		if err != nil || topologies.Failed(faults, "") {
			t.Errorf("%s: %v %v\n%s", f.Name, faults, err, text)
			continue
		}
		if plan := topologies.Diff(before, after); !plan.Empty() || len(plan.Changes) == 0 {
			t.Errorf("%s: %+v\n%s", f.Name, plan, text)
		}
	}
}

func TestConvertKeepsCommentsAndReferences(t *testing.T) {
	conf := `# who reads
a.sources = r
a.channels = c
a.sinks = k
dir = /data
a.configfilters = f
a.configfilters.f.type = env
# numbers
a.sources.r.type = seq
# how many
# at once
a.sources.r.batchSize = ${env:BATCH:-7}
a.sources.r.channels = c
a.sources.old.type = seq
a.channels.c.type = memory
a.sinks.k.type = file_roll
a.sinks.k.sink.directory = ${dir}/${f['NAME']}/$${x}/${java:os}
a.sinks.k.channel = c
`
	text, faults, err := load.Convert([]flume.File{{Name: "a.conf", Data: []byte(conf)}}, load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `version: 1
agents:
  a:
    # who reads
    sources:
      r:
        # numbers
        type: seq
        # how many
        # at once
        batchSize: ${env:BATCH:-7}
        channels: [c]
    channels:
      c:
        type: memory
    sinks:
      k:
        type: file_roll
        sink.directory: /data/${env:NAME}/$${x}/$${java:os}
        channel: c
`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	var said []string
	for _, f := range faults {
		if f.Code == "SL0156" {
			said = append(said, f.Message)
		}
	}
	if all := strings.Join(said, "; "); len(said) != 2 || !strings.Contains(all, "a.sources.old") || !strings.Contains(all, "${java:os}") {
		t.Errorf("said %q", said)
	}
}
