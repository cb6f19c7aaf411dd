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

// kept are the large buffers that nobody uses. The collector empties a
// sync.Pool, and a node that moves much and holds little collects often; fresh
// pages then cost more than all the rest.
type kept struct {
	mu    sync.Mutex
	free  [classMax + 1][][]byte
	bytes int
}

const (
	keptMin = 16       // 64 KiB
	keptMax = 16 << 20 // bytes; beyond it a sync.Pool has the rest
)

var large kept

func (k *kept) get(class int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.free[class])
	if n == 0 {
		return nil
	}
	b := k.free[class][n-1]
	k.free[class][n-1] = nil
	k.free[class] = k.free[class][:n-1]
	k.bytes -= cap(b)
	return b
}

func (k *kept) put(class int, b []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes+cap(b) > keptMax {
		return false
	}
	k.free[class] = append(k.free[class], b[:0])
	k.bytes += cap(b)
	return true
}

// GetBuffer returns an empty buffer with room for size bytes, pooled by size
// class: fresh pages cost more than the copy into them.
func GetBuffer(size int) []byte {
	class := classFor(size)
	if class > classMax {
		return make([]byte, 0, size)
	}
	if class >= keptMin {
		if b := large.get(class); b != nil {
			return b
		}
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
	if class >= keptMin && large.put(class, b) {
		return
	}
	h := handles.Get().(*[]byte)
	*h = b[:0]
	buffers[class].Put(h)
}
