package sink

import "github.com/sluicehq/sluice/topologies"

// makers lists every sink by the name of its kind in topologies/kinds.
var makers = map[string]func(topologies.Settings, Env) (Sink, error){
	"file_roll": newFileRoll,
	"logger":    newLogger,
	"null":      newNull,
}
