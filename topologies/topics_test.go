package topologies_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
)

func topic(name string, partitions string, configs ...string) topologies.Topic {
	t := topologies.Topic{Name: name, Partitions: topologies.Value{Text: partitions}, Configs: map[string]topologies.Value{}}
	for i := 0; i < len(configs); i += 2 {
		t.Configs[configs[i]] = topologies.Value{Text: configs[i+1]}
	}
	return t
}

func TestDiffSaysWhatBecomesOfTopics(t *testing.T) {
	old := &topologies.Topology{Topics: []topologies.Topic{topic("same", "3"), topic("grows", "3"), topic("altered", "", "retention.ms", "1", "segment.ms", "5"), topic("gone", "1")}}
	new := &topologies.Topology{Topics: []topologies.Topic{topic("same", "3"), topic("grows", "6"), topic("altered", "", "retention.ms", "2"), topic("fresh", "")}}
	var got []string
	for _, c := range topologies.Diff(old, new).Changes {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Action, c.Part(), c.Why)))
	}
	want := []string{
		"keep topic/same", "adjust topic/grows partitions changed", "adjust topic/altered retention.ms, segment.ms changed",
		"start topic/fresh", "keep topic/gone it is left out, and stays with its records",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFaultOfATopicShowsNoSecret(t *testing.T) {
	top := topic("orders", "1", "retention.ms", "hunter2")
	v := top.Configs["retention.ms"]
	v.Secret = true
	top.Configs["retention.ms"] = v
	top.Partitions = topologies.Value{Text: "hunter2", Secret: true}
	faults := topologies.Validate(&topologies.Topology{Topics: []topologies.Topic{top}})
	if len(faults) != 2 {
		t.Fatalf("%v", faults)
	}
	for _, f := range faults {
		if strings.Contains(f.String(), "hunter2") {
			t.Errorf("%s", f)
		}
	}
}
