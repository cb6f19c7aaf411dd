package record

import (
	"iter"
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
	keys   []string    // header names, by headerRef.key
	now    int64       // ms since the epoch when the batch was read
	refs   atomic.Int32
}

// span is one record: its body is buf[start:end], its first own header is
// own[head-1], or none when head is 0.
type span struct {
	start, end uint32
	head       uint32
}

// headerRef is one header: keys[key] and buf[start:end]. A removed header of
// all records, as seen by one record, has gone set.
type headerRef struct {
	start, end uint32
	next       uint32 // index+1 of the next own header of the same record
	key        uint16
	gone       bool
}

// NewSlab returns an empty slab with room for about size bytes, from the pool.
// The caller holds its only reference.
func NewSlab(size int) *Slab {
	s := slabs.Get().(*Slab)
	s.mem = newMemory(size)
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
	clear(s.keys)
	s.keys = s.keys[:0]
	slabs.Put(s)
}

// Len is the number of records.
func (s *Slab) Len() int { return len(s.recs) }

// Body is the body of record i. It is valid until the slab is released.
func (s *Slab) Body(i int) []byte {
	r := &s.recs[i]
	return s.mem.buf[r.start:r.end:r.end]
}

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
	for _, i := range which {
		c.recs = append(c.recs, s.recs[i])
	}
	c.common = append(c.common, s.common...)
	c.own = append(c.own, s.own...)
	c.keys = append(c.keys, s.keys...)
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
	if h := s.ownOf(i, key); h != nil {
		start := len(s.mem.buf)
		s.mem.append(value)
		h.start, h.end, h.gone = uint32(start), uint32(len(s.mem.buf)), false
		return
	}
	h := s.store(key, value)
	s.link(i, h)
}

// MarkHeader sets a header of record i to the claimed bytes [start, end),
// without a copy.
func (s *Slab) MarkHeader(i int, key string, start, end int) {
	if h := s.ownOf(i, key); h != nil {
		h.start, h.end, h.gone = uint32(start), uint32(end), false
		return
	}
	s.link(i, headerRef{key: s.keyID(key), start: uint32(start), end: uint32(end)})
}

// RemoveHeader removes the header key from every record.
func (s *Slab) RemoveHeader(key string) {
	id, ok := s.findKey(key)
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
		for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
			if s.own[at-1].key == id {
				s.own[at-1].gone = true
			}
		}
	}
}

// DropHeader removes the header key from record i alone.
func (s *Slab) DropHeader(i int, key string) {
	if h := s.ownOf(i, key); h != nil {
		h.gone = true
		return
	}
	if _, ok := s.Header(i, key); ok {
		s.link(i, headerRef{key: s.keyID(key), gone: true})
	}
}

// Header is the value of header key of record i.
func (s *Slab) Header(i int, key string) ([]byte, bool) {
	id, ok := s.findKey(key)
	if !ok {
		return nil, false
	}
	for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
		if h := &s.own[at-1]; h.key == id {
			return s.mem.buf[h.start:h.end:h.end], !h.gone
		}
	}
	for j := range s.common {
		if h := &s.common[j]; h.key == id {
			return s.mem.buf[h.start:h.end:h.end], true
		}
	}
	return nil, false
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
			if !yield(s.keys[h.key], s.mem.buf[h.start:h.end:h.end]) {
				return
			}
		}
		for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
			h := &s.own[at-1]
			if !h.gone && !yield(s.keys[h.key], s.mem.buf[h.start:h.end:h.end]) {
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
	id, ok := s.findKey(key)
	if !ok {
		return nil, false
	}
	for j := range s.own {
		if s.own[j].key == id {
			return nil, false // a record may differ
		}
	}
	for j := range s.common {
		if h := &s.common[j]; h.key == id {
			return s.mem.buf[h.start:h.end:h.end], true
		}
	}
	return nil, false
}

func (s *Slab) store(key string, value []byte) headerRef {
	id := s.keyID(key)
	start := len(s.mem.buf)
	s.mem.append(value)
	return headerRef{key: id, start: uint32(start), end: uint32(len(s.mem.buf))}
}

// link appends h to the own headers of record i.
func (s *Slab) link(i int, h headerRef) {
	s.own = append(s.own, h)
	at := uint32(len(s.own))
	if s.recs[i].head == 0 {
		s.recs[i].head = at
		return
	}
	last := s.recs[i].head
	for s.own[last-1].next != 0 {
		last = s.own[last-1].next
	}
	s.own[last-1].next = at
}

func (s *Slab) ownOf(i int, key string) *headerRef {
	id, ok := s.findKey(key)
	if !ok {
		return nil
	}
	return s.ownByID(i, id)
}

func (s *Slab) ownByID(i int, id uint16) *headerRef {
	for at := s.recs[i].head; at != 0; at = s.own[at-1].next {
		if s.own[at-1].key == id {
			return &s.own[at-1]
		}
	}
	return nil
}

func (s *Slab) findKey(key string) (uint16, bool) {
	for i, k := range s.keys {
		if k == key {
			return uint16(i), true
		}
	}
	return 0, false
}

func (s *Slab) keyID(key string) uint16 {
	if id, ok := s.findKey(key); ok {
		return id
	}
	s.keys = append(s.keys, key)
	return uint16(len(s.keys) - 1)
}
