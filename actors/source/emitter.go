package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/actors/ask"
	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// errPoisoned is the answer to a batch on which an interceptor panicked.
var errPoisoned = errors.New("an interceptor panicked")

// windowMax is how many batches of one source may be on their way to the disk.
const windowMax = 32

// emitter is the Out of one run of a source: interceptors, selector, put.
type emitter struct {
	*Spec
	self    *actor.PID
	stored  stored
	names   []string // of the interceptors
	window  chan struct{}
	stopped context.CancelCauseFunc // ends the run
	askers  chan *ask.Asker         // free ones

	emitting sync.Mutex // keeps the batches of Emit in order
	mu       sync.Mutex // one batch at a time through what is below
	chain    []interceptor.Interceptor
	selector selector
	routes   routes
}

// Emit is for sources that can read again: it never gives up.
func (e *emitter) Emit(ctx context.Context, batch *record.Slab, at Checkpoint) error {
	e.emitting.Lock()
	defer e.emitting.Unlock()
	records := batch.Len()
	e.ledger.begin(records)
	e.Counters.EventReceived.Add(int64(records))
	e.Counters.AppendBatchReceived.Add(1)
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		batch.Retain() // for another try
		p, err := e.shape(batch)
		if err == nil {
			batch.Release()
			return e.emit(ctx, p, at)
		}
		e.Counters.GenericProcessingFail.Add(1)
		if !errors.Is(err, errPoisoned) {
			if err = e.pause(ctx, err, pause); err == nil {
				continue
			}
		}
		batch.Release()
		e.ledger.undo(records)
		return err
	}
}

// Times to wait before a batch that was refused is offered again.
const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 5 * time.Second
)

// pause waits because of why, for all to see.
func (e *emitter) pause(ctx context.Context, why error, d time.Duration) error {
	e.Tree.Note(e.self, stateBackoff, why.Error(), d)
	e.Log.Warn("batch waits", "err", why, "retry", d)
	select {
	case <-time.After(d):
		e.Tree.Note(e.self, stateRunning, "", 0)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// emit puts the shares of a plan that their channels do not have yet. Batches
// too large for a channel go in pieces, the checkpoint with the last one.
func (e *emitter) emit(ctx context.Context, p *plan, at Checkpoint) error {
	e.bestEffort(p)
	var rest []share
	for _, s := range p.required {
		if e.stored.has(e.Channels[s.channel].Name(), at) {
			s.batch.Release() // since an earlier run
			continue
		}
		rest = append(rest, s)
	}
	p.required = rest
	copies := copiesOf(p.required)
	e.ledger.route(p.records, p.dropped, copies)
	pieces := e.pieces(p.required)
	for i, piece := range pieces {
		mark := Checkpoint{}
		if i == len(pieces)-1 {
			mark = at
		}
		if err := e.putForEver(ctx, piece, mark); err != nil {
			for _, late := range pieces[i+1:] {
				e.refuse(late)
			}
			return err
		}
	}
	e.Counters.EventAccepted.Add(int64(p.records))
	e.Counters.AppendBatchAccepted.Add(1)
	return nil
}

// putForEver puts shares, whose references it takes over, and tries again
// until they are taken or ctx ends.
func (e *emitter) putForEver(ctx context.Context, shares []share, at Checkpoint) error {
	if err := e.flights.awaitRoom(ctx); err != nil {
		e.refuse(shares)
		return err
	}
	select {
	case e.window <- struct{}{}:
	case <-ctx.Done():
		e.refuse(shares)
		return ctx.Err()
	}
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		for _, s := range shares {
			s.batch.Retain() // the put's own
		}
		err := e.put(ctx, shares, at)
		if err == nil {
			drain(shares)
			return nil
		}
		if ctx.Err() == nil {
			e.Counters.ChannelWriteFail.Add(1)
			err = e.pause(ctx, err, pause)
		} else {
			err = ctx.Err()
		}
		if err != nil {
			<-e.window
			e.refuse(shares)
			return err
		}
	}
}

// refuse gives up shares: whoever sent their records keeps them.
func (e *emitter) refuse(shares []share) {
	e.ledger.refuse(shares)
	drain(shares)
}

// put hands shares to their channels, without waiting for the disk.
func (e *emitter) put(ctx context.Context, shares []share, at Checkpoint) error {
	copies, count := copiesOf(shares), len(shares)
	named := make([]bool, len(e.Channels))
	for i, c := range e.Channels { // one that is further on already does not lag
		named[i] = e.stored.has(c.Name(), at)
	}
	memory, bytes := 0, 0
	list := make([]channel.Share, 0, len(shares))
	for _, s := range shares {
		c := e.Channels[s.channel]
		named[s.channel] = true
		bytes = max(bytes, s.batch.BodyBytes())
		one := channel.Share{To: c, Batch: s.batch}
		key := persistence.KV{}
		if at.Stream != "" {
			key = persistence.KV{Key: persistence.CheckpointKey(e.Agent, e.Name, c.Name(), keyPut+at.Stream), Value: at.encode()}
		}
		if c.Durable() {
			one.Checkpoint = key
		} else {
			memory++
			one.Mark = &channel.Mark{Settled: e.settled, Key: key}
		}
		list = append(list, one)
	}
	seq, tracked := uint64(0), at.Stream != ""
	if tracked {
		seq = e.flights.add(at, named, memory+1, bytes)
	}
	for i := range list {
		if m := list[i].Mark; m != nil {
			if !tracked {
				list[i].Mark = nil
				continue
			}
			m.Seq = seq
		}
	}
	done := func(err error) {
		<-e.window
		if err != nil {
			if tracked {
				e.flights.abort(seq)
			}
			e.ledger.lose(copies, count)
			e.stopped(fmt.Errorf("store a batch: %w", err))
			return
		}
		e.ledger.arrive(copies)
		if tracked {
			e.settled(seq)
		}
	}
	if len(list) == 0 {
		done(nil)
		return nil
	}
	a := e.asker()
	defer e.free(a)
	err := channel.Put(ctx, a, e.Spec.Store, list, 0, done)
	if err != nil && tracked {
		e.flights.abort(seq)
	}
	return err
}

// settled notes that a share of batch seq has reached its end, and tells the
// actor. It counts also while there is no actor to be told.
func (e *emitter) settled(seq uint64) {
	if e.flights.done(seq) {
		e.Tree.System().Root.Send(e.self, settled{})
	}
}

func (e *emitter) asker() *ask.Asker {
	select {
	case a := <-e.askers:
		return a
	default:
		return ask.NewAsker(e.Tree.System())
	}
}

// askersMax is how many askers are kept that nobody uses just now.
const askersMax = 16

func (e *emitter) free(a *ask.Asker) {
	select {
	case e.askers <- a:
	default:
		a.Close()
	}
}

// close ends the askers, all of which are free when the run is over.
func (e *emitter) close() {
	for {
		select {
		case a := <-e.askers:
			a.Close()
		default:
			return
		}
	}
}
