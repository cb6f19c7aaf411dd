package topologies

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// Pos is a place in a file. Line and Column count from 1; 0 is unknown.
// Column counts bytes.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String is "file:line:column", as far as it is known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Value is the text of one property and the place it came from.
type Value struct {
	Text string
	Pos  Pos // of the value; Column 0 where it was substituted
	Key  Pos // of the key
	// Secret is true for what came out of a file: no message may show it.
	Secret bool
}

// Shown is the text as a message may show it.
func (v Value) Shown() string {
	if v.Secret {
		return "***"
	}
	return v.Text
}

// Settings are the properties of one component, with the defaults of its kind.
// The getters read a property's text as the type wanted and fall back to the
// default in the kind's table. A text that cannot be read is kept for Err, so
// that a constructor reads all it needs and checks once at the end.
type Settings struct {
	kind   *kinds.Kind
	name   string // "source r1", for errors
	values map[string]Value
	prefix string // of Sub
	err    *error
}

// NewSettings are values of a component called name ("source a1.r1") of kind.
// kind may be nil: then there are no defaults.
func NewSettings(kind *kinds.Kind, name string, values map[string]Value) Settings {
	return Settings{kind: kind, name: name, values: values, err: new(error)}
}

// SettingsOf is NewSettings for tests and for code that has no file: texts
// without places, of the kind that typ names.
func SettingsOf(c kinds.Category, typ string, texts map[string]string) Settings {
	kind, _ := kinds.Lookup(c, typ)
	values := map[string]Value{}
	for k, v := range texts {
		values[k] = Value{Text: v}
	}
	return NewSettings(kind, string(c)+" "+typ, values)
}

// Kind is the kind the settings belong to; nil when unknown.
func (s Settings) Kind() *kinds.Kind { return s.kind }

// Name says whose settings these are, for messages: "source a1.r1".
func (s Settings) Name() string { return s.name }

// Err is the first text that could not be read, as an error with its place.
func (s Settings) Err() error { return *s.err }

// Has says whether the property stands in the file.
func (s Settings) Has(name string) bool { _, ok := s.values[s.prefix+name]; return ok }

// Value is the property as it stands in the file.
func (s Settings) Value(name string) (Value, bool) {
	v, ok := s.values[s.prefix+name]
	return v, ok
}

// Values are all properties as they stand in the file, by name. The map is a
// copy.
func (s Settings) Values() map[string]Value {
	values := map[string]Value{}
	for k, v := range s.values {
		if rest, ok := strings.CutPrefix(k, s.prefix); ok {
			values[rest] = v
		}
	}
	return values
}

// String is the property's text, or that of an old name of it, or its default.
func (s Settings) String(name string) string {
	if v, ok := s.values[s.prefix+name]; ok {
		return v.Text
	}
	p := s.property(name)
	if p == nil {
		return ""
	}
	for _, old := range p.Old {
		if v, ok := s.values[s.prefix+old]; ok {
			return v.Text
		}
	}
	return p.Default
}

// Bool is true for "true" in any case, as in Flume.
func (s Settings) Bool(name string) bool {
	return strings.EqualFold(strings.TrimSpace(s.String(name)), "true")
}

// Int is the property as a number.
func (s Settings) Int(name string) int { return int(s.Int64(name)) }

// Int64 is the property as a number; 0 and an error in Err when it is none.
func (s Settings) Int64(name string) int64 {
	text := strings.TrimSpace(s.String(name))
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	p := s.property(name)
	why := ""
	switch {
	case err != nil:
		n, why = 0, fmt.Sprintf("%q is not a whole number", s.shown(name, text))
	case p != nil && (p.Min != 0 || p.Max != 0) && (n < p.Min || n > p.Max):
		why = fmt.Sprintf("%d is out of range: %d to %d", n, p.Min, p.Max)
	}
	if why != "" && p != nil && p.Lenient {
		n, _ = strconv.ParseInt(p.Default, 10, 64) // as Flume does
		return n
	}
	if why != "" {
		s.fail(name, why)
	}
	return n
}

// shown is text as a message may show it.
func (s Settings) shown(name, text string) string {
	if s.values[s.prefix+name].Secret {
		return "***"
	}
	return text
}

// property is the entry of the kind's table for name, or nil.
func (s Settings) property(name string) *kinds.Property {
	if s.kind == nil {
		return nil
	}
	p, _ := s.kind.Property(s.prefix + name)
	return p
}

// Float is the property as a decimal number.
func (s Settings) Float(name string) float64 {
	text := strings.TrimSpace(s.String(name))
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.fail(name, fmt.Sprintf("%q is not a number", s.shown(name, text)))
	}
	return f
}

// Duration is the property as a time, in the unit of its table (ms unless the
// table says s).
func (s Settings) Duration(name string) time.Duration {
	unit := time.Millisecond
	if p := s.property(name); p != nil && p.Unit == "s" {
		unit = time.Second
	}
	n := s.Int64(name)
	if n > int64(math.MaxInt64/unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}

// Path is the property with "~/" at its beginning replaced by the user's home
// directory.
func (s Settings) Path(name string) string {
	text := strings.TrimSpace(s.String(name))
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return text
}

// List is the property split at white space.
func (s Settings) List(name string) []string { return strings.Fields(s.String(name)) }

// Sub are the settings below prefix, for a part of kind ("serializer." of a
// sink, "interceptors.i1." of a source). A nil kind means no defaults.
func (s Settings) Sub(prefix string, kind *kinds.Kind) Settings {
	values := map[string]Value{}
	for k, v := range s.values {
		if rest, ok := strings.CutPrefix(k, s.prefix+prefix); ok {
			values[rest] = v
		}
	}
	return Settings{kind: kind, name: s.name + " " + strings.TrimSuffix(prefix, "."), values: values, err: s.err}
}

// Keys are the names of all properties in the file that begin with prefix,
// without it, sorted.
func (s Settings) Keys(prefix string) []string {
	var keys []string
	for k := range s.values {
		if rest, ok := strings.CutPrefix(k, s.prefix+prefix); ok {
			keys = append(keys, rest)
		}
	}
	slices.Sort(keys)
	return keys
}

// Fail notes that a property cannot be used, for Err.
func (s Settings) Fail(name, why string) { s.fail(name, why) }

func (s Settings) fail(name, why string) {
	if *s.err != nil {
		return
	}
	place := ""
	if v, ok := s.values[s.prefix+name]; ok && v.Pos.Line != 0 {
		place = v.Pos.String() + ": "
	}
	*s.err = fmt.Errorf("%s%s: %s: %s", place, s.name, s.prefix+name, why)
}
