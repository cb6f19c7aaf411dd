package load_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/load"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(load.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sluice.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("sluice.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// Whatever is shipped as an example, and whatever convert writes, an editor with
// the schema accepts.
func TestTheSchemaAcceptsExamplesAndWhatConvertWrites(t *testing.T) {
	s := schema(t)
	for _, f := range exampleFiles(t) {
		text := f.Data
		if !load.IsYAML(f.Name) {
			var err error
			if text, _, err = load.Convert([]flume.File{f}, exampleOptions()); err != nil {
				t.Fatal(err)
			}
		}
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s: %v\n%s", f.Name, err, text)
		}
	}
	if err := validate(t, s, []byte(strings.Replace(shop, "1_000", "10000", 1))); err != nil {
		t.Errorf("the file of the other tests: %v", err)
	}
}

// What the schema refuses, the reader refuses too, and the other way round.
func TestTheSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	s := schema(t)
	base := strings.Replace(shop, "1_000", "10000", 1)
	for _, c := range []struct{ old, new string }{
		{"version: 1", "version: 2"},
		{"agents:", "agent:"},
		{"    sources:", "    source:"},
		{"batchSize", "batchsize"},
		{"batchSize: 500", "batchSize: 5x"},
		{"batchSize: 500", "batchSize: 0"},
		{"batchSize: 500", "batchSize: {a: 1}"},
		{"type: TAILDIR", "type: TAILDI"},
		{"type: TAILDIR", "type: jms"},
		{"type: TAILDIR", "kind: TAILDIR"},
		{"type: timestamp", "type: timestmp"},
		{"type: timestamp", "type: timestamp, headername: x"},
		{"name: user", "nam: user"},
		{"optional: [c2]", "optionl: [c2]"},
		{"directory:", "dir:"},
		{"capacity: 10000", "encryption.activeKey: x"},
		{"type: failover", "type: failove"},
		{"maxpenalty", "maxpenlty"},
		{"      r1:", "      r.1:"},
		{"name: shop", "topics: {a/b: {partitions: 1}}"},
		{"name: shop", "topics: {orders: {partitions: 0}}"},
		{"name: shop", "topics: {orders: {partition: 6}}"},
		{"name: shop", "topics: {orders: {scale: wild}}"},
		{"name: shop", "topics: {orders: {configs: {retention.m: 1}}}"},
		{"name: shop", "topics: {orders: {configs: {retention.ms: 1d}}}"},
		{"name: shop", "topics: {orders: {configs: {message.timestamp.type: never}}}"},
	} {
		text := strings.Replace(base, c.old, c.new, 1)
		if text == base && c.old != "maxpenalty" {
			t.Fatalf("%q is not in the file", c.old)
		}
		if text == base {
			text = strings.Replace(base, "priority: {", "maxpenlty: 3, priority: {", 1)
		}
		if err := validate(t, s, []byte(text)); err == nil {
			t.Errorf("the schema accepts %q", c.new)
		}
		if _, faults := read(t, text); c.new != "maxpenlty" && !topologies.Failed(faults, "") {
			t.Errorf("the reader accepts %q: %v", c.new, faults)
		}
	}
}
