package segment

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestTheChecksumOfAWholeFollowsFromItsParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 3<<20)
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	for _, n := range []int{0, 1, 2, 20, 21, 22, 61, 4096, 65537, 1 << 20, len(text)} {
		for _, at := range []int{0, 1, 21, n / 2, n} {
			if at > n {
				continue
			}
			a, b := text[:at], text[at:n]
			got := combine(crc32.Checksum(a, Table), crc32.Checksum(b, Table), len(b))
			if want := crc32.Checksum(text[:n], Table); got != want {
				t.Fatalf("%d bytes cut at %d: %08x, want %08x", n, at, got, want)
			}
		}
	}
}

func BenchmarkCombine(b *testing.B) {
	for b.Loop() {
		_ = combine(0x12345678, 0x9abcdef0, 65_537)
	}
}
