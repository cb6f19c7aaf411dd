package producer_test

import (
	"testing"

	"github.com/sluicehq/sluice/actors/producer"
)

// The hashes are those that Kafka's own tests of its clients expect.
func TestRecordsWithAKeyGoWhereAJavaClientSendsThem(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		for _, n := range []int{1, 4, 12, 1000} {
			if got, want := producer.ForKey([]byte(key), n), (hash&0x7fffffff)%int32(n); got != want {
				t.Errorf("%q of %d: partition %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestBatchesWithoutAKeyTakeTurns(t *testing.T) {
	var p producer.Partitioner
	for i := range int32(7) {
		if got := p.ForBatch(3); got != i%3 {
			t.Errorf("batch %d goes to partition %d", i, got)
		}
	}
}
