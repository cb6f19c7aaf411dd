package record_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

func TestAKafkaClientReadsWhatIsPacked(t *testing.T) {
	var p record.Packer
	for _, codec := range codecs {
		p.Reset()
		for i := range 300 {
			before := p.Size()
			key, headers := []byte(nil), []record.RecordHeader(nil)
			if i%2 == 0 {
				key = fmt.Appendf(nil, "k%d", i)
				headers = []record.RecordHeader{{Name: "h", Value: []byte("v")}, {Name: "none", Value: nil}}
			}
			value := bytes.Repeat([]byte{byte(i)}, i)
			p.Add(key, value, headers, int64(10_000-i))
			if need := p.Need(key, value, headers); p.Size()-before > need {
				t.Fatalf("record %d took %d bytes, %d were foretold", i, p.Size()-before, need)
			}
		}
		raw, err := p.Batch(codec, 7, 3, 41)
		if err != nil {
			t.Fatal(err)
		}
		b := record.Batch(raw)
		if err := b.Validate(); err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
		if b.ProducerID() != 7 || b.ProducerEpoch() != 3 || b.BaseSequence() != 41 || b.MaxTimestamp() != 10_000 || b.Count() != 300 {
			t.Fatalf("%v: producer %d, epoch %d, sequence %d, %d records up to %d", codec, b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Count(), b.MaxTimestamp())
		}
		record.SetBaseOffset(raw, 1000)
		got := kgoRecords(t, raw)
		if len(got) != 300 {
			t.Fatalf("%v: %d records", codec, len(got))
		}
		for i, r := range got {
			if len(r.Value) != i || r.Timestamp.UnixMilli() != int64(10_000-i) || (r.Key != nil) != (i%2 == 0) || len(r.Headers) != 2*((i+1)%2) {
				t.Fatalf("%v: record %d: %+v", codec, i, r)
			}
		}
	}
	p.Reset()
	if _, err := p.Batch(record.None, -1, -1, -1); err == nil {
		t.Error("a batch of no records")
	}
}

func BenchmarkPack(b *testing.B) {
	var p record.Packer
	key, value := []byte("key"), bytes.Repeat([]byte("x"), 200)
	headers := []record.RecordHeader{{Name: "host", Value: []byte("web-17")}}
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		for i := range 100 {
			p.Add(key, value, headers, int64(i))
		}
		if _, err := p.Batch(record.None, 7, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}
