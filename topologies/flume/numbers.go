package flume

import (
	"fmt"
	"math"
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

// numbers drops a component with a number that Java cannot read, in the modes
// that do as Flume does. Otherwise the values are judged together with those of
// other forms of files.
func (b *builder) numbers(c *component, kind *kinds.Kind, values map[string]topologies.Value) bool {
	if !b.o.Lenient {
		return true
	}
	ok := true
	for _, s := range c.order {
		p, known := kind.Property(s.name)
		if !known || p.Lenient || p.Support == kinds.Ignored {
			continue
		}
		if _, there := values[s.name]; !there {
			continue
		}
		switch p.Type {
		case kinds.Int, kinds.Long, kinds.Duration:
			if _, fine := javaNumber(p.Type, s.value()); !fine {
				b.fault(b.a.name, "SL0301", topologies.Warning, s.valueSpan(), fmt.Sprintf("%s: %q is not a whole number", c.title(), s.value()),
					fmt.Sprintf("%s is a number up to %d", s.name, int64(math.MaxInt32)), "drop this "+singular[c.word]+", as sluice does now")
				ok = false
			}
		}
	}
	return ok
}
