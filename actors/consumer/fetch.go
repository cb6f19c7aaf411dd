package consumer

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// Want is one partition that a fetch is to read.
type Want struct {
	Ref partition.Ref
	// Err is why the partition cannot be read. It is answered at once.
	Err error
	// From is the first offset that is wanted. Batches come whole, so records
	// below it may come too.
	From     record.Offset
	MaxBytes int
	// CurrentEpoch is the leader epoch that the reader knows, or -1.
	CurrentEpoch int32
	// LastEpoch is the leader epoch of the last record that the reader has, or
	// -1: where the log has gone another way since, it is told so.
	LastEpoch int32
}

// Options say when a fetch is over.
type Options struct {
	// MinBytes of records are waited for, at most for Wait. An error in any
	// partition is not waited with.
	MinBytes int
	Wait     time.Duration
	MaxBytes int
	// Committed leaves out what is not decided yet: records from the first open
	// transaction on. Those of aborted ones come with a list of them.
	Committed bool
}

// limit is where readers have to stop.
func (o *Options) limit(r partition.Ref) record.Offset {
	if o.Committed {
		return r.LastStable()
	}
	return r.HighWatermark()
}

// Fetch waits until there is something to read.
type Fetch struct {
	wants   []Want
	o       Options
	ready   func(*Fetch)
	watcher partition.Watcher
	// What Read has read: the buffers that are full, and the one that is filled.
	full   [][]byte
	buffer []byte
	found  bool // there were records already

	mu       sync.Mutex
	timer    *time.Timer
	watching bool // all watchers are there
	left     bool // nobody wants to be woken any more
	over     bool
	// Where more than one byte is waited for, the records are read to know how
	// many there are.
	trying, again bool
}

// Start begins a fetch. It answers true when there is something to read
// already; else ready is called once when there is, when the time is over or
// when Cancel is called, from any goroutine, and must not block. Then comes
// Read, once, and Free.
func Start(wants []Want, o Options, ready func(*Fetch)) (*Fetch, bool) {
	f := &Fetch{wants: wants, o: o, ready: ready}
	f.o.MinBytes = min(o.MinBytes, o.MaxBytes)
	if o.Wait <= 0 || f.answerable() {
		f.over = true
		return f, true
	}
	f.watcher.Wake = f.wake
	f.mu.Lock()
	f.timer = time.AfterFunc(o.Wait, f.finish)
	f.mu.Unlock()
	for i := range wants {
		wants[i].Ref.Watch(&f.watcher)
	}
	f.mu.Lock()
	f.watching = true
	left := f.left
	f.mu.Unlock()
	if left { // while they were set up
		f.unwatch()
	}
	// What came before the watchers were there woke nobody.
	f.wake()
	return f, false
}

// Cancel ends the waiting.
func (f *Fetch) Cancel() { f.finish() }

// wake is called when something has changed in a partition.
func (f *Fetch) wake() {
	if f.o.MinBytes <= 1 {
		if f.answerable() {
			f.finish()
		}
		return
	}
	if !f.answerable() && !f.anyData() {
		return
	}
	f.mu.Lock()
	start := !f.over && !f.trying
	f.again = f.trying
	f.trying = f.trying || start
	f.mu.Unlock()
	if start {
		go f.try()
	}
}

// try reads what there is, and ends the waiting if it is enough.
func (f *Fetch) try() {
	for {
		enough := f.answerable() || f.measure()
		f.mu.Lock()
		if f.over || enough || !f.again {
			f.trying = false
			f.mu.Unlock()
			if enough {
				f.finish()
			}
			return
		}
		f.again = false
		f.mu.Unlock()
	}
}

// measure says whether the partitions hold MinBytes.
func (f *Fetch) measure() bool {
	g := Fetch{wants: f.wants, o: f.o}
	defer g.Free()
	n := 0
	for _, r := range g.Read() {
		if n += len(r.Records); r.Err != nil || n >= f.o.MinBytes {
			return true
		}
	}
	return false
}

// finish ends the waiting, once.
func (f *Fetch) finish() {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return
	}
	f.over = true
	f.timer.Stop()
	f.mu.Unlock()
	f.ready(f)
}

// unwatch takes the watcher off the partitions.
func (f *Fetch) unwatch() {
	f.mu.Lock()
	watching := f.watching
	f.watching, f.left = false, true
	f.mu.Unlock()
	if !watching {
		return
	}
	for i := range f.wants {
		f.wants[i].Ref.Unwatch(&f.watcher)
	}
}

// answerable says that waiting is over: there is an error to tell, or as much
// as is wanted without counting.
func (f *Fetch) answerable() bool {
	for i := range f.wants {
		w := &f.wants[i]
		if w.Err != nil {
			return true
		}
		if end := f.o.limit(w.Ref); w.From < end && f.o.MinBytes <= 1 {
			return true
		}
		if d, err := w.check(); err != nil || d != nil {
			return true
		}
	}
	return f.o.MinBytes <= 0
}

func (f *Fetch) anyData() bool {
	for i := range f.wants {
		if w := &f.wants[i]; w.From < f.o.limit(w.Ref) {
			return true
		}
	}
	return false
}

// check says why w cannot be read now: because of an error, or because the
// reader has other records than this log.
func (w *Want) check() (*Diverging, error) {
	if w.Err != nil {
		return nil, w.Err
	}
	if err := w.Ref.CheckEpoch(w.CurrentEpoch); err != nil {
		return nil, err
	}
	if d, err := w.diverging(); d != nil || err != nil {
		return d, err
	}
	if w.From < w.Ref.LogStart() || w.From > w.Ref.LogEnd() {
		return nil, partition.ErrOffsetOutOfRange
	}
	return nil, nil
}
