package load_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/kinds"
	"github.com/sluicehq/sluice/topologies/load"
)

// exampleFiles are the texts of topologies/examples. They are read from disk, as
// this package is below the one that embeds them.
func exampleFiles(t *testing.T) []flume.File {
	t.Helper()
	files, err := load.Files([]string{"../examples"})
	if err != nil || len(files) < 10 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	return files
}

// exampleOptions are what the examples refer to.
func exampleOptions() load.Options {
	return load.Options{Options: flume.Options{Env: map[string]string{"USER": "ann"}, Sys: map[string]string{"demo.dir": "/tmp/demo"}}}
}

func TestEveryExampleLoadsWithoutErrors(t *testing.T) {
	for _, f := range exampleFiles(t) {
		top, faults, err := load.Read([]flume.File{f}, exampleOptions())
		if err != nil || len(top.Agents) != 1 || topologies.Failed(faults, "") {
			t.Errorf("%s: %d agents, %v %v", f.Name, len(top.Agents), faults, err)
		}
		for _, fault := range faults {
			// Examples are copied, so they hold nothing that needs excuse; the
			// article's listing stands as printed.
			if fault.Severity == topologies.Warning && !strings.HasSuffix(f.Name, "article.conf") && fault.Code != "SL0331" {
				t.Errorf("%s", fault)
			}
		}
	}
}

// A user finds an example for whatever there is.
func TestEveryKindHasAnExample(t *testing.T) {
	used := map[*kinds.Kind]bool{}
	var parts func(k *kinds.Kind, values map[string]topologies.Value)
	parts = func(k *kinds.Kind, values map[string]topologies.Value) {
		used[k] = true
		for _, p := range topologies.Parts(k, values) {
			if p.Kind != nil {
				parts(p.Kind, p.Values)
			}
		}
	}
	for _, f := range exampleFiles(t) {
		top, _, _ := load.Read([]flume.File{f}, exampleOptions())
		for _, a := range top.Agents {
			for _, c := range slices.Concat(a.Sources, a.Channels, a.Sinks) {
				parts(c.Kind, c.Settings.Values())
			}
			for _, g := range a.Groups {
				used[g.Processor] = true
			}
		}
	}
	for _, c := range kinds.Categories() {
		for _, k := range kinds.All(c) {
			if c != kinds.ConfigFilter && k.Support != kinds.Missing && !used[k] {
				t.Errorf("no example uses %s %s", c, k.Name)
			}
		}
	}
}

// The two forms of an example are the same topology.
func TestYAMLExamplesSayWhatTheirFlumeFilesSay(t *testing.T) {
	files := map[string]flume.File{}
	for _, f := range exampleFiles(t) {
		files[strings.TrimPrefix(f.Name, "../examples/")] = f
	}
	old, _, _ := load.Read([]flume.File{files["taildir.conf"]}, exampleOptions())
	new, _, _ := load.Read([]flume.File{files["taildir.yaml"]}, exampleOptions())
	if plan := topologies.Diff(old, new); !plan.Empty() || len(plan.Changes) != 3 {
		t.Errorf("taildir.conf to taildir.yaml: %+v", plan)
	}
}

func TestTheArticlesListingRunsAsPrinted(t *testing.T) {
	for _, f := range exampleFiles(t) {
		if !strings.HasSuffix(f.Name, "article.conf") {
			continue
		}
		top, faults, _ := load.Read([]flume.File{f}, load.Options{})
		a, ok := top.Agent("agent")
		if !ok || topologies.Failed(faults, "agent") || a.Sinks[0].Settings.String("hdfs.path") != "/flume/events" || !slices.Equal(a.Sinks[0].Channels, []string{"channel1"}) ||
			a.Channels[0].Settings.Int("capacity") != 1000000 {
			t.Errorf("%+v %v", a, faults)
		}
		return
	}
	t.Error("there is no article.conf")
}
