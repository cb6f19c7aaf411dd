package channel

import (
	"sync"

	"github.com/sluicehq/sluice/persistence/record"
)

// arrival is a batch for which room was reserved and that is in the channel: on
// disk, at base, for a durable channel; a memory channel puts it at its end.
// The channel takes over the reference on the batch. One batch for several
// channels is several arrivals with slabs of their own.
type arrival struct {
	base  record.Offset
	batch *record.Slab
	bytes int // as reserved
	mark  *Mark
	// foreign: it comes out of the topic of the channel, not from a source.
	foreign bool
	// passed are records that the topic of the channel has; there is no batch.
	passed int
}

// inbox holds arrivals, in their order, until the channel's actor takes note of
// them. It outlives the actor: what stands in a mailbox does not.
type inbox struct {
	mu   sync.Mutex
	list []arrival
	at   int
}

func (b *inbox) put(a arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, a)
}

// next returns the oldest arrival.
func (b *inbox) next() (a arrival, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == len(b.list) {
		b.list, b.at = b.list[:0], 0
		return a, false
	}
	a = b.list[b.at]
	b.list[b.at] = arrival{}
	b.at++
	return a, true
}
