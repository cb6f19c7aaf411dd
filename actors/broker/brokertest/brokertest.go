// Package brokertest starts a broker for tests of what stands in front of it.
package brokertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/supervise"
	"github.com/sluicehq/sluice/persistence"
)

// startMax is how long the start may take on a machine that is busy.
const startMax = time.Minute

// Start runs a broker over a store of its own until the test ends. What the
// test has put before it must be closed before that, by a Cleanup that is
// registered later.
func Start(t testing.TB) *broker.Broker {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := persistence.Open(t.TempDir(), persistence.Options{
		Log: quiet, MinFree: 1 << 20, Fatal: func(err error) { t.Errorf("the store stopped: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	ctx, cancel := context.WithTimeout(context.Background(), startMax)
	defer cancel()
	b, err := broker.Start(ctx, broker.Env{Store: store, Tree: supervise.NewTree(system, quiet), Log: quiet, Settings: broker.Settings{
		Node: 1, Settings: controller.Settings{NumPartitions: 4, Factor: 1}, OffsetsPartitions: 2, TransactionsPartitions: 2,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		system.Shutdown()
		store.Close()
	})
	return b
}
