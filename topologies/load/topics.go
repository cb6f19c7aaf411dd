package load

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/configs"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// topics reads the topics of a file.
func (r *yamlReader) topics(n *yaml.Node) {
	r.fields(n, 2, "topics", func(key, value *yaml.Node) {
		if first, there := r.t.Topic(key.Value); there {
			r.fault("SL0155", key, "topic %q is defined in another file too", key.Value).
				Related = []topologies.Related{{Pos: first.Pos, Text: "first here"}}
			return
		}
		r.t.Topics = append(r.t.Topics, r.topic(key, value))
	})
}

func (r *yamlReader) topic(key, n *yaml.Node) topologies.Topic {
	who := fmt.Sprintf("topic %q", key.Value)
	t := topologies.Topic{Name: key.Value, Pos: r.pos(key), Configs: map[string]topologies.Value{}}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return t // all by default
	}
	values := r.properties(who, n, func(map[string]topologies.Value) *kinds.Kind { return nil })
	for name, v := range values {
		config, isConfig := strings.CutPrefix(name, "configs.")
		switch {
		case isConfig:
			if c, known := configs.Topic.Find(config); known && c.Type == configs.List {
				v.Text = strings.Join(strings.Fields(v.Text), ",") // as a list of YAML is read
			}
			t.Configs[config] = v
		case name == "partitions":
			t.Partitions = v
		case name == "replicas":
			t.Replicas = v
		case name == "scale":
			t.Scale = v
		default:
			r.unknown(&yaml.Node{Kind: yaml.ScalarNode, Value: name, Line: v.Key.Line, Column: v.Key.Column}, who, "partitions", "replicas", "scale", "configs")
		}
	}
	return t
}

// topicSchema is the schema of a topic.
func topicSchema() object {
	number := func(description string) object {
		return object{"description": description, "anyOf": []any{
			object{"type": "integer", "minimum": 1}, object{"type": "string", "pattern": `^[0-9]+$`}, reference,
		}}
	}
	properties := object{}
	for i := range configs.Topic {
		c := &configs.Topic[i]
		properties[c.Name] = configSchema(c)
	}
	return object{
		"type": []string{"object", "null"}, "additionalProperties": false,
		"properties": object{
			"partitions": number("How many partitions the topic has. They can become more, never fewer."),
			"replicas":   number("How many nodes have each partition."),
			"scale":      object{"const": "ordered", "description": "Holds the order of keys when partitions are added."},
			"configs":    object{"type": "object", "additionalProperties": false, "properties": properties, "description": "Configs by Kafka's names."},
		},
	}
}

func configSchema(c *configs.Config) object {
	out := object{"description": c.Doc}
	switch c.Type {
	case configs.Boolean:
		out["anyOf"] = []any{object{"type": "boolean"}, object{"enum": []any{"true", "false"}}, reference}
	case configs.Int, configs.Short, configs.Long:
		out["anyOf"] = []any{object{"type": "integer"}, object{"type": "string", "pattern": `^[+-]?[0-9]+$`}, reference}
	case configs.Double:
		out["anyOf"] = []any{object{"type": "number"}, object{"type": "string"}}
	case configs.List:
		out = textsSchema(c.Doc)
	default:
		out["type"] = "string"
		if len(c.Values) > 0 {
			out["anyOf"] = []any{object{"enum": c.Values}, reference}
			delete(out, "type")
		}
	}
	if c.Default != "" {
		out["default"] = c.Default
	}
	return out
}
