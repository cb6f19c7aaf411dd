package sink

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/persistence/record"
)

// outlet is one sink of the run with what it has delivered.
type outlet struct {
	*Member
	d       *drain
	sink    Sink
	taker   *channel.Taker
	every   time.Duration // between two commits
	exact   bool          // see before
	life    uint64        // of the channel, as of the last lease
	pending uncommitted
	letters [][]byte // of the batch being delivered: lines for the dead letters

	commits chan uncommitted
	done    sync.WaitGroup // the committing goroutine
	flying  context.Context
	ground  context.CancelFunc // ends the wait for answers
	last    chan struct{}      // closed when everything begun is answered; of the committing goroutine
	out     atomic.Int64       // commits not answered
	err     atomic.Pointer[error]
}

// uncommitted are leases that are delivered and not settled.
type uncommitted struct {
	life    uint64
	epoch   uint64
	leases  []uint64
	records int
	bytes   int
	since   time.Time
	part    Pending // of a Durable sink
	dead    int
}

func (p *uncommitted) add(l *channel.Lease) {
	if len(p.leases) == 0 {
		p.since, p.life, p.epoch = time.Now(), l.Life, l.Epoch
	}
	p.leases = append(p.leases, l.ID)
	p.records += l.Records
	p.bytes += l.Bytes
}

// How much may be delivered before it is committed, and how long it may wait.
const (
	commitBytes      = 4 << 20
	commitBytesMax   = 32 << 20 // here delivering waits for the commit
	commitLeasesMax  = 1024
	commitEvery      = 10 * time.Millisecond
	commitEveryDisk  = 50 * time.Millisecond  // a sink whose files are synced, behind a durable channel
	commitEveryCache = 100 * time.Millisecond // the same behind a memory channel: the room is free already
)

func (d *drain) open(m *Member) *outlet {
	m.trouble.Store(nil) // of an earlier run
	o := &outlet{Member: m, d: d, taker: m.Channel.Taker(m.Name), commits: make(chan uncommitted, 1), last: make(chan struct{})}
	close(o.last)
	o.flying, o.ground = context.WithCancel(o.taker.Alive())
	o.done.Add(1)
	go func() {
		defer o.done.Done()
		o.commitAll()
	}()
	return o
}

// make makes the sink of an outlet, with the state that it has kept.
func (o *outlet) make() error {
	state, err := o.d.state(o.Name)
	if err != nil {
		return err
	}
	o.sink, err = New(o.Settings, Env{
		Log: o.d.Log.With("sink", o.Name), Agent: o.d.Agent, Name: o.Name, Compat: o.d.Compat, State: state, Replays: o.Replays,
		Counters: &o.Counters, Topics: o.d.Topics, Sole: o.Sole, crashed: func(c *crash) { o.d.end(c) },
		Keep: func(ctx context.Context, s State) error {
			return o.Channel.Keep(ctx, o.d.keys(o.Name, s))
		},
		DeadLetter: func(batch *record.Slab, i int, code, reason string) {
			o.letters = append(o.letters, newDeadLetter(o.Name, batch, i, code, reason))
		},
	})
	if err != nil {
		return err
	}
	_, durable := o.sink.(Durable)
	o.exact = durable && !o.Channel.Placed()
	switch {
	case !durable:
		o.every = commitEvery
	case o.exact:
		o.every = commitEveryCache
	default:
		o.every = commitEveryDisk
	}
	return nil
}

// before makes o ready to deliver l. The lengths of files move together with
// the checkpoints of the sources, and only where the sinks of a memory channel have
// done everything up to one place: so no commit is of two epochs, and nothing
// follows in a file upon what a channel has forgotten.
func (o *outlet) before(l *channel.Lease) error {
	stale := o.life != l.Life && (len(o.pending.leases) > 0 || o.out.Load() > 0)
	o.life = l.Life
	switch {
	case !o.exact:
	case o.failure() != nil:
		return o.failure()
	case stale:
		return channel.ErrStale
	case len(o.pending.leases) > 0 && o.pending.epoch != l.Epoch:
		o.commits <- o.cut() // commitAll always goes on taking
	}
	return nil
}

// dueAt is when what is pending should be committed.
func (o *outlet) dueAt() time.Time { return o.pending.since.Add(o.every) }

// hand gives what is delivered to the committing goroutine when it is time. It
// waits only when too much is not committed.
func (o *outlet) hand() {
	p := &o.pending
	if p.bytes >= commitBytesMax || len(p.leases) >= commitLeasesMax {
		o.commits <- o.cut()
		return
	}
	if p.bytes >= commitBytes || time.Since(p.since) >= o.every {
		o.tryHand()
	}
}

// tryHand hands over unless the committing goroutine has enough to do.
func (o *outlet) tryHand() {
	if len(o.commits) == 0 { // this goroutine alone fills it
		o.commits <- o.cut()
	}
}

// cut takes what is delivered, with the sink's part in it.
func (o *outlet) cut() uncommitted {
	p := o.pending
	if durable, ok := o.sink.(Durable); ok {
		p.part = durable.Pending()
	}
	o.pending = uncommitted{}
	return p
}
