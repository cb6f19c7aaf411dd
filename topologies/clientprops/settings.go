package clientprops

import (
	"slices"

	"github.com/sluicehq/sluice/topologies"
)

// Of are the client settings below prefix ("kafka.producer.") of a component,
// after those of standard, which are the component's own defaults.
func Of(s topologies.Settings, prefix string, standard ...Setting) []Setting {
	out := slices.Clone(standard)
	for _, name := range s.Keys(prefix) {
		v, _ := s.Value(prefix + name)
		out = append(out, Setting{Name: name, Value: v.Text, Pos: v.Pos})
	}
	return out
}
