package sink

import (
	"fmt"

	"github.com/sluicehq/sluice/topologies"
)

// makers lists every sink by the name of its kind in topologies/kinds.
var makers = map[string]func(topologies.Settings, Env) (Sink, error){
	"file_roll": newFileRoll,
	"hdfs":      newHDFS,
	"kafka":     newKafka,
	"logger":    newLogger,
	"null":      newNull,
}

// New makes the sink whose kind the settings are of.
func New(settings topologies.Settings, env Env) (Sink, error) {
	kind := settings.Kind()
	if kind == nil || makers[kind.Name] == nil {
		return nil, fmt.Errorf("%s: no sink of this kind", settings.Name())
	}
	return makers[kind.Name](settings, env)
}
