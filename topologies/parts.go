package topologies

import (
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// Part is a part of a component that has a kind of its own: a selector, an
// interceptor, a serializer.
type Part struct {
	Property *kinds.Property // that chooses the kind
	Name     string          // of that property: "interceptors.i1.type"
	Prefix   string          // of the part's own properties: "interceptors.i1."
	Type     string          // as written, else the default
	Kind     *kinds.Kind     // nil when Type names none
}

// Parts lists the parts of a component of kind k with these properties. Those
// that stand in a list come in its order; a part of a listed name without type
// and default has neither Type nor Kind.
func Parts(k *kinds.Kind, values map[string]Value) []Part {
	var out []Part
	for i := range k.Properties {
		p := &k.Properties[i]
		if p.Type != kinds.Class {
			continue
		}
		list, rest, ok := strings.Cut(p.Name, ".<")
		if !ok {
			if part := partOf(p, p.Name, values); part.Type != "" {
				out = append(out, part)
			}
			continue
		}
		_, rest, _ = strings.Cut(rest, ">")
		for _, name := range strings.Fields(values[list].Text) {
			out = append(out, partOf(p, list+"."+name+rest, values))
		}
	}
	return out
}

func partOf(p *kinds.Property, name string, values map[string]Value) Part {
	part := Part{Property: p, Name: name, Type: p.Default, Prefix: name + "."}
	if base, ok := strings.CutSuffix(name, ".type"); ok {
		part.Prefix = base + "."
	}
	if v, ok := values[name]; ok {
		part.Type = v.Text
	}
	part.Kind, _ = kinds.Lookup(p.Category, part.Type)
	return part
}

// Below are the values whose names begin with prefix, without it.
func Below(values map[string]Value, prefix string) map[string]Value {
	out := map[string]Value{}
	for name, v := range values {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			out[rest] = v
		}
	}
	return out
}

// Unknown is a property that nothing reads.
type Unknown struct {
	Name string // in full
	Near string // the property that was likely meant; "" is none
	// Default is what is used in place of what was meant.
	Default string
	// Owner is the kind whose table lacks the name: the component's, or that
	// of one of its parts.
	Owner *kinds.Kind
}

// UnknownProperties lists the properties that neither k's table nor that of one
// of its parts has. Parts of an unknown kind may have any.
func UnknownProperties(k *kinds.Kind, values map[string]Value) []Unknown {
	parts := Parts(k, values)
	var out []Unknown
	for _, part := range parts {
		if part.Kind == nil {
			continue
		}
		for _, u := range UnknownProperties(part.Kind, Below(values, part.Prefix)) {
			u.Name = part.Prefix + u.Name
			if u.Near != "" {
				u.Near = part.Prefix + u.Near
			}
			out = append(out, u)
		}
	}
	for name := range values {
		if !belongs(k, parts, name) {
			out = append(out, unknown(k, parts, name))
		}
	}
	return out
}

// belongs says whether name is a property of k, or is one that a part judges.
func belongs(k *kinds.Kind, parts []Part, name string) bool {
	for _, part := range parts {
		if name == part.Name || strings.HasPrefix(name, part.Prefix) {
			return true
		}
	}
	p, ok := k.Property(name)
	// The type of a part that is not listed is read by nobody.
	return ok && !(p.Type == kinds.Class && strings.Contains(p.Name, "<"))
}

// unknown finds what name was meant to be.
func unknown(k *kinds.Kind, parts []Part, name string) Unknown {
	var names []string
	byName := map[string]*kinds.Property{}
	add := func(prefix string, of *kinds.Kind) {
		for i := range of.Properties {
			p := &of.Properties[i]
			if full, ok := likeName(prefix+p.Name, name); ok && byName[full] == nil {
				byName[full] = p
				names = append(names, full)
			}
		}
	}
	add("", k)
	for _, part := range parts {
		if part.Kind != nil {
			add(part.Prefix, part.Kind)
		}
	}
	u := Unknown{Name: name, Owner: k}
	if near, ok := Nearest(name, names); ok {
		u.Near, u.Default = near, byName[near].Default
	}
	return u
}

// likeName is pattern with the parts in angle brackets taken from name. It is
// false for a pattern that stands for any rest, and where name is too short.
func likeName(pattern, name string) (string, bool) {
	if !strings.ContainsAny(pattern, "<*") {
		return pattern, true
	}
	want, have := strings.Split(pattern, "."), strings.Split(name, ".")
	for i, part := range want {
		if part == "*" || i >= len(have) {
			return "", false
		}
		if strings.HasPrefix(part, "<") {
			want[i] = have[i]
		}
	}
	return strings.Join(want, "."), true
}
