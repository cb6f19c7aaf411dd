package consumer

import (
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// Result is what there was of one Want.
type Result struct {
	Err error
	// Records are whole batches, the first of which holds From or comes after
	// it. They are valid until Free.
	Records []byte
	// The places in the log, as they were before Records were read; -1 where
	// they are not known.
	HighWatermark, LastStable, LogStart record.Offset
	// Aborted are the aborted transactions that Records may be part of, for a
	// reader of what is committed.
	Aborted []partitionlog.Aborted
	// Diverging is where the log of the reader and this one part.
	Diverging *Diverging
}

// Diverging says that a reader has records that this log has not: those behind
// End of the epoch.
type Diverging struct {
	Epoch int32
	End   record.Offset
}

// diverging says whether the reader's last epoch is one that this log does not
// have, or has ended before From.
func (w *Want) diverging() (*Diverging, error) {
	if w.LastEpoch < 0 {
		return nil, nil
	}
	epoch, end, err := w.Ref.EpochEnd(w.CurrentEpoch, w.LastEpoch)
	switch {
	case err != nil:
		return nil, err
	case epoch < 0 || end < 0:
		return nil, partition.ErrOffsetOutOfRange
	case epoch < w.LastEpoch || end < w.From:
		return &Diverging{epoch, end}, nil
	}
	return nil, nil
}

// Limit lowers MaxBytes for the Read that follows.
func (f *Fetch) Limit(maxBytes int) { f.o.MaxBytes = min(f.o.MaxBytes, maxBytes) }

// Read reads what there is, in the order of the wants: up to MaxBytes in all
// and a want's MaxBytes of each, but the first batch that is found is whole even
// if it alone exceeds them: a reader could never get past it otherwise. It may
// block on the disk.
func (f *Fetch) Read() []Result {
	f.unwatch()
	results := make([]Result, len(f.wants))
	left := f.o.MaxBytes
	for i := range f.wants {
		left -= f.one(&f.wants[i], &results[i], left)
	}
	return results
}

// one fills r from w with at most left bytes, and says how many of them are
// used up.
func (f *Fetch) one(w *Want, r *Result, left int) int {
	*r = Result{HighWatermark: -1, LastStable: -1, LogStart: -1}
	if r.Diverging, r.Err = w.check(); r.Err != nil {
		return 0
	}
	// The last stable offset is never above the high watermark, also not for a
	// reader who looks while both move.
	r.LastStable = w.Ref.LastStable()
	r.HighWatermark, r.LogStart = max(w.Ref.HighWatermark(), r.LastStable), w.Ref.LogStart()
	end := r.HighWatermark
	if f.o.Committed {
		end = r.LastStable
	}
	want := min(w.MaxBytes, left)
	if r.Diverging != nil || w.From >= end || want <= 0 && f.found {
		return 0
	}
	f.reserve(w, end, want)
	before := len(f.buffer)
	buf, err := w.Ref.Read(w.From, end, max(want, 0), f.buffer)
	if cap(buf) != cap(f.buffer) { // it had to grow
		f.full = append(f.full, f.buffer)
	}
	if err != nil {
		f.buffer = buf[:before]
		*r = Result{Err: err, HighWatermark: -1, LastStable: -1, LogStart: -1}
		return 0
	}
	f.buffer = buf
	n := len(buf) - before
	if n > want && f.found {
		// The batch comes whole with another fetch, which begins with it.
		f.buffer = buf[:before]
		if n > left {
			return left // no more fits
		}
		return 0
	}
	if n == 0 {
		return 0
	}
	f.found = true
	r.Records = buf[before:len(buf):len(buf)]
	if f.o.Committed {
		r.Aborted = w.Ref.Aborted(w.From, lastOffset(r.Records)+1)
	}
	return n
}

// Buffers hold the records of several partitions, as far as these fit.
const (
	bufferMin = 16 << 10
	bufferMax = 1 << 20
)

// reserve makes room for what a read of w will probably bring.
func (f *Fetch) reserve(w *Want, end record.Offset, want int) {
	guess := want
	if records := w.Ref.LogEnd() - w.Ref.LogStart(); records > 0 {
		each := w.Ref.Size()/int64(records) + 1
		if n := each*int64(end-w.From)*5/4 + record.HeaderSize; n < int64(guess) {
			guess = int(n)
		}
	}
	if cap(f.buffer)-len(f.buffer) >= guess {
		return
	}
	if f.buffer != nil {
		f.full = append(f.full, f.buffer)
	}
	f.buffer = record.GetBuffer(min(max(guess, bufferMin), bufferMax))
}

// lastOffset is the offset of the last record in batches.
func lastOffset(batches []byte) record.Offset {
	last := record.Offset(-1)
	for len(batches) > 0 {
		b, rest, err := record.Split(batches)
		if err != nil {
			return last
		}
		last, batches = b.LastOffset(), rest
	}
	return last
}

// Free gives the records back. Nobody may use them afterwards.
func (f *Fetch) Free() {
	f.unwatch()
	for _, b := range f.full {
		record.PutBuffer(b)
	}
	record.PutBuffer(f.buffer)
	f.buffer, f.full = nil, nil
}
