package load

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema is the JSON Schema of topologies in YAML, made from the tables of the
// kinds: the type of a component chooses which properties it can have.
func Schema() []byte {
	defs := object{}
	for _, c := range kinds.Categories() {
		if c != kinds.ConfigFilter {
			defs[string(c)] = categorySchema(c, defs)
		}
	}
	name := object{"pattern": `^[^. \t\r\n/]+$`}
	component := func(c kinds.Category) object {
		return object{"type": "object", "propertyNames": name, "additionalProperties": object{"$ref": "#/$defs/" + string(c)}}
	}
	defs["group"] = object{
		"type": "object", "additionalProperties": false, "required": []string{"sinks"},
		"properties": object{
			"sinks":     textsSchema("The sinks of the group."),
			"processor": object{"$ref": "#/$defs/processor"},
		},
		"patternProperties": object{`^processor\.`: object{}},
	}
	defs["agent"] = object{
		"type": "object", "additionalProperties": false,
		"properties": object{
			"sources":    component(kinds.Source),
			"channels":   component(kinds.Channel),
			"sinks":      component(kinds.Sink),
			"sinkgroups": object{"type": "object", "propertyNames": name, "additionalProperties": object{"$ref": "#/$defs/group"}},
		},
	}
	defs["topic"] = topicSchema()
	root := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "A topology of sluice",
		"type":    "object", "additionalProperties": false, "required": []string{"version"},
		"anyOf": []any{object{"required": []string{"agents"}}, object{"required": []string{"topics"}}},
		"properties": object{
			"version": object{"const": 1, "description": "The version of this form of file."},
			"name":    object{"type": "string", "pattern": name["pattern"], "description": "The topology's name; without it the file's."},
			"compat":  object{"const": "flume", "description": "Keeps Flume's defects too."},
			"agents":  object{"type": "object", "propertyNames": name, "additionalProperties": object{"$ref": "#/$defs/agent"}},
			"topics": object{"type": "object", "propertyNames": object{"pattern": `^[a-zA-Z0-9._-]{1,249}$`},
				"additionalProperties": object{"$ref": "#/$defs/topic"}, "description": "Topics of the cluster, by name."},
		},
		"$defs": defs,
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	return append(text, '\n')
}

// categorySchema is the schema of a category, and puts that of each of its
// kinds into defs. Kinds that are refused are not in it.
func categorySchema(c kinds.Category, defs object) object {
	var types []any
	var choices []any
	fallback := defaultKind(c)
	for _, k := range kinds.All(c) {
		if k.Support == kinds.Missing {
			continue
		}
		words := spellings(k)
		id := string(c) + "." + k.Name
		defs[id] = kindSchema(k)
		types = append(types, words...)
		is := object{"required": []string{"type"}, "properties": object{"type": object{"enum": words}}}
		if k.Name == fallback {
			is = object{"anyOf": []any{is, object{"not": object{"required": []string{"type"}}}}}
		}
		choices = append(choices, object{"if": is, "then": object{"$ref": "#/$defs/" + id}})
	}
	out := object{"type": "object", "properties": object{"type": object{"enum": types}}, "allOf": choices}
	if fallback == "" {
		out["required"] = []string{"type"}
	}
	return out
}

// defaultKind is the kind of a part that names none.
func defaultKind(c kinds.Category) string {
	switch c {
	case kinds.Selector:
		return "replicating"
	case kinds.Extractor:
		return "default"
	}
	return ""
}

// spellings are the ways to write a kind's name that an editor offers.
func spellings(k *kinds.Kind) []any {
	var out []any
	add := func(s any) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	add(k.Name)
	add(strings.ToUpper(k.Name))
	add(strings.ToLower(k.Name))
	add(k.Class)
	for _, a := range k.Aliases {
		add(a)
	}
	if k.Name == "null" {
		out = append(out, nil) // what YAML makes of null
	}
	return out
}

// level is a part of the dotted names of a kind's properties.
type level struct {
	property *kinds.Property
	part     kinds.Category // of the part whose properties stand below
	under    map[string]*level
	rest     bool // any names may stand below
}

func (l *level) at(path []string) *level {
	for _, word := range path {
		if word == "*" {
			l.rest = true
			return l
		}
		if l.under == nil {
			l.under = map[string]*level{}
		}
		if l.under[word] == nil {
			l.under[word] = &level{}
		}
		l = l.under[word]
	}
	return l
}

// kindSchema is the schema of a component, or part, of kind k. Names may be
// nested or dotted at any place.
func kindSchema(k *kinds.Kind) object {
	root := &level{}
	for i := range k.Properties {
		p := &k.Properties[i]
		if p.Support == kinds.Missing {
			continue // so that it is refused like any unknown name
		}
		path := strings.Split(p.Name, ".")
		if last := root.at(path); path[len(path)-1] != "*" {
			last.property = p
		}
		if p.Type != kinds.Class {
			continue
		}
		below := root.at(strings.Split(strings.TrimSuffix(p.PartPrefix(p.Name), "."), "."))
		below.rest = true
		if strings.HasSuffix(p.Name, ".type") {
			below.part = p.Category
		}
	}
	out := root.object()
	out["description"] = describe(k.Meaning, k.Note)
	if must := required(k); len(must) > 0 {
		out["allOf"] = must
	}
	return out
}

