package source

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// stress makes records of one size as fast as they are taken.
type stress struct {
	size, batch int
	total       int64
	rate        int // records a second; 0 is no limit
}

func newStress(settings topologies.Settings, _ Env) (Source, error) {
	s := &stress{
		size:  settings.Int("size"),
		batch: max(1, settings.Int("batchSize")),
		rate:  settings.Int("maxEventsPerSecond"),
	}
	// What Emit has taken reaches the channels, so every event counts as
	// successful and the lower of the two limits holds.
	s.total = min(endless(settings.Int64("maxTotalEvents")), endless(settings.Int64("maxSuccessfulEvents")))
	if s.size < 0 {
		settings.Fail("size", "a body cannot be shorter than 0 bytes")
	}
	return s, settings.Err()
}

func endless(n int64) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

func (s *stress) Run(ctx context.Context, out Out) error {
	body := bytes.Repeat([]byte{0x7f}, s.size)
	begin := time.Now()
	for sent := int64(0); sent < s.total; {
		n := min(int64(s.batch), s.total-sent)
		if !s.pace(ctx, begin, sent) {
			return nil
		}
		batch := record.NewSlab(s.size)
		batch.SetTime(time.Now().UnixMilli())
		batch.Append(body)
		for range n - 1 { // the records share the one body
			batch.Mark(0, s.size)
		}
		if out.Emit(ctx, batch, Checkpoint{}) != nil {
			return nil
		}
		sent += n
	}
	return nil
}

// pace waits until the next records are due after sent ones.
func (s *stress) pace(ctx context.Context, begin time.Time, sent int64) bool {
	if s.rate <= 0 {
		return ctx.Err() == nil
	}
	due := begin.Add(time.Duration(float64(sent) / float64(s.rate) * float64(time.Second)))
	return sleep(ctx, time.Until(due))
}

func (s *stress) Settled(Checkpoint) {}

// sleep waits for d and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
