package persistence

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// runMax is how many batches are read with one call of the system.
const runMax = 256

// inlineBuffer is the buffer that batches which lie in Badger are gathered in.
const inlineBuffer = 64 << 10

// run is a sequence of batches in segments that are read together.
type run struct {
	entries []Entry
	places  []segment.Place
	bytes   int
}

var runs = sync.Pool{New: func() any { return new(run) }}

func (r *run) add(e Entry) {
	r.entries, r.places = append(r.entries, e), append(r.places, e.at)
	r.bytes += e.Bytes
}

// read appends the batches of r to buf, and empties r.
func (r *run) read(l *Log, buf []byte) ([]byte, error) {
	if len(r.places) == 0 {
		return buf, nil
	}
	// All of them lie in the same folder.
	out, bad, err := l.segsOf(r.places[0].Segment).ReadAll(r.places, buf)
	if err != nil {
		e := r.entries[bad]
		if e.Last < l.Start() {
			err = fmt.Errorf("read %s at %d: %w", l.name, e.Base, ErrTrimmed)
		} else {
			err = l.damaged(e.Base, e.Last+1, err.Error())
		}
	}
	r.entries, r.places, r.bytes = r.entries[:0], r.places[:0], 0
	return out, err
}

// ReadBatches appends to buf the whole batches from the one that holds from on,
// or the first behind it, all of them below to, checked. It stops before buf
// would grow by more than max bytes; but the first batch is whole however large
// it is. When an error comes with bytes, they are good.
func (l *Log) ReadBatches(from, to record.Offset, max int, buf []byte) ([]byte, error) {
	before := len(buf)
	for {
		g := l.gen.Load()
		out, err := l.readBatches(from, to, max, buf)
		if err == nil || g == l.gen.Load() {
			return out, err
		}
		buf = out[:before] // a rewriting was finished meanwhile
	}
}

func (l *Log) readBatches(from, to record.Offset, max int, buf []byte) ([]byte, error) {
	if from < l.Start() {
		return buf, fmt.Errorf("read %s at %d: %w", l.name, from, ErrTrimmed)
	}
	r := runs.Get().(*run)
	defer runs.Put(r)
	before := len(buf)
	full := false
	fits := func(e Entry) bool {
		grown := len(buf) - before + r.bytes
		full = e.Last >= to || grown > 0 && grown+e.Bytes > max
		return !full
	}
	from, err := l.readStored(from, to, max, &buf, r, fits)
	for err == nil && !full && from < to {
		memory := l.memoryFrom(from, runMax)
		if len(memory) == 0 {
			break
		}
		for _, e := range memory {
			if !fits(e) {
				break
			}
			r.add(e)
			from = e.Last + 1
		}
		buf, err = r.read(l, buf)
	}
	var d *ErrDamaged
	if errors.As(err, &d) && from < l.Start() {
		err = fmt.Errorf("read %s at %d: %w", l.name, from, ErrTrimmed)
	}
	return buf, err
}

// readStored reads what Badger knows, and returns where it ended.
func (l *Log) readStored(from, to record.Offset, limit int, buf *[]byte, r *run, fits func(Entry) bool) (record.Offset, error) {
	end := min(to, l.Next())
	if memory := l.memoryFrom(0, 1); len(memory) > 0 {
		end = min(end, max(memory[0].Base, from))
	}
	var failed error
	_, err := l.walk(from, end, func(e Entry, v []byte) (bool, error) {
		if !fits(e) {
			return false, nil
		}
		from = e.Last + 1
		if e.at.Segment != 0 {
			if len(r.places) > 0 && rewrittenSegment(r.places[0].Segment) != rewrittenSegment(e.at.Segment) {
				if *buf, failed = r.read(l, *buf); failed != nil {
					return false, nil
				}
			}
			r.add(e)
			if len(r.places) == runMax {
				*buf, failed = r.read(l, *buf)
			}
			return failed == nil, nil
		}
		if *buf, failed = r.read(l, *buf); failed != nil {
			return false, nil
		}
		if !whole(v) {
			failed = l.damaged(e.Base, e.Last+1, "the checksum of its entry")
			return false, nil
		}
		inline := v[headOf(v[0]):]
		if cap(*buf) == 0 {
			*buf = record.GetBuffer(max(len(inline), min(limit, inlineBuffer)))
		}
		*buf = append(*buf, inline...)
		return true, nil
	})
	if failed != nil {
		return from, failed
	}
	if out, err := r.read(l, *buf); err != nil {
		*buf = out
		return from, err
	} else {
		*buf = out
	}
	return from, err
}
