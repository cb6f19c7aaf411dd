package sink

import "github.com/sluicehq/sluice/topologies"

// Make makes a sink of a kind, for tests from outside.
func Make(kind string, s topologies.Settings, env Env) (Sink, error) { return makers[kind](s, env) }

// Contain is what a sink defers in its goroutines.
var Contain = (*Env).contain

// Replace lets tests be a sink of kind. It returns what undoes that.
func Replace(kind string, make func(topologies.Settings, Env) (Sink, error)) (undo func()) {
	before := makers[kind]
	makers[kind] = make
	return func() { makers[kind] = before }
}
