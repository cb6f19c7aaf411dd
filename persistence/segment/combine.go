package segment

import (
	"encoding/binary"
	"hash/crc32"
)

// Of a text A behind which B stands the checksum follows from those of A and B
// and the length of B: CRC(AB) = CRC(A)·x^(8·len B) + CRC(B), over the
// polynomials with coefficients 0 and 1, modulo that of CRC-32C. So a batch
// whose own checksum is known is not read a second time for that of its frame.

// castagnoli is the polynomial of CRC-32C with its bits reversed, the highest
// bit for x^0.
const castagnoli = 0x82f63b78

// powers[k] is x^(2^k).
var powers = func() (p [32]uint32) {
	p[0] = 1 << 30
	for k := 1; k < len(p); k++ {
		p[k] = multiply(p[k-1], p[k-1])
	}
	return p
}()

// multiply is a·b modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a &^= bit
		}
		if b&1 != 0 {
			b = b>>1 ^ castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}

// combine is the checksum of A and B together, of the checksums of both and the
// length of B in bytes, below 2^28.
func combine(a, b uint32, length int) uint32 {
	shift := uint32(1) << 31 // x^0
	for k := 3; length > 0; k, length = k+1, length>>1 {
		if length&1 != 0 {
			shift = multiply(powers[k], shift)
		}
	}
	return multiply(shift, a) ^ b
}

const (
	// A RecordBatch v2 holds at batchCRC the checksum of what begins behind it.
	batchCRC = 17
	// combineMin is from how many bytes on it pays to combine: below, a checksum
	// costs no more.
	combineMin = 4 << 10
)

// sum is the checksum of the payload of f.
func (f *Frame) sum() uint32 {
	p := f.Payload
	if !f.Summed || len(p) < combineMin {
		return crc32.Checksum(p, Table)
	}
	rest := batchCRC + 4
	return combine(crc32.Checksum(p[:rest], Table), binary.BigEndian.Uint32(p[batchCRC:]), len(p)-rest)
}
