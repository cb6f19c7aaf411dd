package record

import (
	"iter"
	"math"
	"slices"
	"sync/atomic"
)

// Slab is a batch of records on its way from a source through a channel to a
// sink. The bodies lie one behind the other in one pooled buffer that the
// source reads into; the rest is columns. Headers that all records share are
// kept once, the others as deltas per record. There is no heap object per
// record.
//
// A slab has one writer at a time: the source, then its interceptors. Once it
// has been handed to a channel nobody changes it, and everyone who keeps it
// holds a reference (Retain, Release). The last Release gives the buffer back
// to the pool: bytes read from a slab must not be used after that.
type Slab struct {
	mem    *memory
	recs   []span
	common []headerRef // shared by all records
	own    []headerRef // deltas, linked per record through next
	names  names
	marks  []uint32 // scratch of Decode, by number of name
	now    int64    // ms since the epoch when the batch was read
	refs   atomic.Int32
}

// span is one record: its body is buf[start:end], its own headers are the
// chain from own[head-1] to own[tail-1], or none when both are 0.
type span struct {
	start, end uint32
	head, tail uint32
}

// headerRef is one header: the name with number key, and buf[start:end]. One
// whose end is gone hides a common header from one record.
type headerRef struct {
	start, end uint32
	next       uint32 // index+1 of the next own header of the same record
	key        uint32
}

const (
	gone   = math.MaxUint32 // as headerRef.end
	nobody = math.MaxUint32 // as headerRef.key: unlinked, belongs to no record
)

// What a slab may take with it into the pool. Rare huge batches must not stay
// in memory for good.
const (
	pooledRecs    = 1 << 16
	pooledHeaders = 1 << 16
)

// NewSlab returns an empty slab with room for about size bytes, from the pool.
// The caller holds its only reference.
func NewSlab(size int) *Slab {
	return slabOver(GetBuffer(size))
}

// slabOver returns an empty slab that owns buf.
func slabOver(buf []byte) *Slab {
	s := slabs.Get().(*Slab)
	s.mem = newMemory(buf)
	s.refs.Store(1)
	return s
}

// Retain adds a reference.
func (s *Slab) Retain() { s.refs.Add(1) }

// Release gives a reference back; the last one frees the buffer.
func (s *Slab) Release() {
	switch n := s.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("record: slab released more often than retained")
	}
	s.mem.release()
	s.mem, s.now = nil, 0
	s.recs, s.common, s.own = s.recs[:0], s.common[:0], s.own[:0]
	if cap(s.recs) > pooledRecs {
		s.recs = nil
	}
	if cap(s.own)+cap(s.common) > pooledHeaders {
		s.own, s.common = nil, nil
	}
	s.names.reset()
	slabs.Put(s)
}

// Len is the number of records.
func (s *Slab) Len() int { return len(s.recs) }

// Body is the body of record i. It is valid until the slab is released.
func (s *Slab) Body(i int) []byte {
	r := &s.recs[i]
	return s.mem.buf[r.start:r.end:r.end]
}

// View is all of s as a View. It adds no reference.
func (s *Slab) View() View { return View{Slab: s, Count: len(s.recs)} }

// Span is where the body of record i lies in Buffer, for MarkHeader.
func (s *Slab) Span(i int) (start, end int) { return int(s.recs[i].start), int(s.recs[i].end) }

// Size is the number of bytes the slab keeps from being used otherwise.
func (s *Slab) Size() int { return cap(s.mem.buf) }

// BodyBytes is the sum of the lengths of all bodies.
func (s *Slab) BodyBytes() int {
	n := 0
	for i := range s.recs {
		n += int(s.recs[i].end - s.recs[i].start)
	}
	return n
}

// SetTime says when the batch was read, in ms since the epoch.
func (s *Slab) SetTime(ms int64) { s.now = ms }

// Time is when the batch was read, in ms since the epoch.
func (s *Slab) Time() int64 { return s.now }

// Append adds a record whose body is a copy of body.
func (s *Slab) Append(body []byte) {
	start := len(s.mem.buf)
	s.mem.append(body)
	s.Mark(start, len(s.mem.buf))
}

// Tail returns the free end of the buffer, at least n bytes of it, for a
// source to read into. What has been filled is claimed with Advance.
func (s *Slab) Tail(n int) []byte {
	s.mem.grow(n)
	return s.mem.buf[len(s.mem.buf):cap(s.mem.buf)]
}

// Advance claims the first n bytes of the last Tail.
func (s *Slab) Advance(n int) { s.mem.buf = s.mem.buf[:len(s.mem.buf)+n] }

// Buffer is everything claimed so far; Mark takes positions in it.
func (s *Slab) Buffer() []byte { return s.mem.buf }

// Mark makes a record of the claimed bytes [start, end).
func (s *Slab) Mark(start, end int) {
	s.recs = append(s.recs, span{start: uint32(start), end: uint32(end)})
}

// SetBody replaces the body of record i by a copy of body.
func (s *Slab) SetBody(i int, body []byte) {
	start := len(s.mem.buf)
	s.mem.append(body)
	s.recs[i].start, s.recs[i].end = uint32(start), uint32(len(s.mem.buf))
}

// Truncate keeps the first n records.
func (s *Slab) Truncate(n int) { s.recs = s.recs[:n] }

