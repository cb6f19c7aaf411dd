package partitionlog_test

import (
	"testing"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

func BenchmarkCheckProposeCommit(b *testing.B) {
	for name, f := range map[string]from{"plain": nobody, "idempotent": {id: 7}, "transactional": {id: 7, txn: true}} {
		b.Run(name, func(b *testing.B) {
			s, batch, base := partitionlog.New(), numbered(f, 10, 0), record.Offset(0)
			b.ReportAllocs()
			for b.Loop() {
				if dup, err := s.Check(batch, partitionlog.Client, 0); dup != nil || err != nil {
					b.Fatal(dup, err)
				}
				s.Propose(base, batch, 1)
				s.Commit(base, batch, 1)
				base += 10
				if f.id >= 0 {
					f.seq += 10
					batch[53], batch[54], batch[55], batch[56] = byte(f.seq>>24), byte(f.seq>>16), byte(f.seq>>8), byte(f.seq)
				}
			}
		})
	}
}

func BenchmarkClean(b *testing.B) {
	var records []pair
	for n := range 100 {
		records = append(records, pairOf(string(rune('a'+n%50))+"key=some value of a usual length", 0))
	}
	batch := batchOf(nobody, records...)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	c := partitionlog.NewCleaner(1<<20, nil, nil, 0, 0)
	var buf []byte
	for b.Loop() {
		c.Begin(0)
		if _, err := c.Learn(batch); err != nil {
			b.Fatal(err)
		}
		c.Begin(0)
		out, err := c.Clean(batch, false, buf[:0])
		if err != nil || record.Batch(out).Count() != 50 {
			b.Fatal(err)
		}
		buf = out
	}
}
