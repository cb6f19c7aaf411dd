package flume

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// number is a property of c as Flume reads it. It is false when there is no
// such property, or no number in it.
func number(c topologies.Component, name string) (int64, bool) {
	p, ok := c.Kind.Property(name)
	if name == "" || !ok {
		return 0, false
	}
	if v, there := c.Settings.Value(name); there {
		if n, ok := javaNumber(p.Type, v.Text); ok || !p.Lenient {
			return n, ok
		}
	}
	return javaNumber(p.Type, p.Default)
}

// javaNumber reads an int or a long as Java does: digits with a sign, and
// nothing else.
func javaNumber(t kinds.Type, s string) (int64, bool) {
	bits := 64
	if t == kinds.Int {
		bits = 32
	}
	if strings.Contains(s, "_") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, bits)
	return n, err == nil
}

// refusedByFlume are the codes of values for which a component's configure fails
// in Flume, so that the component is dropped.
var refusedByFlume = []string{"SL0301", "SL0302", "SL0303", "SL0305", "SL0306", "SL0307"}

// values drops a component with a value that it cannot have, in the modes that
// do as Flume does. Otherwise values are judged together with those of other
// forms of files.
func (b *builder) values(c *component, category kinds.Category, built *topologies.Component) bool {
	if !b.o.Lenient {
		return true
	}
	ok := true
	for _, f := range topologies.ValidateComponent(category, built) {
		if f.Severity == topologies.Error && slices.Contains(refusedByFlume, f.Code) {
			b.fault(b.a.name, f.Code, topologies.Warning, span{f.Pos, f.End}, f.Message, f.Hint, "drop this "+singular[c.word]+", as sluice does now")
			ok = false
		}
	}
	return ok
}
