package sink

import (
	"context"
	"log/slog"

	"github.com/sluicehq/sluice/topologies"
)

// null takes everything and keeps nothing.
type null struct {
	log      *slog.Logger
	logEvery int64 // events
	taken    int64
}

func newNull(s topologies.Settings, env Env) (Sink, error) {
	n := &null{log: env.Log, logEvery: s.Int64("logEveryNEvents")}
	if n.logEvery < 1 {
		s.Fail("logEveryNEvents", "it must be at least 1")
	}
	return n, s.Err()
}

// Deliver counts the batch, and says so when it passes a multiple of
// logEveryNEvents.
func (n *null) Deliver(ctx context.Context, batch *Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before := n.taken
	n.taken += int64(batch.Len())
	if passed := n.taken - n.taken%n.logEvery; passed > before {
		n.log.Info("null sink took events", "events", passed)
	}
	return nil
}

func (n *null) Close() error { return nil }
