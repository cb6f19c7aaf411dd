// Package agent is what a node runs of an agent: an actor that supervises its
// channels, sinks and sources, and the Agent that builds them from a topology
// and changes them to another one.
package agent

import (
	"github.com/asynkron/protoactor-go/actor"
)

// Actor is the supervisor of an agent's parts. It does nothing else: the Agent
// tells it what to spawn.
type Actor struct {
	lives   *int
	rebuild func() // its parts died with it
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if *a.lives++; *a.lives > 1 {
			a.rebuild()
		}
	case Spawn:
		pid, err := ctx.SpawnNamed(m.Props, m.Name)
		ctx.Respond(Spawned{pid, err})
	}
}
