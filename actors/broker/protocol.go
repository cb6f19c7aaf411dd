package broker

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
)

// Spawn asks for a part to be started under the broker.
// From broker. Answered by Spawned.
type Spawn struct {
	Props *actor.Props
	Name  string
}

// Spawned is the part, or why it could not be started.
type Spawned struct {
	PID *actor.PID
	Err error
}

// spawner starts parts under the broker's actor, from outside of it.
type spawner struct {
	system *actor.ActorSystem
	broker *actor.PID
}

const spawnMax = 30 * time.Second

func (s spawner) ActorSystem() *actor.ActorSystem { return s.system }

func (s spawner) SpawnNamed(props *actor.Props, name string) (*actor.PID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), spawnMax)
	defer cancel()
	answer, err := ask.For[Spawned](ctx, s.system, s.broker, Spawn{props, name})
	if err != nil {
		return nil, err
	}
	return answer.PID, answer.Err
}
