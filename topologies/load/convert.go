package load

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// Convert turns a configuration in one of Flume's forms into YAML. Comments stay
// with the lines they stand above, references stay references where YAML has
// them. The faults are those of the files, and what could not be carried over.
func Convert(files []flume.File, o Options) ([]byte, []topologies.Fault, error) {
	parsed, err := flume.Read(files, o.Options)
	if err != nil {
		return nil, nil, err
	}
	c := &converter{parsed: parsed, byKey: map[string]flume.Property{}, faults: parsed.Faults}
	for _, p := range parsed.Properties {
		c.byKey[strings.TrimSpace(p.Key)] = p
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(c.document(o)); err != nil {
		return nil, c.faults, fmt.Errorf("convert %s: %w", files[0].Name, err)
	}
	return out.Bytes(), c.faults, e.Close()
}

type converter struct {
	parsed *flume.Parsed
	byKey  map[string]flume.Property
	faults []topologies.Fault
}

func (c *converter) leftOut(p flume.Property, format string, args ...any) {
	c.faults = append(c.faults, topologies.Fault{Code: "SL0156", Severity: topologies.Warning, Pos: p.Pos, Message: fmt.Sprintf(format, args...)})
}

// mapping is a YAML mapping that is being built.
type mapping struct{ node *yaml.Node }

func newMapping() mapping { return mapping{&yaml.Node{Kind: yaml.MappingNode}} }

func (m mapping) add(key string, value *yaml.Node, comments []string) {
	k := &yaml.Node{Kind: yaml.ScalarNode, Value: key}
	if ambiguous(key) {
		k.Style = yaml.DoubleQuotedStyle
	}
	for _, line := range comments {
		k.HeadComment += "# " + strings.TrimSpace(line) + "\n"
	}
	m.node.Content = append(m.node.Content, k, value)
}

// ambiguous says whether a text without quotes would be something else.
func ambiguous(text string) bool {
	return text == "" || text == "~" || strings.EqualFold(text, "null") || text == "<<"
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if ambiguous(text) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func (c *converter) document(o Options) *yaml.Node {
	root, agents := newMapping(), newMapping()
	root.add("version", scalar("1"), nil)
	if o.Compat {
		root.add("compat", scalar("flume"), nil)
	}
	for _, name := range c.parsed.Agents {
		agents.add(name, c.agent(name), nil)
	}
	root.add("agents", agents.node, nil)
	return root.node
}

// sections are the words of an agent, as they stand in YAML.
var sections = []string{"sources", "channels", "sinks", "sinkgroups"}

func (c *converter) agent(agent string) *yaml.Node {
	out := newMapping()
	for _, word := range sections {
		list, listed := c.byKey[agent+"."+word]
		names := strings.Fields(list.Value)
		if !listed {
			names = c.named(agent + "." + word + ".")
		}
		section := newMapping()
		for _, name := range slices.Compact(names) {
			if body := c.component(agent, word, name); len(body.Content) > 0 {
				section.add(name, body, nil)
			}
		}
		if len(section.node.Content) > 0 {
			out.add(word, section.node, list.Comments)
		}
		if !listed {
			continue
		}
		for _, name := range c.named(agent + "." + word + ".") {
			if !slices.Contains(names, name) {
				c.leftOut(list, "%s.%s.%s is left out: no list names it", agent, word, name)
			}
		}
	}
	return out.node
}

// named are the components whose properties begin with prefix, in file order.
func (c *converter) named(prefix string) []string {
	var out []string
	for _, p := range c.parsed.Properties {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(p.Key), prefix); ok {
			if name, _, _ := strings.Cut(rest, "."); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// names are the properties that are lists of names.
func isListOfNames(word, property string) bool {
	last := property[strings.LastIndexByte(property, '.')+1:]
	return word == "sources" && property == "channels" || word == "sinkgroups" && property == "sinks" || word == "sources" && listing[last]
}

func (c *converter) component(agent, word, name string) *yaml.Node {
	out := newMapping()
	prefix := agent + "." + word + "." + name + "."
	_, hasChannel := c.byKey[prefix+"channel"]
	for _, p := range c.parsed.Properties {
		property, ok := strings.CutPrefix(strings.TrimSpace(p.Key), prefix)
		if !ok || strings.TrimSpace(p.Value) == "" {
			continue
		}
		if word == "sinks" && property == "channels" && !hasChannel {
			property = "channel"
		}
		text := c.text(p, strings.TrimSpace(p.Value), 0)
		value := scalar(text)
		if isListOfNames(word, property) && !strings.Contains(text, "${") && !strings.Contains(text, ",") {
			value = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, item := range strings.Fields(text) {
				value.Content = append(value.Content, scalar(item))
			}
		}
		out.add(property, value, p.Comments)
	}
	return out.node
}

// referenceInText matches a reference without another inside it.
var referenceInText = regexp.MustCompile(`\$?\$\{([^${}]*)\}`)

// filterReference is the inside of ${filter['key']}.
var filterReference = regexp.MustCompile(`^([^\[\]]+)\[["']?([^\[\]"']+)["']?\]$`)

// text writes the references of a value as YAML has them.
func (c *converter) text(p flume.Property, text string, depth int) string {
	if !strings.Contains(text, "${") {
		return text
	}
	out := referenceInText.ReplaceAllStringFunc(text, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref
		}
		inner := ref[2 : len(ref)-1]
		kind, _, hasKind := strings.Cut(inner, ":")
		if hasKind && (kind == "env" || kind == "sys") {
			return ref
		}
		if m := filterReference.FindStringSubmatch(inner); m != nil && c.isEnvFilter(p, m[1]) {
			return "${env:" + m[2] + "}"
		}
		name, fallback, hasFallback := strings.Cut(inner, ":-")
		switch other, ok := c.byKey[name]; {
		case ok && depth < 16:
			return c.text(other, strings.TrimSpace(other.Value), depth+1)
		case hasFallback && !strings.Contains(name, ":"):
			return fallback
		}
		c.leftOut(p, "%s: %s has no meaning in YAML and stays as plain text", p.Key, ref)
		return "$" + ref
	})
	if strings.Count(out, "${") != len(referenceInText.FindAllString(out, -1)) {
		c.leftOut(p, "%s: a reference inside a reference has no meaning in YAML", p.Key)
	}
	return out
}

func (c *converter) isEnvFilter(p flume.Property, name string) bool {
	agent, _, _ := strings.Cut(p.Key, ".")
	typ := strings.TrimSpace(c.byKey[agent+".configfilters."+name+".type"].Value)
	return strings.EqualFold(typ, "env") || strings.HasSuffix(typ, "EnvironmentVariableConfigFilter")
}
