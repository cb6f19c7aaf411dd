package channel

import (
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// What several sinks of a memory channel have done can be kept only where all
// of it below some position is done: there the checkpoints of the sources and the
// lengths of all files say the same (see channelstate.Cut). Sinks that write
// side by side would hardly ever come to such a place by themselves. So the
// channel numbers its leases by epochs, and a sink commits what it has of one
// before it delivers anything of another.

// epoch is the one in which records are taken just now.
type epoch struct {
	since  time.Time // when it began
	leases int
	bytes  int
	ends   []record.Offset // of those before, as far as they are not settled
}

func (e *epoch) add(h held) {
	if e.leases == 0 {
		e.since = time.Now()
	}
	e.leases++
	e.bytes += h.bytes
}

// An epoch is as long as a sink commits at once; longer where disks or other
// sinks are slow and epochsMax of them are not settled.
const (
	epochEvery     = 100 * time.Millisecond
	epochBytes     = 4 << 20
	epochBytesMax  = 32 << 20
	epochLeases    = 256
	epochLeasesMax = 2048
	epochsMax      = 3
)

// over says that the epoch should end.
func (e *epoch) over() bool {
	switch {
	case e.leases == 0:
		return false
	case e.bytes >= epochBytesMax, e.leases >= epochLeasesMax:
		return true
	case len(e.ends) >= epochsMax:
		return false
	}
	return e.bytes >= epochBytes || e.leases >= epochLeases || time.Since(e.since) >= epochEvery
}

// turnEpoch begins the next epoch of a memory channel when it is time.
func (a *Actor) turnEpoch() {
	if a.Log != nil || a.queue.RolledBack() || !a.epoch.over() || !a.queue.NextEpoch() {
		return
	}
	a.epoch = epoch{ends: append(a.epoch.ends, a.queue.Taken())}
}

// settledEpochs forgets epochs of which everything is settled.
func (a *Actor) settledEpochs() {
	n := 0
	for n < len(a.epoch.ends) && a.epoch.ends[n] <= a.queue.First() {
		n++
	}
	a.epoch.ends = append(a.epoch.ends[:0], a.epoch.ends[n:]...)
}

// What the sinks of a memory channel may have out before they get nothing new:
// a sink that hangs keeps the others from settling what they have.
const (
	outLeasesMax = 8192
	outBytesMax  = 64 << 20
)

// offers says that a take would bring something. Batches that are begun are
// always offered to their end: else nothing of them could ever be settled.
func (a *Actor) offers() bool {
	switch {
	case a.queue.Ready() == 0:
		return false
	case a.Log != nil, a.queue.RolledBack(), a.queue.Inside():
		return true
	}
	return len(a.out) < outLeasesMax && a.outBytes < outBytesMax
}
