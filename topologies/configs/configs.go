// Package configs holds the tables of Kafka's configs, by Kafka's own names:
// those of topics, brokers and consumer groups. What describes a config, what
// checks a value and what acts on it all read the same line.
package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a config's value.
type Type string

// The types, as Kafka has them.
const (
	Boolean Type = "boolean"
	String  Type = "string"
	Int     Type = "int"
	Short   Type = "short"
	Long    Type = "long"
	Double  Type = "double"
	List    Type = "list" // texts with commas between them
)

// Config is one line of a table.
type Config struct {
	Name    string
	Type    Type
	Default string
	Doc     string
	// Values are the only ones allowed, for strings and lists.
	Values []string
	// Min and Max bound a number; both 0 is the bounds of the type.
	Min, Max float64
	// Empty says that a list may have no members.
	Empty bool
	// ReadOnly configs are shown and cannot be changed while the node runs.
	ReadOnly bool
	// Sensitive values are never shown.
	Sensitive bool
	// Synonyms are the configs of brokers that say what holds for a topic which
	// does not, the strongest first.
	Synonyms []Synonym
	// Only is the one value that can be had here, and Why the reason: the config
	// is known so that tools which always name it work on.
	Only, Why string
	// Form is what a value must look like, and what to say where it does not.
	Form *Form
	// Passive configs are kept and shown, and change nothing here. Doc says why.
	Passive bool
}

// Form is what a value that is no member of a list looks like.
type Form struct {
	Fits func(value string) bool
	Want string
}

// Synonym is a config of brokers that means the same as one of topics, in
// another unit perhaps.
type Synonym struct {
	Name string
	// Times turns a value of it into one of the topic's config; 0 is 1.
	Times int64
}

// Value is the topic's value that text means in the synonym's unit.
func (s Synonym) Value(text string) string {
	if s.Times <= 1 {
		return text
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	switch {
	case err != nil || n < 0:
		return text
	case n > math.MaxInt64/s.Times:
		return strconv.FormatInt(math.MaxInt64, 10)
	}
	return strconv.FormatInt(n*s.Times, 10)
}

// Table is the configs of one kind of resource, in the order of their names.
type Table []Config

// Find is the line of name.
func (t Table) Find(name string) (*Config, bool) {
	at, ok := slices.BinarySearchFunc(t, name, func(c Config, n string) int { return strings.Compare(c.Name, n) })
	if !ok {
		return nil, false
	}
	return &t[at], true
}

// Names are the names of all configs in the table.
func (t Table) Names() []string {
	names := make([]string, len(t))
	for i := range t {
		names[i] = t[i].Name
	}
	return names
}

// Default is the default of name; "" for a name that is not in the table.
func (t Table) Default(name string) string {
	if c, ok := t.Find(name); ok {
		return c.Default
	}
	return ""
}

// Check says why value cannot be set for name, or nil.
func (t Table) Check(name, value string) error {
	c, ok := t.Find(name)
	if !ok {
		return fmt.Errorf("unknown config %q%s", name, t.perhaps(name))
	}
	return c.Check(value)
}

// CheckAll says why the values cannot be set together, or nil. The first fault
// by name is the one that is told.
func (t Table) CheckAll(values map[string]string) error {
	for _, name := range sortedNames(values) {
		if err := t.Check(name, values[name]); err != nil {
			return err
		}
	}
	return t.fit(values)
}

// fit checks values against each other.
func (t Table) fit(values map[string]string) error {
	for _, pair := range fitting {
		low, ok := t.Find(pair.low)
		high, too := t.Find(pair.high)
		if !ok || !too {
			continue
		}
		_, lowGiven := values[pair.low]
		_, highGiven := values[pair.high]
		if a, b := number(values, low), number(values, high); (lowGiven || highGiven) && a > b {
			return fmt.Errorf("%s %s is above %s %s", pair.low, text(values, low), pair.high, text(values, high))
		}
	}
	return nil
}

// fitting are configs of which one must not be above the other.
var fitting = []struct{ low, high string }{
	{"min.compaction.lag.ms", "max.compaction.lag.ms"},
	{"consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"},
	{"share.heartbeat.interval.ms", "share.session.timeout.ms"},
}

func text(values map[string]string, c *Config) string {
	if v, ok := values[c.Name]; ok {
		return v
	}
	return c.Default
}

func number(values map[string]string, c *Config) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(text(values, c)), 10, 64) // was checked
	return n
}

