package record

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// memory is the buffer of a slab, shared by its subsets.
type memory struct {
	buf []byte
	// old are the buffers that buf has outgrown. They live as long as buf, so
	// that a body somebody looked at before the slab grew stays what it was.
	old  [][]byte
	refs atomic.Int32
}

// Buffers come in powers of two from 4 KiB to 4 MiB; larger ones are left to
// the garbage collector.
const (
	classMin = 12 // 4 KiB
	classMax = 22 // 4 MiB
)

var (
	slabs    = sync.Pool{New: func() any { return new(Slab) }}
	memories = sync.Pool{New: func() any { return new(memory) }}
	buffers  [classMax + 1]sync.Pool // of *[]byte
	handles  = sync.Pool{New: func() any { return new([]byte) }}
)

func classFor(size int) int {
	return max(classMin, bits.Len(uint(max(size, 1)-1)))
}

func newMemory(buf []byte) *memory {
	m := memories.Get().(*memory)
	m.refs.Store(1)
	m.buf = buf
	return m
}

func (m *memory) retain() { m.refs.Add(1) }

func (m *memory) release() {
	if m.refs.Add(-1) != 0 {
		return
	}
	PutBuffer(m.buf)
	for i, b := range m.old {
		PutBuffer(b)
		m.old[i] = nil
	}
	m.buf, m.old = nil, m.old[:0]
	memories.Put(m)
}

func (m *memory) append(b []byte) {
	m.grow(len(b))
	m.buf = append(m.buf, b...)
}

// grow makes room for n more bytes. Positions stay, addresses change.
func (m *memory) grow(n int) {
	if cap(m.buf)-len(m.buf) >= n {
		return
	}
	if len(m.buf)+n > math.MaxUint32 {
		panic("record: a slab cannot hold more than 4 GiB")
	}
	bigger := GetBuffer(max(len(m.buf)+n, 2*cap(m.buf)))
	bigger = append(bigger, m.buf...)
	m.old = append(m.old, m.buf)
	m.buf = bigger
}

// GetBuffer returns an empty buffer with room for size bytes, pooled by size
// class: fresh pages cost more than the copy into them.
func GetBuffer(size int) []byte {
	class := classFor(size)
	if class > classMax {
		return make([]byte, 0, size)
	}
	if h, ok := buffers[class].Get().(*[]byte); ok {
		b := *h
		*h = nil
		handles.Put(h)
		return b[:0]
	}
	return make([]byte, 0, 1<<class)
}

// PutBuffer gives a buffer of GetBuffer back. Nobody may use it afterwards.
// Buffers of other origin and those that outgrew the classes go to the garbage
// collector.
func PutBuffer(b []byte) {
	class := classFor(cap(b))
	if class > classMax || cap(b) != 1<<class {
		return
	}
	h := handles.Get().(*[]byte)
	*h = b[:0]
	buffers[class].Put(h)
}
