package kafka

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed gives a batch the CRC of its bytes.
func sealed(b []byte) []byte {
	if len(b) >= record.HeaderSize {
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	}
	return b
}

// batchOf is one batch of records with these values.
func batchOf(values ...string) []byte {
	var b record.Builder
	for _, v := range values {
		b.Add([]byte("key"), []byte(v))
	}
	return b.Batch()
}

// What a client may store is what franz-go's decoders take for a batch, with the
// same header and, where our iterator finds nothing wrong, the same records.
func FuzzRecordBatch(f *testing.F) {
	f.Add(batchOf("a", "b", "c"), false)
	f.Add(batchOf(""), true)
	for _, at := range []int{0, 8, 11, 16, 22, 23, 26, 43, 51, 57, 60, 61, 64} {
		b := batchOf("a", "b", "c")
		b[at] ^= 0x81
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal {
			data = sealed(bytes.Clone(data))
		}
		b := record.Batch(data)
		if checkBatch(b, 13) != nil {
			return
		}
		var header kmsg.RecordBatch
		if err := header.ReadFrom(data); err != nil {
			t.Fatalf("taken for a batch, but kmsg says: %v", err)
		}
		if int(header.NumRecords) != b.Count() || header.LastOffsetDelta != b.LastOffsetDelta() || header.ProducerID != b.ProducerID() ||
			header.FirstSequence != b.BaseSequence() || header.Attributes != b.Attributes() || header.MaxTimestamp != b.MaxTimestamp() {
			t.Fatalf("kmsg reads another header: %+v", header)
		}
		payload, pooled, err := b.Payload(record.DefaultLimits)
		if err != nil {
			return
		}
		if pooled {
			defer record.PutBuffer(payload)
		}
		var values [][]byte
		it := record.Iterate(payload, b.Count())
		for it.Next() {
			if int(it.OffsetDelta()) != len(values) {
				return // a reader that trusts the deltas sees others
			}
			values = append(values, it.Value())
		}
		if it.Err() != nil {
			return
		}
		record.SetBaseOffset(data, 0)
		partition := kmsg.NewFetchResponseTopicPartition()
		partition.RecordBatches = data
		read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &partition, kgo.DefaultDecompressor(), nil)
		if read.Err != nil || len(read.Records) != len(values) || next != int64(len(values)) {
			t.Fatalf("kgo reads %d records up to %d and says %v; there are %d", len(read.Records), next, read.Err, len(values))
		}
		for i, r := range read.Records {
			if !bytes.Equal(r.Value, values[i]) {
				t.Fatalf("record %d: kgo reads %q, we %q", i, r.Value, values[i])
			}
		}
	})
}
