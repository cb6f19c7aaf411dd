package partition

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// Others read the state of a partition while its actor changes it. Only what is
// here changes it, and holds the lock for that.

// none says that a batch is no repeat.
const none = record.Offset(-2)

// checkAndPropose checks b, and takes note of it at base when it is new. dup is
// where its repeat lies, -1 where that is not known any more.
func (p *part) checkAndPropose(b record.Batch, o Origin, g partitionlog.Guard, base record.Offset, now int64) (dup record.Offset, err error) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	found, err := p.state.Check(b, o, g)
	switch {
	case err != nil:
		return none, err
	case found != nil:
		return found.Base, nil
	}
	p.state.Propose(base, b, now)
	return none, nil
}

// proposeAgain takes note of what is on its way, and of nothing else.
func (p *part) proposeAgain(now int64) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.state.DropProposed()
	for _, x := range p.pending {
		p.state.Propose(x.base, x.Batch, now)
	}
}

func (p *part) beginEpoch(epoch int32, start record.Offset) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.state.BeginEpoch(epoch, start)
}

// commit takes note of committed entries.
func (a *Actor) commit(entries []*raftpb.Entry, now int64) {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	index := a.index.Load()
	for _, e := range entries {
		if e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		b := record.Batch(e.GetData())
		base := b.BaseOffset()
		a.state.Commit(base, b, now)
		index.Add(persistence.Entry{Base: base, Last: b.LastOffset(), Bytes: len(b), MaxTime: b.MaxTimestamp()}, now)
		a.view.hw = b.LastOffset() + 1
		a.kept.batches++
		a.kept.bytes += len(b)
	}
	a.view.stable = a.state.LastStable(a.view.hw)
}

// restored makes state what is known from now on.
func (p *part) restored(state *partitionlog.State, index *partitionlog.Index) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.state = state
	p.index.Store(index)
}

// trim forgets what lies below start.
func (a *Actor) trim(start record.Offset) {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	a.state.Trim(start)
	a.index.Load().Trim(start)
	a.view.stable = a.state.LastStable(a.view.hw)
}

// dropAborted forgets the aborted transactions with these markers.
func (p *part) dropAborted(markers []record.Offset) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.state.DropAborted(markers)
}

// snapshot is what is known beside the log.
func (p *part) snapshot() []byte {
	p.stateMu.RLock()
	defer p.stateMu.RUnlock()
	return p.state.Append(nil)
}
