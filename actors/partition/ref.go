package partition

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// Ref is the address of a partition on this node. It is small and may be
// compared; everyone may use it at any time.
type Ref struct{ p *part }

// ID of the partition.
func (r Ref) ID() ID { return r.p.ID }

// TopicID is that of its topic.
func (r Ref) TopicID() [16]byte { return r.p.TopicID }

// PID of its actor, for its parent.
func (r Ref) PID() *actor.PID { return r.p.pid.Load() }

// Append hands a batch over; Done is called when it is committed.
func (r Ref) Append(a Append) {
	p, x := r.p, pendings.Get().(*pending)
	x.Append = a
	if err := p.judge(&x.Append); err != nil {
		p.refuse(x, err)
		return
	}
	wake, err := p.inbox.append(x)
	if err != nil {
		p.refuse(x, err)
		return
	}
	p.tell(wake)
}

// call has the actor do something.
func (r Ref) call(c call) {
	wake, err := r.p.inbox.call(c)
	if err != nil {
		c.fail(err)
		return
	}
	r.p.tell(wake)
}

// LogStart is the first offset kept.
func (r Ref) LogStart() record.Offset { return record.Offset(r.p.logStart.Load()) }

// HighWatermark is the first offset that is not committed.
func (r Ref) HighWatermark() record.Offset { return record.Offset(r.p.highWatermark.Load()) }

// LastStable is the first offset that a transaction may yet decide about, at
// most the high watermark.
func (r Ref) LastStable() record.Offset { return record.Offset(r.p.lastStable.Load()) }

// LogEnd is one past the last record, committed or not.
func (r Ref) LogEnd() record.Offset { return record.Offset(r.p.logEnd.Load()) }

// LeaderEpoch is the epoch of the leader; -1 before there is one.
func (r Ref) LeaderEpoch() int32 { return r.p.epoch.Load() }

// Leading says whether this node leads the partition.
func (r Ref) Leading() bool { return r.p.leading.Load() }

// Size is the number of bytes of its batches.
func (r Ref) Size() int64 { return r.p.index.Load().Size() }

// Config is what the partition goes by now.
func (r Ref) Config() Config { return *r.p.config.Load() }

// Read appends to buf the whole batches from the one that holds from on, all
// of them below to, which is at most the high watermark: at most max bytes,
// except that the first one is whole however large it is. At the end there is
// nothing to read and no error. It reads the log itself and may wait for the
// disk.
func (r Ref) Read(from, to record.Offset, max int, buf []byte) ([]byte, error) {
	p := r.p
	log := p.log.Load()
	if log == nil || !p.started.Load() {
		return buf, fmt.Errorf("read %s: %w", p.ID, ErrNotLeader)
	}
	start, hw := r.LogStart(), r.HighWatermark()
	if from < start || from > r.LogEnd() {
		return buf, fmt.Errorf("read %s at %d: %w: it has %d to %d", p.ID, from, ErrOffsetOutOfRange, start, r.LogEnd())
	}
	if to = min(to, hw); from >= to {
		return buf, nil
	}
	out, err := log.ReadBatches(from, to, max, buf)
	if errors.Is(err, persistence.ErrTrimmed) {
		if len(out) > len(buf) {
			return out, nil // what was read before is good
		}
		return buf, fmt.Errorf("read %s at %d: %w: it begins at %d", p.ID, from, ErrOffsetOutOfRange, r.LogStart())
	}
	if err != nil {
		return out, fmt.Errorf("read %s at %d: %w", p.ID, from, err)
	}
	return out, nil
}

// Aborted lists the aborted transactions that overlap [from, to).
func (r Ref) Aborted(from, to record.Offset) []partitionlog.Aborted {
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	return r.p.state.Aborted(from, to)
}

// Watch has w told of changes from now on. Who waits for something looks once
// more after it.
func (r Ref) Watch(w *Watcher) { r.p.watch.add(w) }

// Unwatch ends Watch. Wake may be called once more while it returns.
func (r Ref) Unwatch(w *Watcher) { r.p.watch.remove(w) }

// OffsetAt finds the first committed record whose time is ts or later; without
// one o and at are -1. It may wait for the disk.
func (r Ref) OffsetAt(ts int64) (o record.Offset, at int64, epoch int32, err error) {
	return r.find(func(log *persistence.Log, x *partitionlog.Index, end record.Offset) (partitionlog.Found, bool, error) {
		return x.OffsetAt(log, ts, end)
	})
}

