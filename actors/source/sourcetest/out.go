// Package sourcetest judges a kind of source: it delivers everything, stops at
// once, survives a full channel and goes on where it was settled.
package sourcetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/channel"
	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/persistence/record"
)

// patience is how long a test waits for what should come within milliseconds.
const patience = 20 * time.Second

// Record is a record as it came out of a source.
type Record struct {
	Body    string
	Headers map[string]string
}

// Batch is a batch as it came out of a source.
type Batch struct {
	Records []Record
	At      source.Checkpoint
	Stored  bool // came by Store
	Time    int64
}

// Out takes what a source emits and keeps it. The zero Out settles nothing on
// its own and is never full.
type Out struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when anything changes
	batches []Batch
	records int
	settled int // batches
	full    bool
	refused int // calls of Store while full
	waiting int // calls of Emit while full
}

var _ source.Out = (*Out)(nil)

// Emit keeps batch; it blocks while the channel is full.
func (o *Out) Emit(ctx context.Context, batch *record.Slab, at source.Checkpoint) error {
	defer batch.Release()
	o.mu.Lock()
	o.waiting++
	o.notify()
	for o.full && ctx.Err() == nil {
		wait := o.wait()
		o.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-wait:
		}
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	o.waiting--
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o.keep(batch, at, false)
	return nil
}

// Store keeps batch; it answers channel.ErrFull while the channel is full.
func (o *Out) Store(ctx context.Context, batch *record.Slab) error {
	defer batch.Release()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case o.full:
		o.refused++
		o.notify()
		return channel.ErrFull
	}
	o.keep(batch, source.Checkpoint{}, true)
	return nil
}

func (o *Out) keep(batch *record.Slab, at source.Checkpoint, stored bool) {
	b := Batch{At: at, Stored: stored, Time: batch.Time()}
	for i := range batch.Len() {
		r := Record{Body: string(batch.Body(i)), Headers: map[string]string{}}
		for k, v := range batch.Headers(i) {
			r.Headers[k] = string(v)
		}
		b.Records = append(b.Records, r)
	}
	o.batches = append(o.batches, b)
	o.records += len(b.Records)
	o.notify()
}

// SetFull says whether the channel is full.
func (o *Out) SetFull(full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = full
	o.notify()
}

// Batches are all batches so far.
func (o *Out) Batches() []Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.batches[:len(o.batches):len(o.batches)]
}

// Len is the number of records so far.
func (o *Out) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.records
}

// Records are the records of all batches so far.
func (o *Out) Records() []Record {
	var all []Record
	for _, b := range o.Batches() {
		all = append(all, b.Records...)
	}
	return all
}

// Bodies are the bodies of all batches so far.
func (o *Out) Bodies() []string {
	var all []string
	for _, r := range o.Records() {
		all = append(all, r.Body)
	}
	return all
}

// Settle tells src that the next n batches are settled; n < 0 is all of them.
func (o *Out) Settle(src source.Source, n int) {
	for ; n != 0; n-- {
		o.mu.Lock()
		if o.settled == len(o.batches) {
			o.mu.Unlock()
			return
		}
		b := o.batches[o.settled]
		o.settled++
		o.mu.Unlock()
		if !b.Stored {
			src.Settled(b.At)
		}
	}
}

// SettleAlways settles every batch as it comes, until ctx ends.
func (o *Out) SettleAlways(ctx context.Context, src source.Source) {
	for ctx.Err() == nil {
		o.mu.Lock()
		wait := o.wait()
		o.mu.Unlock()
		o.Settle(src, -1)
		select {
		case <-ctx.Done():
		case <-wait:
		}
	}
}

// Checkpoints are what a node would have stored of the first n batches.
func (o *Out) Checkpoints(n int) map[string][]source.Checkpoint {
	stored := map[string][]source.Checkpoint{}
	for _, b := range o.Batches()[:n] {
		switch {
		case b.At.Stream == "":
		case b.At.Gone:
			delete(stored, b.At.Stream)
		default:
			stored[b.At.Stream] = []source.Checkpoint{b.At}
		}
	}
	return stored
}

// Wait waits until done says so; it is asked again after every change.
func (o *Out) Wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		wait := o.wait()
		o.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-wait:
		case <-timeout:
			t.Fatalf("waited %v for %s; came %d records", patience, what, o.Len())
		}
	}
}

// WaitRecords waits until n records have come.
func (o *Out) WaitRecords(t testing.TB, n int) []Record {
	t.Helper()
	o.Wait(t, "records", func() bool { return o.Len() >= n })
	return o.Records()
}

// WaitBlocked waits until a source has met the full channel.
func (o *Out) WaitBlocked(t testing.TB) {
	t.Helper()
	o.Wait(t, "the source to meet the full channel", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.waiting > 0 || o.refused > 0
	})
}

// wait is a channel that is closed at the next change. The caller holds mu.
func (o *Out) wait() <-chan struct{} {
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed
}

// notify wakes all who wait. The caller holds mu.
func (o *Out) notify() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}
