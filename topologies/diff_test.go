package topologies_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// shop is an agent with two sources, two channels and two sinks in a group; edit
// changes properties before it is built ("source r1 batchSize": "7").
func shop(edit map[string]string) *topologies.Topology {
	texts := map[string]map[string]string{
		"source r1":  {"type": "taildir", "channels": "c1", "filegroups": "f1", "filegroups.f1": "/var/log/a.log", "interceptors": "i1", "interceptors.i1.type": "timestamp"},
		"source r2":  {"type": "seq", "channels": "c2"},
		"channel c1": {"type": "file"},
		"channel c2": {"type": "memory"},
		"sink k1":    {"type": "logger", "channel": "c1"},
		"sink k2":    {"type": "null", "channel": "c2"},
		"group g1":   {"sinks": "k1 k2", "processor.type": "failover"},
	}
	for at, text := range edit {
		words := strings.SplitN(at, " ", 3)
		part := words[0] + " " + words[1]
		switch {
		case text == "-":
			delete(texts, part)
		case texts[part] == nil:
			texts[part] = map[string]string{words[2]: text}
		default:
			texts[part][words[2]] = text
		}
	}
	a := topologies.Agent{Name: "a1"}
	for _, part := range slices.Sorted(mapKeys(texts)) {
		word, name, _ := strings.Cut(part, " ")
		c := component(kinds.Category(word), name, texts[part])
		switch word {
		case "source":
			a.Sources = append(a.Sources, c)
		case "channel":
			a.Channels = append(a.Channels, c)
		case "sink":
			a.Sinks = append(a.Sinks, c)
		case "group":
			processor, _ := kinds.Lookup(kinds.Processor, texts[part]["processor.type"])
			a.Groups = append(a.Groups, topologies.Group{Name: name, Processor: processor, Sinks: strings.Fields(texts[part]["sinks"]), Settings: c.Settings})
		}
	}
	return &topologies.Topology{Name: "shop", Agents: []topologies.Agent{a}}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func component(c kinds.Category, name string, texts map[string]string) topologies.Component {
	s := topologies.SettingsOf(c, texts["type"], texts)
	return topologies.Component{Name: name, Kind: s.Kind(), Settings: s, Channels: strings.Fields(texts["channels"] + " " + texts["channel"])}
}

// Only what differs is touched; everything else runs on.
func TestDiffTouchesOnlyWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		edit map[string]string
		plan string
		want []string
	}{
		"nothing":                      {nil, "+0 ~0 -0 =6", nil},
		"a default written out":        {map[string]string{"source r1 batchSize": "100"}, "+0 ~0 -0 =6", nil},
		"a property without effect":    {map[string]string{"channel c1 checkpointInterval": "5"}, "+0 ~0 -0 =6", nil},
		"an unknown property":          {map[string]string{"source r1 batchsize": "7"}, "+0 ~0 -0 =6", nil},
		"an alias in capitals":         {map[string]string{"source r1 type": "TAILDIR"}, "+0 ~0 -0 =6", nil},
		"a source's property":          {map[string]string{"source r1 batchSize": "7"}, "+0 ~1 -0 =5", []string{"restart source r1: batchSize changed"}},
		"an interceptor's property":    {map[string]string{"source r1 interceptors.i1.headerName": "x"}, "+0 ~1 -0 =5", []string{"restart source r1: interceptors.i1.headerName changed"}},
		"a memory channel's capacity":  {map[string]string{"channel c2 capacity": "500"}, "+0 ~1 -0 =5", []string{"adjust channel c2: capacity changed"}},
		"a file channel's capacity":    {map[string]string{"channel c1 capacity": "500"}, "+0 ~1 -0 =5", []string{"adjust channel c1: capacity changed"}},
		"a file channel's durability":  {map[string]string{"channel c1 fsyncPerTransaction": "false"}, "+0 ~3 -0 =3", []string{"restart channel c1: fsyncPerTransaction changed", "restart source r1: its channel c1 runs anew", "restart sink k1: its channel c1 runs anew"}},
		"a sink's other channel":       {map[string]string{"sink k2 channel": "c1"}, "+0 ~1 -0 =5", []string{"restart sink k2: its channels changed"}},
		"a sink's type":                {map[string]string{"sink k2 type": "logger"}, "+0 ~1 -0 =5", []string{"restart sink k2: type changed"}},
		"a processor's property":       {map[string]string{"group g1 processor.maxpenalty": "9"}, "+0 ~2 -0 =4", []string{"restart sink k1: processor.maxpenalty of group g1 changed", "restart sink k2: processor.maxpenalty of group g1 changed"}},
		"a group that is gone":         {map[string]string{"group g1": "-"}, "+0 ~2 -0 =4", []string{"restart sink k1: it leaves group g1", "restart sink k2: it leaves group g1"}},
		"a source more":                {map[string]string{"source r3 type": "seq"}, "+1 ~0 -0 =6", []string{"start source r3: "}},
		"a source less":                {map[string]string{"source r2": "-"}, "+0 ~0 -1 =5", []string{"stop source r2: "}},
		"a password only by its name":  {map[string]string{"source r1 headers.f1.password": "hunter2"}, "+0 ~1 -0 =5", []string{"restart source r1: headers.f1.password changed"}},
		"what is ignored and what not": {map[string]string{"channel c1 capacity": "5", "channel c1 maxFileSize": "1"}, "+0 ~1 -0 =5", []string{"adjust channel c1: capacity changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := topologies.Diff(shop(nil), shop(c.edit))
			if plan.String() != c.plan {
				t.Errorf("plan %s, want %s", plan, c.plan)
			}
			var got []string
			for _, ch := range plan.Changes {
				if ch.Action != topologies.Keep {
					got = append(got, fmt.Sprintf("%s %s %s: %s", ch.Action, ch.Category, ch.Name, ch.Why))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("changes\n got %q\nwant %q", got, c.want)
			}
			if plan.Empty() != (len(c.want) == 0) {
				t.Errorf("empty is %v", plan.Empty())
			}
		})
	}
}

func TestDiffStartsAndStopsWholeAgents(t *testing.T) {
	if plan := topologies.Diff(nil, shop(nil)); plan.String() != "+6 ~0 -0 =0" {
		t.Errorf("from nothing: %s", plan)
	}
	if plan := topologies.Diff(shop(nil), nil); plan.String() != "+0 ~0 -6 =0" {
		t.Errorf("to nothing: %s", plan)
	}
	compat := shop(nil)
	compat.Agents[0].Compat = true
	if plan := topologies.Diff(shop(nil), compat); plan.String() != "+0 ~6 -0 =0" {
		t.Errorf("compat: %s", plan)
	}
}

func TestAPlanIsReadableByScripts(t *testing.T) {
	text, err := json.Marshal(topologies.Diff(shop(nil), shop(map[string]string{"channel c2 capacity": "500"})))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Adjust, Keep int
		Changes      []topologies.Change
	}
	if err := json.Unmarshal(text, &got); err != nil || got.Adjust != 1 || got.Keep != 5 || got.Changes[1].Part() != "agent/a1/channel/c2" {
		t.Errorf("%s: %v", text, err)
	}
}
