package source

import "github.com/sluicehq/sluice/topologies"

// makers lists every source by the name of its kind in topologies/kinds.
var makers = map[string]func(topologies.Settings, Env) (Source, error){}
