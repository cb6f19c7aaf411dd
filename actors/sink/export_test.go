package sink

import "github.com/sluicehq/sluice/topologies"

// Make makes a sink of a kind, for tests from outside.
func Make(kind string, s topologies.Settings, env Env) (Sink, error) { return makers[kind](s, env) }
