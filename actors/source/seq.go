package source

import (
	"context"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// seqStream is the one stream of a seq source: its position is the next number.
const seqStream = "seq"

// seq counts: the body of each record is the next number, from 0. It goes on
// where it stopped; in Flume it begins at 0 again with every start.
type seq struct {
	next, end uint64
	batch     int
	bounds    bounds
}

func newSeq(settings topologies.Settings, env Env) (Source, error) {
	s := &seq{
		batch: max(1, settings.Int("batchSize")),
		end:   uint64(settings.Int64("totalEvents")),
	}
	if err := settings.Err(); err != nil {
		return nil, err
	}
	if env.Compat {
		return s, nil
	}
	s.next, s.bounds = resume(env.Checkpoints[seqStream])
	if s.next > 0 {
		env.Log.Info("counting goes on where it stopped, where Flume begins at 0 again", "next", s.next)
	}
	return s, nil
}

func (s *seq) Run(ctx context.Context, out Out) error {
	for s.next < s.end {
		to := s.bounds.limit(s.next, min(s.next+uint64(s.batch), s.end))
		batch := record.NewSlab(20 * int(to-s.next))
		batch.SetTime(time.Now().UnixMilli())
		for ; s.next < to; s.next++ {
			start := len(batch.Buffer())
			batch.Advance(len(strconv.AppendUint(batch.Tail(20)[:0], s.next, 10)))
			batch.Mark(start, len(batch.Buffer()))
		}
		if out.Emit(ctx, batch, Checkpoint{Stream: seqStream, Pos: s.next}) != nil {
			return nil
		}
	}
	return nil
}

func (s *seq) Settled(Checkpoint) {}
