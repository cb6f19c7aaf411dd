package partitionlog

import (
	"hash/maphash"

	"github.com/sluicehq/sluice/persistence/record"
)

// offsetMap knows the newest offset of every key of a range of a log, in a
// bounded memory. It holds no keys but 128 bits of hash with seeds that nobody
// outside knows: two keys that share them would cost a record, which at a
// million keys happens once in 10^26 passes.
type offsetMap struct {
	slots []slot
	used  int
	max   int // slots
	seeds [2]maphash.Seed
}

type slot struct {
	hash [2]uint64
	next record.Offset // one past the newest; 0: the slot is free
}

const (
	slotBytes = 24
	slotsMin  = 1 << 10
)

// newOffsetMap makes one that takes at most so many bytes.
func newOffsetMap(bytes int) *offsetMap {
	m := &offsetMap{max: slotsMin, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for 2*m.max*slotBytes <= bytes {
		m.max *= 2
	}
	m.slots = make([]slot, slotsMin)
	return m
}

// takes says whether n more keys find room.
func (m *offsetMap) takes(n int) bool { return m.used+n <= m.max/4*3 }

// put notes that key has a record at offset; offsets ascend.
func (m *offsetMap) put(key []byte, offset record.Offset) {
	if m.used >= len(m.slots)/4*3 {
		m.grow()
	}
	s := m.find(m.hash(key))
	if s.next == 0 {
		s.hash = m.hash(key)
		m.used++
	}
	s.next = max(s.next, offset+1)
}

// newest is the newest offset of key; ok is false when it is not known.
func (m *offsetMap) newest(key []byte) (offset record.Offset, ok bool) {
	s := m.find(m.hash(key))
	return s.next - 1, s.next > 0
}

func (m *offsetMap) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)}
}

// find returns the slot with this hash, or the free one where it belongs.
func (m *offsetMap) find(hash [2]uint64) *slot {
	mask := uint64(len(m.slots) - 1)
	for at := hash[0] & mask; ; at = (at + 1) & mask {
		if s := &m.slots[at]; s.next == 0 || s.hash == hash {
			return s
		}
	}
}

func (m *offsetMap) grow() {
	old := m.slots
	m.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.next > 0 {
			*m.find(s.hash) = s
		}
	}
}
