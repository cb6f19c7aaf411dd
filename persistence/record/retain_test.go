package record_test

import (
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

// withCodec compresses a built batch by keeping all of its records.
func withCodec(t *testing.T, b record.Batch, codec record.Codec) record.Batch {
	t.Helper()
	s, err := record.Decode(append([]byte(nil), b...))
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Encode(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Compaction removes records from the middle of batches; what stays must be
// what it was, offsets and times included.
func TestRecordsThatStayKeepTheirOffsetsAndTimes(t *testing.T) {
	for codec := record.None; codec <= record.Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			var b record.Builder
			b.At = 5000
			for n := range 10 {
				b.Add(nil, fmt.Appendf(nil, "value %d", n))
			}
			batch := withCodec(t, b.Batch(), codec)
			record.SetBaseOffset(batch, 70)
			keep := make([]bool, 10)
			keep[3], keep[9] = true, true
			once := retain(t, batch, keep, record.NoHorizon)
			if _, ok := once.DeleteHorizon(); ok {
				t.Error("there is a delete horizon that nobody set")
			}
			twice := retain(t, once, []bool{true, true}, 9000)
			if at, ok := twice.DeleteHorizon(); !ok || at != 9000 {
				t.Errorf("the delete horizon is %d %t, want 9000", at, ok)
			}
			for _, got := range []record.Batch{once, twice} {
				if got.BaseOffset() != 70 || got.LastOffset() != 79 || got.Count() != 2 || got.MaxTimestamp() != 5000 || got.Codec() != codec {
					t.Fatalf("offsets %d to %d, %d records, time %d, %s", got.BaseOffset(), got.LastOffset(), got.Count(), got.MaxTimestamp(), got.Codec())
				}
				records, _, err := got.Payload(record.DefaultLimits)
				if err != nil {
					t.Fatal(err)
				}
				it := record.Iterate(records, got.Count())
				for _, want := range []int32{3, 9} {
					if !it.Next() || it.OffsetDelta() != want || string(it.Value()) != fmt.Sprintf("value %d", want) || got.BaseTimestamp()+it.TimestampDelta() != 5000 {
						t.Fatalf("record %q at %d of time %d, want number %d; %v", it.Value(), it.OffsetDelta(), got.BaseTimestamp()+it.TimestampDelta(), want, it.Err())
					}
				}
			}
			empty := retain(t, twice, []bool{false, false}, record.NoHorizon)
			if len(empty) != record.HeaderSize || empty.LastOffset() != 79 || empty.Count() != 0 || empty.MaxTimestamp() != 5000 {
				t.Errorf("without records: %d bytes up to offset %d, time %d", len(empty), empty.LastOffset(), empty.MaxTimestamp())
			}
		})
	}
}

func retain(t *testing.T, b record.Batch, keep []bool, horizon int64) record.Batch {
	t.Helper()
	records, _, err := b.Payload(record.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Retain(nil, records, keep, horizon)
	if err != nil {
		t.Fatal(err)
	}
	got := record.Batch(out)
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	return got
}
