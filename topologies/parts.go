package topologies

import (
	"slices"
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
	// Values are the part's own properties, without Prefix.
	Values map[string]Value
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
		for _, name := range listed(values, list) {
			out = append(out, partOf(p, list+"."+name+rest, values))
		}
	}
	share(out, values)
	return out
}

// listed are the names in a list, each once.
func listed(values map[string]Value, list string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(strings.Fields(values[list].Text), func(name string) bool {
		was := seen[name]
		seen[name] = true
		return was
	})
}

func partOf(p *kinds.Property, name string, values map[string]Value) Part {
	part := Part{Property: p, Name: name, Type: p.Default, Prefix: name + ".", Values: map[string]Value{}}
	if base, ok := strings.CutSuffix(name, ".type"); ok {
		part.Prefix = base + "."
	}
	if v, ok := values[name]; ok {
		part.Type = v.Text
	}
	part.Kind, _ = kinds.Lookup(p.Category, part.Type)
	return part
}

// share gives each part the values whose names begin with its prefix.
func share(parts []Part, values map[string]Value) {
	byPrefix := map[string]*Part{}
	for i := range parts {
		byPrefix[parts[i].Prefix] = &parts[i]
	}
	for name, v := range values {
		if part := owner(byPrefix, name); part != nil {
			part.Values[name[len(part.Prefix):]] = v
		}
	}
}

// owner is the part with the longest prefix that name begins with.
func owner(byPrefix map[string]*Part, name string) *Part {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if part := byPrefix[name[:i+1]]; part != nil {
				return part
			}
		}
	}
	return nil
}

// Unknown is a property that nothing reads.
type Unknown struct {
	Name string // in full
	Near string // the property that was likely meant; "" is none
	// List is the property that would have to name the part that Name belongs
	// to, "" where that is not what is wrong.
	List string
	// Default is what is used in place of what was meant.
	Default string
}

// UnknownProperties lists, sorted, the properties that neither k's table nor
// that of one of its parts has. Parts of an unknown kind may have any.
func UnknownProperties(k *kinds.Kind, values map[string]Value) []Unknown {
	parts := Parts(k, values)
	byPrefix, names := map[string]*Part{}, map[string]bool{}
	var out []Unknown
	for i := range parts {
		part := &parts[i]
		byPrefix[part.Prefix], names[part.Name] = part, true
		if part.Kind == nil {
			continue
		}
		for _, u := range UnknownProperties(part.Kind, part.Values) {
			u.Name = part.Prefix + u.Name
			if u.Near != "" {
				u.Near = part.Prefix + u.Near
			}
			if u.List != "" {
				u.List = part.Prefix + u.List
			}
			out = append(out, u)
		}
	}
	for name := range values {
		if names[name] || owner(byPrefix, name) != nil {
			continue
		}
		if list := unlistedPart(k, name); list != "" {
			out = append(out, Unknown{Name: name, List: list})
		} else if _, ok := k.Property(name); !ok {
			out = append(out, unknown(k, parts, name))
		}
	}
	slices.SortFunc(out, func(a, b Unknown) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// unlistedPart is the list that would have to hold the part which name belongs
// to, as no part of that name is listed; "" where name belongs to none.
func unlistedPart(k *kinds.Kind, name string) string {
	for _, p := range k.Properties {
		list, _, ok := strings.Cut(p.Name, ".<")
		if ok && p.Type == kinds.Class && strings.HasPrefix(name, list+".") {
			return list
		}
	}
	return ""
}

// nearMax bounds the parts whose properties are compared with an unknown one.
const nearMax = 8

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
	for _, part := range parts[:min(len(parts), nearMax)] {
		if part.Kind != nil {
			add(part.Prefix, part.Kind)
		}
	}
	u := Unknown{Name: name}
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
