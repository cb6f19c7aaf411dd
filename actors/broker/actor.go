package broker

import "github.com/asynkron/protoactor-go/actor"

// Actor is the supervisor of a node's controller, partitions and coordinators.
// It does nothing else: the Broker tells it what to spawn.
type Actor struct {
	lives *int
	again func() // its parts died with it
}

// Receive is the table of contents of the actor.
func (a *Actor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if *a.lives++; *a.lives > 1 {
			a.again()
		}
	case Spawn:
		pid, err := ctx.SpawnNamed(m.Props, m.Name)
		ctx.Respond(Spawned{pid, err})
	}
}