// required says which properties of k there have to be, nested or dotted.
func required(k *kinds.Kind) []any {
	var out []any
	for _, p := range k.Properties {
		if !p.Required || strings.Contains(p.Name, "<") || p.Name == "type" {
			continue
		}
		ways := []any{object{"required": []string{p.Name}}}
		for i, c := range p.Name {
			if c == '.' {
				ways = append(ways, object{"required": []string{p.Name[:i]}})
			}
		}
		out = append(out, object{"anyOf": ways})
	}
	return out
}

// object is the schema of a mapping at l: its names, and those further below
// with dots.
func (l *level) object() object {
	properties, patterns := object{}, object{}
	l.names("", "", properties, patterns)
	out := object{"type": "object", "properties": properties}
	if len(patterns) > 0 {
		out["patternProperties"] = patterns
	}
	if !l.rest {
		out["additionalProperties"] = false
	}
	return out
}

// names adds what stands below l: plain is the dotted name down to l, pattern
// the same as a regular expression; plain is "" once any name may stand in it.
func (l *level) names(plain, pattern string, properties, patterns object) {
	for _, word := range slices.Sorted(maps.Keys(l.under)) {
		next := l.under[word]
		nextPlain, nextPattern := "", ""
		if strings.HasPrefix(word, "<") {
			nextPattern = pattern + `[^.]+`
		} else {
			nextPattern = pattern + quotedPattern(word)
			if pattern == "" || plain != "" {
				nextPlain = plain + word
			}
		}
		if nextPlain != "" {
			properties[nextPlain] = next.schema()
		} else {
			patterns["^"+nextPattern+"$"] = next.schema()
		}
		if next.rest {
			patterns["^"+nextPattern+`\.`] = object{}
		}
		if nextPlain != "" {
			nextPlain += "."
		}
		next.names(nextPlain, nextPattern+`\.`, properties, patterns)
	}
}

func quotedPattern(word string) string { return strings.ReplaceAll(word, ".", `\.`) }

// schema is what may stand behind the name that ends at l.
func (l *level) schema() object {
	var ways []any
	if l.property != nil {
		ways = append(ways, propertySchema(l.property))
	}
	switch {
	case l.part != "":
		ways = append(ways, object{"$ref": "#/$defs/" + string(l.part)})
	case len(l.under) > 0 || l.rest && l.property == nil:
		ways = append(ways, l.object())
	}
	if len(ways) == 1 {
		return ways[0].(object)
	}
	return object{"anyOf": ways, "description": l.property.Meaning}
}

func describe(meaning, note string) string {
	if note == "" {
		return meaning
	}
	return meaning + " " + note
}

// reference is a text whose references tell the value only when it is read.
var reference = object{"type": "string", "pattern": `\$\{`}

func textsSchema(description string) object {
	return object{"description": description, "anyOf": []any{
		object{"type": "string"},
		object{"type": "array", "items": object{"type": []string{"string", "number", "boolean"}}},
	}}
}

// propertySchema is the schema of a property's value.
func propertySchema(p *kinds.Property) object {
	meaning := p.Meaning
	if p.Unit != "" {
		meaning = strings.TrimSuffix(meaning, ".") + " (" + p.Unit + ")."
	}
	out := object{"description": describe(meaning, p.Note)}
	if p.Name == "type" {
		return out // which of them is for the category to say
	}
	switch p.Type {
	case kinds.Int, kinds.Long, kinds.Duration:
		number := object{"type": "integer"}
		if p.Min != 0 || p.Max != 0 {
			number["minimum"], number["maximum"] = p.Min, p.Max
		}
		out["anyOf"] = []any{number, object{"type": "string", "pattern": `^[+-]?[0-9]+$`}, reference}
		if n, err := strconv.ParseInt(p.Default, 10, 64); err == nil {
			out["default"] = n
		}
	case kinds.Bool:
		out["anyOf"] = []any{object{"type": "boolean"}, object{"type": "string", "pattern": `^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$`}, reference}
		if p.Default != "" {
			out["default"] = p.Default == "true"
		}
	case kinds.Enum:
		var values []any
		for _, v := range p.Values {
			for _, s := range []string{v, strings.ToLower(v), strings.ToUpper(v)} {
				if !slices.Contains(values, any(s)) {
					values = append(values, s)
				}
			}
			if v == "null" {
				values = append(values, nil)
			}
		}
		out["anyOf"] = []any{object{"enum": values}, reference}
		text(out, p)
	case kinds.List:
		out = textsSchema(out["description"].(string))
		text(out, p)
	case kinds.Class:
		var values []any
		for _, k := range kinds.All(p.Category) {
			if k.Support != kinds.Missing {
				values = append(values, spellings(k)...)
			}
		}
		out["anyOf"] = []any{object{"enum": values}, reference}
		text(out, p)
	default:
		out["type"] = []string{"string", "number", "boolean", "array"}
		text(out, p)
	}
	if p.Support == kinds.Ignored {
		out["deprecated"] = true
	}
	return out
}

// text notes a default that is a text.
func text(out object, p *kinds.Property) {
	if p.Default != "" {
		out["default"] = p.Default
	}
}