// Keep drops every record for which keep answers false. No body is copied.
func (s *Slab) Keep(keep func(i int) bool) {
	n := 0
	for i := range s.recs {
		if keep(i) {
			s.recs[n] = s.recs[i]
			n++
		}
	}
	s.recs = s.recs[:n]
}

// Subset returns a slab of the records at the indices which, sharing the
// buffer and headers of s. Nobody may write to either afterwards.
func (s *Slab) Subset(which []int) *Slab {
	c := slabs.Get().(*Slab)
	s.mem.retain()
	c.mem, c.now = s.mem, s.now
	c.refs.Store(1)
	c.recs = slices.Grow(c.recs, len(which))
	for _, i := range which {
		c.recs = append(c.recs, s.recs[i])
	}
	c.common = append(c.common, s.common...)
	c.own = append(c.own, s.own...)
	c.names.copyOf(&s.names)
	return c
}

// SetCommon sets a header of every record, also of those that had one of the
// same name.
func (s *Slab) SetCommon(key string, value []byte) {
	s.RemoveHeader(key)
	h := s.store(key, value)
	s.common = append(s.common, h)
}

// SetHeader sets a header of record i.
func (s *Slab) SetHeader(i int, key string, value []byte) {
	start := len(s.mem.buf)
	s.mem.append(value)
	s.MarkHeader(i, key, start, len(s.mem.buf))
}

// MarkHeader sets a header of record i to the claimed bytes [start, end),
// without a copy.
func (s *Slab) MarkHeader(i int, key string, start, end int) {
	id := s.names.add(key)
	if h := s.ownByID(i, id); h != nil {
		h.start, h.end = uint32(start), uint32(end)
		return
	}
	s.link(i, headerRef{key: id, start: uint32(start), end: uint32(end)})
}

// RemoveHeader removes the header key from every record.
func (s *Slab) RemoveHeader(key string) {
	id, ok := s.names.find(key)
	if !ok {
		return
	}
	n := 0
	for _, h := range s.common {
		if h.key != id {
			s.common[n] = h
			n++
		}
	}
	s.common = s.common[:n]
	for i := range s.recs {
		s.unlink(&s.recs[i], id)
	}
}

// DropHeader removes the header key from record i alone.
func (s *Slab) DropHeader(i int, key string) {
	if _, ok := s.Header(i, key); !ok {
		return
	}
	id, _ := s.names.find(key)
	s.unlink(&s.recs[i], id)
	if s.commonByID(id) != nil {
		s.link(i, headerRef{key: id, end: gone})
	}
}

// Header is the value of header key of record i.
func (s *Slab) Header(i int, key string) ([]byte, bool) {
	id, ok := s.names.find(key)
	if !ok {
		return nil, false
	}
	h := s.ownByID(i, id)
	if h == nil {
		h = s.commonByID(id)
	}
	if h == nil || h.end == gone {
		return nil, false
	}
	return s.value(h), true
}

// Headers yields the headers of record i: the common ones first, then its own,
// each group in the order it was set. No name comes twice.
func (s *Slab) Headers(i int) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for j := range s.common {
			h := &s.common[j]
			if s.recs[i].head != 0 && s.ownByID(i, h.key) != nil {
				continue
			}
			if !yield(s.names.list[h.key], s.value(h)) {
				return
			}
		}
		for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
			h := &s.own[at-1]
			if h.end != gone && !yield(s.names.list[h.key], s.value(h)) {
				return
			}
		}
	}
}

// HasHeaders says whether record i has any header.
func (s *Slab) HasHeaders(i int) bool {
	for range s.Headers(i) {
		return true
	}
	return false
}

// Common says that header key has one value for all records of the slab, and
// that value.
func (s *Slab) Common(key string) ([]byte, bool) {
	id, ok := s.names.find(key)
	if !ok {
		return nil, false
	}
	for j := range s.own {
		if s.own[j].key == id {
			return nil, false // a record may differ
		}
	}
	if h := s.commonByID(id); h != nil {
		return s.value(h), true
	}
	return nil, false
}

func (s *Slab) value(h *headerRef) []byte { return s.mem.buf[h.start:h.end:h.end] }

func (s *Slab) store(key string, value []byte) headerRef {
	start := len(s.mem.buf)
	s.mem.append(value)
	return headerRef{key: s.names.add(key), start: uint32(start), end: uint32(len(s.mem.buf))}
}

// link appends h to the own headers of record i.
func (s *Slab) link(i int, h headerRef) {
	s.own = append(s.own, h)
	at, r := uint32(len(s.own)), &s.recs[i]
	if r.head == 0 {
		r.head, r.tail = at, at
		return
	}
	s.own[r.tail-1].next = at
	r.tail = at
}

// unlink takes the header with number id out of the own headers of r.
func (s *Slab) unlink(r *span, id uint32) {
	before := uint32(0)
	for at := r.head; at != 0; at = s.own[at-1].next {
		h := &s.own[at-1]
		if h.key != id {
			before = at
			continue
		}
		h.key = nobody
		if before == 0 {
			r.head = h.next
		} else {
			s.own[before-1].next = h.next
		}
		if r.tail == at {
			r.tail = before
		}
		return
	}
}

func (s *Slab) ownByID(i int, id uint32) *headerRef {
	for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
		if s.own[at-1].key == id {
			return &s.own[at-1]
		}
	}
	return nil
}

func (s *Slab) commonByID(id uint32) *headerRef {
	for j := range s.common {
		if s.common[j].key == id {
			return &s.common[j]
		}
	}
	return nil
}
