package record_test

import (
	"bytes"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

// What a node writes into its own logs must read back as any batch does.
func TestABuiltBatchReadsBackAsItWasWritten(t *testing.T) {
	b := record.Builder{At: 1700000000000, Transactional: true, Producer: 7, Epoch: 3}
	want := [][2][]byte{{[]byte("k"), []byte("v")}, {[]byte("gone"), nil}, {nil, bytes.Repeat([]byte("x"), 300)}}
	for _, r := range want {
		b.Add(r[0], r[1])
	}
	batch := record.Batch(b.Batch())
	if err := batch.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(batch) != b.Size() || !batch.Transactional() || batch.Control() || batch.ProducerID() != 7 ||
		batch.ProducerEpoch() != 3 || batch.BaseSequence() != -1 || batch.MaxTimestamp() != b.At {
		t.Errorf("header of %d bytes (size %d): producer %d/%d sequence %d time %d", len(batch), b.Size(),
			batch.ProducerID(), batch.ProducerEpoch(), batch.BaseSequence(), batch.MaxTimestamp())
	}
	it, n := record.Iterate(batch[record.HeaderSize:], batch.Count()), 0
	for it.Next() {
		if key, value := it.Key(), it.Value(); !bytes.Equal(key, want[n][0]) || !bytes.Equal(value, want[n][1]) ||
			(key == nil) != (want[n][0] == nil) || (value == nil) != (want[n][1] == nil) || int(it.OffsetDelta()) != n {
			t.Errorf("record %d: got %q = %q at %d", n, key, value, it.OffsetDelta())
		}
		n++
	}
	if it.Err() != nil || n != len(want) {
		t.Errorf("read %d records of %d: %v", n, len(want), it.Err())
	}
}