func sortedNames(values map[string]string) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check says why value cannot be set, or nil.
func (c *Config) Check(value string) error {
	if c.Sensitive && len(value) > 0 {
		return c.check(value, "***")
	}
	return c.check(value, value)
}

func (c *Config) check(value, shown string) error {
	if c.Only != "" {
		if strings.TrimSpace(value) != c.Only {
			return fmt.Errorf("%s cannot be %q here: %s", c.Name, shown, c.Why)
		}
		return nil
	}
	switch c.Type {
	case Boolean:
		if v := strings.TrimSpace(value); !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return fmt.Errorf("%s is true or false, not %q", c.Name, shown)
		}
	case Int, Short, Long:
		return c.checkWhole(value, shown)
	case Double:
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || math.IsNaN(n) || n < c.Min || n > c.Max {
			return fmt.Errorf("%s is a number from %v to %v, not %q", c.Name, c.Min, c.Max, shown)
		}
	case List:
		return c.checkList(value, shown)
	case String:
		if c.Form != nil && !c.Form.Fits(value) {
			return fmt.Errorf("%s is %s, not %q", c.Name, c.Form.Want, shown)
		}
		if len(c.Values) > 0 && !slices.Contains(c.Values, value) {
			return fmt.Errorf("%s is one of %s, not %q", c.Name, strings.Join(c.Values, ", "), shown)
		}
	}
	return nil
}

func (c *Config) checkWhole(value, shown string) error {
	bits := map[Type]int{Short: 16, Int: 32, Long: 64}[c.Type]
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, bits)
	if err != nil {
		return fmt.Errorf("%s is a whole number of %d bits, not %q", c.Name, bits, shown)
	}
	if c.Min == 0 && c.Max == 0 {
		return nil
	}
	if float64(n) < c.Min {
		return fmt.Errorf("%s is at least %d, not %s", c.Name, int64(c.Min), shown)
	}
	if c.Max > 0 && float64(n) > c.Max {
		return fmt.Errorf("%s is at most %d, not %s", c.Name, int64(c.Max), shown)
	}
	return nil
}

func (c *Config) checkList(value, shown string) error {
	members := Members(value)
	if len(members) == 0 && !c.Empty {
		return fmt.Errorf("%s has at least one of %s", c.Name, strings.Join(c.Values, ", "))
	}
	for i, m := range members {
		if len(c.Values) > 0 && !slices.Contains(c.Values, m) {
			return fmt.Errorf("%s is a list of %s; %q is none of them (%q)", c.Name, strings.Join(c.Values, ", "), m, shown)
		}
		if slices.Contains(members[:i], m) {
			return fmt.Errorf("%s has %q twice", c.Name, m)
		}
	}
	return nil
}

// Members are the members of a list's value.
func Members(value string) []string {
	var list []string
	for m := range strings.SplitSeq(value, ",") {
		if m = strings.TrimSpace(m); m != "" {
			list = append(list, m)
		}
	}
	return list
}

// perhaps is a hint at a name like the one that is not in the table.
func (t Table) perhaps(name string) string {
	best, least := "", len(name)/3+1
	for i := range t {
		if d := distance(name, t[i].Name); d < least {
			best, least = t[i].Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be changed, added or left out to get
// from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			here := row[j+1]
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, here, row[j])
			}
			row[j+1], before = cost, here
		}
	}
	return row[len(b)]
}
