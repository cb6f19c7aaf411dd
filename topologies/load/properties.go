package load

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// flat gathers the properties of a component under their dotted names.
type flat struct {
	who    string
	values map[string]topologies.Value
	lists  map[string][]string // the items of those written as a list
}

// properties are those of the mapping n under their dotted names. kind finds
// the component's kind in them.
func (r *yamlReader) properties(who string, n *yaml.Node, kind func(map[string]topologies.Value) *kinds.Kind) map[string]topologies.Value {
	f := &flat{who: who, values: map[string]topologies.Value{}, lists: map[string][]string{}}
	r.fields(n, 5, who, func(key, value *yaml.Node) { r.flatten(f, key.Value, key, value, 5) })
	k := kind(f.values)
	for name, items := range f.lists {
		if p := propertyOf(k, f.values, name); p != nil && p.Type != kinds.List {
			v := f.values[name]
			v.Text = strings.Join(items, ",")
			f.values[name] = v
		}
	}
	return f.values
}

// propertyOf is the entry for name in k's table or that of the part that name
// belongs to.
func propertyOf(k *kinds.Kind, values map[string]topologies.Value, name string) *kinds.Property {
	if k == nil {
		return nil
	}
	if p, ok := k.Property(name); ok {
		return p
	}
	for _, part := range topologies.Parts(k, values) {
		if rest, ok := strings.CutPrefix(name, part.Prefix); ok && part.Kind != nil {
			return propertyOf(part.Kind, part.Values, rest)
		}
	}
	return nil
}

// flatten puts the value of name, and all below it, into f.
func (r *yamlReader) flatten(f *flat, name string, key, n *yaml.Node, depth int) {
	if depth > depthMax {
		r.fault("SL0152", key, "%s is more than %d levels deep", f.who, depthMax)
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		var names []string
		r.fields(n, depth+1, f.who+" "+name, func(inner, value *yaml.Node) {
			names = append(names, inner.Value)
			r.flatten(f, name+"."+inner.Value, inner, value, depth+1)
		})
		if listing[name[strings.LastIndexByte(name, '.')+1:]] {
			r.set(f, name, key, topologies.Value{Text: strings.Join(names, " "), Pos: r.pos(key), Key: r.pos(key)})
		}
	case yaml.SequenceNode:
		r.list(f, name, key, n)
	default:
		if n.Value == "" || n.Tag == "!!null" && !(n.Value == "null" && key.Value == "type") { // the null sink
			r.fault("SL0108", key, "%s: %s has no value", f.who, name).Hint = "remove it, or give it a value"
			return
		}
		r.set(f, name, key, r.text(key, n))
	}
}

// listing are the lists of names whose members have properties below the list:
// in YAML the members can stand there without the list being written.
var listing = listings()

func listings() map[string]bool {
	out := map[string]bool{}
	for _, c := range kinds.Categories() {
		for _, k := range kinds.All(c) {
			for _, p := range k.Properties {
				list, _, ok := strings.Cut(p.Name, ".<")
				if own, known := k.Property(list); ok && known && own.Type == kinds.List {
					out[list] = true
				}
			}
		}
	}
	return out
}

// list reads a YAML list of names. It becomes a text with blanks between, or
// with commas where the property is no list of names.
func (r *yamlReader) list(f *flat, name string, key, n *yaml.Node) {
	value := topologies.Value{Pos: r.pos(n), Key: r.pos(key)}
	var items []string
	for _, item := range n.Content {
		item = r.target(item)
		if r.values++; r.values > valuesMax || item.Kind != yaml.ScalarNode || item.Tag == "!!null" || strings.TrimSpace(item.Value) == "" {
			r.fault("SL0150", item, "%s: %s should be a list of texts", f.who, name)
			return
		}
		v := r.text(key, item)
		if strings.ContainsAny(v.Text, " \t\r\n,") {
			r.fault("SL0150", item, "%s: an item of %s cannot hold blanks or commas", f.who, name)
			return
		}
		value.Secret = value.Secret || v.Secret
		items = append(items, v.Text)
	}
	value.Text = strings.Join(items, " ")
	value.Pos.Column = 0 // its text is not one piece of the file
	f.lists[name] = items
	r.set(f, name, key, value)
}

func (r *yamlReader) set(f *flat, name string, key *yaml.Node, value topologies.Value) {
	if first, ok := f.values[name]; ok {
		r.fault("SL0105", key, "%s: %s is set twice", f.who, name).Related = []topologies.Related{{Pos: first.Key, Text: "first here"}}
		return
	}
	f.values[name] = value
}

// text is a scalar with its references replaced.
func (r *yamlReader) text(key, n *yaml.Node) topologies.Value {
	value := topologies.Value{Text: n.Value, Pos: r.pos(n), Key: r.pos(key)}
	if !strings.Contains(n.Value, "${") {
		return value
	}
	text, secret, err := r.resolve(n.Value)
	if err != nil {
		r.fault("SL0151", n, "%s: %v", key.Value, err)
	}
	value.Text, value.Secret = text, secret
	value.Pos.Column = 0
	return value
}

// secretMax bounds what ${file:…} brings in.
const secretMax = 64 << 10

// resolve replaces ${env:NAME}, ${env:NAME:-default}, ${sys:key} and
// ${file:PATH}; $${ is a plain ${. What is put in is not looked at again. It also
// says whether the text may be a secret, which everything from outside is.
func (r *yamlReader) resolve(text string) (string, bool, error) {
	var b strings.Builder
	secret := false
	var failed error
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), secret, failed
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			b.WriteString(text)
			return b.String(), secret, errors.New("a reference ${ is not closed; write $${ for a plain ${")
		}
		b.WriteString(text[:i])
		got, err := r.reference(text[i+2 : i+end])
		if err != nil && failed == nil {
			failed = err
		}
		if b.WriteString(got); b.Len() > yamlMax {
			return "", true, errors.New("the references bring in more than 1 MiB")
		}
		secret = true
		text = text[i+end+1:]
	}
}

func (r *yamlReader) reference(ref string) (string, error) {
	kind, name, ok := strings.Cut(ref, ":")
	if !ok {
		return "", fmt.Errorf("${%s} is no reference; there are ${env:NAME}, ${sys:key} and ${file:/path}, and $${ is a plain ${", ref)
	}
	if kind == "file" {
		return r.fileReference(name)
	}
	name, fallback, hasFallback := strings.Cut(name, ":-")
	var from map[string]string
	switch kind {
	case "env":
		from = r.o.Env
	case "sys":
		from = r.o.Sys
	default:
		return "", fmt.Errorf("${%s:…} is not known; there are ${env:NAME}, ${sys:key} and ${file:/path}", kind)
	}
	switch value, set := from[name]; {
	case set:
		return value, nil
	case hasFallback:
		return fallback, nil
	case kind == "env":
		return "", fmt.Errorf("the environment has no variable %s; set it, or write ${env:%s:-default}", name, name)
	}
	return "", fmt.Errorf("there is no -D%s=…; set it, or write ${sys:%s:-default}", name, name)
}

func (r *yamlReader) fileReference(path string) (string, error) {
	read := r.o.File
	if read == nil {
		read = func(path string) ([]byte, error) { return readFile(path, secretMax) }
	}
	text, err := read(path)
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return "", fmt.Errorf("${file:%s}: %w", path, err)
	}
	if len(text) > secretMax {
		return "", fmt.Errorf("${file:%s} is larger than %d KiB", path, secretMax>>10)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
