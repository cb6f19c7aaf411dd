package record

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Decode makes a slab of one stored batch, under DefaultLimits. See
// Limits.Decode.
func Decode(batch []byte) (*Slab, error) { return DefaultLimits.Decode(batch) }

// Decode makes a slab of one stored batch; the caller holds its only reference.
// It does not check the CRC: whoever read the bytes has, else Validate does.
//
// Whose the bytes are: when Decode succeeds they belong to the slab, and the
// caller does not touch them again. Uncompressed records are not copied, bodies
// and headers are positions in batch; the last Release gives it to the buffer
// pool (GetBuffer), as Decode does at once after decompressing. So batch must
// be a buffer of its own, not a part of one that others use. On an error
// nothing is taken and batch stays the caller's.
//
// Headers that all records share become common ones. The key of a record, which
// no slab of ours has, becomes its header "key" unless there is one, as Flume's
// Kafka source does. Null values become empty. The records' time is the
// batch's base timestamp; the differences between records are not kept.
func (l Limits) Decode(batch []byte) (*Slab, error) {
	b := Batch(batch)
	if err := b.Check(); err != nil {
		return nil, err
	}
	if b.Control() {
		return nil, fmt.Errorf("decode batch at %d: a control batch has no records for sinks", b.BaseOffset())
	}
	buf, from := batch, HeaderSize
	if codec := b.Codec(); codec != None {
		plain, err := codec.decompress(batch[HeaderSize:], l)
		if err != nil {
			return nil, fmt.Errorf("decode batch at %d: %w", b.BaseOffset(), err)
		}
		buf, from = plain, 0
	}
	s := slabs.Get().(*Slab)
	s.refs.Store(1)
	s.now = b.BaseTimestamp()
	err := s.adopt(buf, from, b.Count())
	if err != nil {
		s.mem = newMemory(nil) // buf is not ours to keep
		s.Release()
		if from == 0 {
			PutBuffer(buf)
		}
		return nil, fmt.Errorf("decode batch at %d: %w", b.BaseOffset(), err)
	}
	s.mem = newMemory(buf)
	if from == 0 {
		PutBuffer(batch)
	}
	return s, nil
}

// adopt fills s with the count records that lie in buf from byte from on.
//
// The first pass finds the bodies and the longest run of headers with which
// every record begins; until the second, head and tail of a span hold where its
// headers begin and how many there are.
func (s *Slab) adopt(buf []byte, from, count int) error {
	it := Iterate(buf[from:], count)
	var run commonRun
	keyed := false
	for it.Next() {
		start, end := from+it.value.start, from+it.value.end
		if it.value.start < 0 {
			start, end = 0, 0
		}
		at := from + it.headers.start
		s.recs = append(s.recs, span{uint32(start), uint32(end), uint32(at), uint32(it.headerCount)})
		run.meet(buf, at, it.headerCount, it.n == 1)
		keyed = keyed || it.key.start >= 0
	}
	if err := it.Err(); err != nil {
		return err
	}
	s.adoptHeaders(buf, run)
	if keyed {
		s.adoptKeys(buf, from, count)
	}
	return nil
}

// commonRun is a run of count headers at buf[at:end].
type commonRun struct{ at, end, count int }

// meet shortens r to what the headers at byte at begin with as well.
func (r *commonRun) meet(buf []byte, at, count int, first bool) {
	if first {
		r.at, r.end, r.count = at, at, count
		for range count {
			_, _, r.end, _ = header(buf, r.end)
		}
		return
	}
	size := r.end - r.at
	if count >= r.count && size <= len(buf)-at && bytes.Equal(buf[r.at:r.end], buf[at:at+size]) {
		return
	}
	mine, theirs, same := r.at, at, 0
	for same < min(count, r.count) {
		_, _, mineNext, _ := header(buf, mine)
		_, _, theirsNext, _ := header(buf, theirs)
		if !bytes.Equal(buf[mine:mineNext], buf[theirs:theirsNext]) {
			break
		}
		mine, theirs = mineNext, theirsNext
		same++
	}
	r.end, r.count = mine, same
}

// adoptHeaders makes the headers of run common and links the others to their
// records. Where a name comes twice in a record the last one counts.
func (s *Slab) adoptHeaders(buf []byte, run commonRun) {
	at := run.at
	for range run.count {
		var h headerRef
		h, at = s.adoptHeader(buf, at)
		if before := s.commonByMark(h.key); before != nil {
			before.start, before.end = h.start, h.end
			continue
		}
		s.common = append(s.common, h)
		s.marks[h.key] = uint32(len(s.common))
	}
	clear(s.marks)
	for i := range s.recs {
		r := &s.recs[i]
		at, count := int(r.head)+run.end-run.at, int(r.tail)-run.count
		r.head, r.tail = 0, 0
		before := uint32(len(s.own)) // marks up to here are of other records
		for range count {
			var h headerRef
			h, at = s.adoptHeader(buf, at)
			if m := s.marks[h.key]; m > before {
				s.own[m-1].start, s.own[m-1].end = h.start, h.end
				continue
			}
			s.link(i, h)
			s.marks[h.key] = uint32(len(s.own))
		}
	}
	if cap(s.marks) > pooledNames {
		s.marks = nil
	}
	s.marks = s.marks[:0]
}

func (s *Slab) commonByMark(key uint32) *headerRef {
	if m := s.marks[key]; m != 0 {
		return &s.common[m-1]
	}
	return nil
}

// adoptHeader reads the header at byte at, which the iterator has found sound.
func (s *Slab) adoptHeader(buf []byte, at int) (headerRef, int) {
	name, value, next, _ := header(buf, at)
	id := s.names.addView(view(name.of(buf)))
	for len(s.marks) <= int(id) {
		s.marks = append(s.marks, 0)
	}
	if value.start < 0 {
		value = field{}
	}
	return headerRef{key: id, start: uint32(value.start), end: uint32(value.end)}, next
}

func (s *Slab) adoptKeys(buf []byte, from, count int) {
	id := s.names.add("key")
	it := Iterate(buf[from:], count)
	for i := 0; it.Next(); i++ {
		if it.key.start < 0 || s.ownByID(i, id) != nil || s.commonByID(id) != nil {
			continue
		}
		s.link(i, headerRef{key: id, start: uint32(from + it.key.start), end: uint32(from + it.key.end)})
	}
}

// view is b as a string that lives no longer than b stays as it is.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
