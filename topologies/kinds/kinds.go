// Package kinds holds what is known of every kind of component: its names, its
// properties with type, default and meaning, and how far sluice supports it.
// The reader of flume.conf, validate, explain, the JSON schema and the
// components themselves all read these tables, so a default stands in one place.
package kinds

import "strings"

// Category says what a component is.
type Category string

// The categories. Those below Sink are parts of components, chosen by a `type`
// (or `serializer`, `handler`, …) property of their own.
const (
	Source       Category = "source"
	Channel      Category = "channel"
	Sink         Category = "sink"
	Selector     Category = "selector"
	Processor    Category = "processor" // of a sink group
	Interceptor  Category = "interceptor"
	Serializer   Category = "serializer"
	Deserializer Category = "deserializer"
	Handler      Category = "handler" // of the http source
	ConfigFilter Category = "configfilter"
	PathManager  Category = "pathmanager"
	Extractor    Category = "extractor" // a serializer of regex_extractor
)

// Type is how a property's text is read.
type Type string

// The types. Durations are written as plain numbers; Property.Unit says of what.
const (
	String   Type = "string"
	Int      Type = "int"
	Long     Type = "long"
	Bool     Type = "bool" // "true" in any case; everything else is false
	Duration Type = "duration"
	List     Type = "list" // split at white space
	Enum     Type = "enum" // one of Values, in any case
	Path     Type = "path"
	Regex    Type = "regex" // java.util.regex
	Charset  Type = "charset"
	Class    Type = "class" // the name of a kind of Property.Category
)

// Support says what sluice does with a property or a kind.
type Support string

// The grades of support.
const (
	Works   Support = ""        // as in Flume
	Noted   Support = "noted"   // works, with a difference that Note tells
	Ignored Support = "ignored" // read and without effect; Note says why
	Missing Support = "missing" // refused; Note says why and what to use
)

// Property is one setting of a kind.
type Property struct {
	// Name as in Flume, without the component's prefix: "hdfs.batchSize".
	// A part in angle brackets stands for any one name ("filegroups.<g>"),
	// a last part "*" for any rest ("kafka.producer.*").
	Name     string
	Type     Type
	Default  string // as it would stand in the file; "" is none
	Required bool
	Unit     string   // "ms", "s", "bytes", "events", …
	Min, Max int64    // bounds of numbers; both 0: none
	Values   []string // of an Enum
	Category Category // of a Class
	// Lenient is true where a number that cannot be read, or is out of range,
	// means the default, as Flume has it for this property.
	Lenient bool
	// Old are other names, with entries of their own, whose values are taken
	// where this one is not given.
	Old     []string
	Meaning string // one sentence
	Support Support
	Note    string // what differs; also what Flume does where sluice repairs it
}

// PartPrefix is where the properties of the part stand that name, a Class
// property of this entry, chooses: "selector." for "selector.type", "handler."
// for "handler". The part's own table names them without it.
func (p *Property) PartPrefix(name string) string {
	if rest, ok := strings.CutSuffix(name, "type"); ok && strings.HasSuffix(rest, ".") {
		return rest
	}
	return name + "."
}

// Kind is one kind of component.
type Kind struct {
	Category   Category
	Name       string   // the alias, or the last part of the class name where there is none
	Class      string   // Flume's class name
	Aliases    []string // other names that mean the same
	Meaning    string   // one sentence
	Properties []Property
	Support    Support
	Note       string
	// BatchProperty names the property that Flume compares with the channel's
	// transactionCapacity ("" where it does not).
	BatchProperty string
}

// Is says whether typ, as written in a file, names k.
func (k *Kind) Is(typ string) bool {
	if strings.EqualFold(typ, k.Name) || strings.EqualFold(typ, k.Class) {
		return true
	}
	for _, a := range k.Aliases {
		if strings.EqualFold(typ, a) {
			return true
		}
	}
	return false
}

// Lookup finds the kind of category c that typ names.
func Lookup(c Category, typ string) (*Kind, bool) {
	for _, k := range all[c] {
		if k.Is(typ) {
			return k, true
		}
	}
	return nil, false
}

// All lists the kinds of category c in the order of their tables.
func All(c Category) []*Kind { return all[c] }

// Property finds the entry for the property name, which may stand for a family
// ("filegroups.<g>"). An entry of exactly that name comes first.
func (k *Kind) Property(name string) (*Property, bool) {
	for i := range k.Properties {
		if p := &k.Properties[i]; p.Name == name {
			return p, true
		}
	}
	for i := range k.Properties {
		if p := &k.Properties[i]; p.Matches(name) {
			return p, true
		}
	}
	return nil, false
}

// Matches says whether p is the entry of the property called name.
func (p *Property) Matches(name string) bool {
	if p.Name == name {
		return true
	}
	if !strings.ContainsAny(p.Name, "<*") {
		return false
	}
	pattern, parts := strings.Split(p.Name, "."), strings.Split(name, ".")
	for i, want := range pattern {
		if want == "*" && i == len(pattern)-1 {
			return len(parts) > i
		}
		if i >= len(parts) || parts[i] == "" {
			return false
		}
		if !strings.HasPrefix(want, "<") && want != parts[i] {
			return false
		}
	}
	return len(parts) == len(pattern)
}

// Categories lists them all, components first.
func Categories() []Category {
	return []Category{Source, Channel, Sink, Selector, Processor, Interceptor, Serializer, Deserializer, Handler, ConfigFilter, PathManager, Extractor}
}

// all holds the tables of the other files of this package. Where a kind has a
// part (a selector, a serializer), the part's properties are in the part's own
// table, named without the prefix that PartPrefix tells.
var all = map[Category][]*Kind{
	Source:       refused(append(sources, kafkaSource), missingSources),
	Channel:      refused(channels, missingChannels),
	Sink:         refused(append(sinks, kafkaSink), missingSinks),
	Selector:     selectors,
	Processor:    processors,
	Interceptor:  refused(interceptors, missingParts[Interceptor]),
	Serializer:   serializers,
	Deserializer: deserializers,
	Handler:      handlers,
	ConfigFilter: configFilters,
	PathManager:  pathManagers,
	Extractor:    extractors,
}

// refused is works followed by missing, each of which is marked so.
func refused(works, missing []*Kind) []*Kind {
	for _, k := range missing {
		k.Support = Missing
	}
	return append(works[:len(works):len(works)], missing...)
}
