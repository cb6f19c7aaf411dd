package producer

import "sync/atomic"

// Partitioner chooses partitions as Kafka's clients do: by the hash of the key,
// and for records without one a partition for each batch, in turn. Records with
// the same key go where a Java client would send them.
type Partitioner struct{ turn atomic.Uint32 }

// ForKey is the partition of n that belongs to key.
func ForKey(key []byte, n int) int32 { return int32(murmur2(key)&0x7fffffff) % int32(n) }

// ForBatch is the partition of n for the next batch without keys.
func (p *Partitioner) ForBatch(n int) int32 { return int32((p.turn.Add(1) - 1) % uint32(n)) }

// murmur2 is the hash that Kafka's clients use for keys.
func murmur2(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(b))
	for len(b) >= 4 {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		b = b[4:]
		k *= m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