// MaxTimestamp finds the committed record with the greatest time; without one o
// and ts are -1. It may wait for the disk.
func (r Ref) MaxTimestamp() (o record.Offset, ts int64, epoch int32, err error) {
	return r.find(func(log *persistence.Log, x *partitionlog.Index, end record.Offset) (partitionlog.Found, bool, error) {
		return x.MaxTime(log, end)
	})
}

func (r Ref) find(look func(*persistence.Log, *partitionlog.Index, record.Offset) (partitionlog.Found, bool, error)) (record.Offset, int64, int32, error) {
	log := r.p.log.Load()
	if log == nil || !r.p.started.Load() {
		return -1, -1, -1, fmt.Errorf("look into %s: %w", r.p.ID, ErrNotLeader)
	}
	f, ok, err := look(log, r.p.index.Load(), r.HighWatermark())
	switch {
	case err != nil:
		return -1, -1, -1, fmt.Errorf("look into %s: %w", r.p.ID, err)
	case !ok:
		return -1, -1, -1, nil
	}
	return f.Offset, f.Time, f.Epoch, nil
}

// EpochAt is the epoch of the record at offset, -1 where it is not known.
func (r Ref) EpochAt(o record.Offset) int32 {
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	return r.p.state.EpochAt(o)
}

// EpochEnd finds the greatest epoch up to asked and where it ends, -1 and -1
// where that is not known. current is as in CheckEpoch.
func (r Ref) EpochEnd(current, asked int32) (epoch int32, end record.Offset, err error) {
	if err := r.CheckEpoch(current); err != nil {
		return -1, -1, err
	}
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	epoch, end = r.p.state.EpochEnd(asked, r.LogEnd())
	return epoch, end, nil
}

// CheckEpoch says whether this node leads the partition, with the epoch that
// the client takes for the current one; -1: it does not say.
func (r Ref) CheckEpoch(current int32) error {
	epoch := r.LeaderEpoch()
	switch {
	case current >= 0 && current < epoch:
		return fmt.Errorf("%s with epoch %d, now %d: %w", r.p.ID, current, epoch, ErrFencedLeaderEpoch)
	case current >= 0 && current > epoch:
		return fmt.Errorf("%s with epoch %d, now %d: %w", r.p.ID, current, epoch, ErrUnknownLeaderEpoch)
	case !r.Leading():
		return fmt.Errorf("%s: %w", r.p.ID, ErrNotLeader)
	}
	return nil
}

// Producers lists what is known of the partition's producers.
func (r Ref) Producers(done func([]partitionlog.Producer)) {
	r.p.stateMu.RLock()
	list := r.p.state.Producers()
	r.p.stateMu.RUnlock()
	done(list)
}

// Fed is the position of the last record that a sink of this node, by the id of
// its feeder, has in the partition; -1 for none. With whole false something of
// it is on its way, and a Watcher is told when that is committed.
func (r Ref) Fed(feeder int64) (position int64, whole bool, err error) {
	if err := r.CheckEpoch(-1); err != nil {
		return -1, false, err
	}
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	committed, proposed := r.p.state.Fed(feeder)
	return committed, committed == proposed, nil
}

// OngoingTxn says whether the producer has a transaction open in the partition.
func (r Ref) OngoingTxn(producer int64, epoch int16) bool {
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	return r.p.state.Ongoing(producer, epoch)
}

// TxnGuard is taken before the coordinator is asked about a batch of a producer
// that keeps its epoch; see partitionlog.
func (r Ref) TxnGuard(producer int64) partitionlog.Guard {
	r.p.stateMu.RLock()
	defer r.p.stateMu.RUnlock()
	return r.p.state.Guard(producer)
}

// DeleteRecords gives back what lies below to; partitionlog.HighWatermark is
// all there is. done is told where the log begins then, when that is on disk.
func (r Ref) DeleteRecords(to record.Offset, done func(low record.Offset, err error)) {
	r.call(call{
		do:   func(a *Actor) { a.deleteRecords(to, done) },
		fail: func(err error) { done(-1, fmt.Errorf("delete records of %s: %w", r.p.ID, err)) },
	})
}

// Configure changes what the partition goes by.
func (r Ref) Configure(c Config) {
	r.call(call{
		do:   func(a *Actor) { a.configure(c) },
		fail: func(error) {}, // it has stopped
	})
}
