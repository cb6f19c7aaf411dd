package persistence

import (
	"encoding/binary"
	"errors"

	"github.com/sluicehq/sluice/persistence/record"
)

var errMeta = errors.New("changes in a frame cannot be read")

// appendMeta writes down the changes of state of a write, as its frame and a
// bundle carry them.
func appendMeta(b []byte, w *Write) []byte {
	b = binary.AppendUvarint(b, uint64(len(w.Sets)))
	for _, kv := range w.Sets {
		b = append(binary.AppendUvarint(b, uint64(len(kv.Key))), kv.Key...)
		b = append(binary.AppendUvarint(b, uint64(len(kv.Value))), kv.Value...)
	}
	b = binary.AppendUvarint(b, uint64(len(w.Deletes)))
	for _, k := range w.Deletes {
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
	}
	b = binary.AppendUvarint(b, uint64(len(w.Trims)))
	for _, t := range w.Trims {
		b = binary.BigEndian.AppendUint32(b, t.Log.gid)
		b = binary.BigEndian.AppendUint64(b, uint64(t.To))
	}
	return b
}

// changes is what readMeta finds; a nil function skips its kind.
type changes struct {
	set    func(key, value []byte) error
	delete func(key []byte) error
	trim   func(gid uint32, to record.Offset) error
}

// readMeta gives every change in b, which may be several of appendMeta behind
// each other. The slices point into b.
func readMeta(b []byte, c changes) error {
	r := metaReader{b: b}
	for len(r.b) > 0 {
		for n := r.count(); n > 0 && !r.bad; n-- {
			k, v := r.bytes(), r.bytes()
			if !r.bad && c.set != nil {
				if err := c.set(k, v); err != nil {
					return err
				}
			}
		}
		for n := r.count(); n > 0 && !r.bad; n-- {
			if k := r.bytes(); !r.bad && c.delete != nil {
				if err := c.delete(k); err != nil {
					return err
				}
			}
		}
		for n := r.count(); n > 0 && !r.bad; n-- {
			if b := r.take(12); !r.bad && c.trim != nil {
				if err := c.trim(binary.BigEndian.Uint32(b), record.Offset(binary.BigEndian.Uint64(b[4:]))); err != nil {
					return err
				}
			}
		}
		if r.bad {
			return errMeta
		}
	}
	return nil
}

// metaReader reads from b until it is empty or bad.
type metaReader struct {
	b   []byte
	bad bool
}

func (r *metaReader) count() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *metaReader) bytes() []byte { return r.take(r.count()) }

func (r *metaReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}
