package partitionlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// sealed gives b the checksum that lets it into the decoder.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func eventful() (*partitionlog.State, *partitionlog.Index) {
	s, x, l := partitionlog.New(), partitionlog.NewIndex(), &memoryLog{}
	commit := func(b record.Batch) {
		record.SetLeaderEpoch(b, int32(l.next/4))
		e := l.add(b)
		s.Commit(e.Base, b, int64(e.Base)*100)
		x.Add(e, 5)
	}
	for n := range int32(7) {
		commit(numbered(from{id: 7, epoch: 1, seq: n * 2}, 2, 1000))
		commit(numbered(from{id: int64(n), epoch: 3, seq: 0, txn: true}, 1, 1000))
	}
	commit(partitionlog.AppendMarker(nil, 3, 4, partitionlog.Marker{CoordinatorEpoch: 9}, 5))
	commit(partitionlog.AppendMarker(nil, 4, 4, partitionlog.Marker{Commit: true}, 5))
	s.Expire(1<<40, 1)
	s.Trim(3)
	return s, x
}

// A snapshot comes from the disk: garbage is refused, and what is taken can be
// used and says the same again.
func FuzzStateDecode(f *testing.F) {
	s, _ := eventful()
	whole := s.Append(nil)
	f.Add(whole[:len(whole)-4])
	f.Add(partitionlog.New().Append(nil)[:7])
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 15})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := partitionlog.Decode(sealed(b))
		if err != nil {
			if !errors.Is(err, partitionlog.ErrSnapshot) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again := s.Append(nil)
		if other, err := partitionlog.Decode(again); err != nil || !bytes.Equal(other.Append(nil), again) {
			t.Fatalf("what was taken does not come back: %v", err)
		}
		for _, p := range s.Producers() {
			batch := numbered(from{id: p.ID, epoch: p.Epoch, seq: 1, txn: true}, 1, 0)
			if dup, err := s.Check(batch, partitionlog.Client, 0); err == nil && dup == nil {
				s.Propose(s.Next(), batch, 0)
				s.Commit(s.Next(), batch, 0)
			}
			marker := partitionlog.AppendMarker(nil, p.ID, p.Epoch, partitionlog.Marker{}, 0)
			s.Commit(s.Next(), marker, 0)
		}
		s.Aborted(0, s.LastStable(s.Next()))
		s.EpochEnd(3, s.Next())
		s.Trim(s.Next())
	})
}

func FuzzIndexDecode(f *testing.F) {
	_, x := eventful()
	whole := x.Append(nil)
	f.Add(whole[:len(whole)-4])
	f.Add([]byte{1, 1, 0, 2, 2, 2, 2, 2})
	f.Add([]byte{1, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := partitionlog.DecodeIndex(sealed(b))
		if err != nil {
			if !errors.Is(err, partitionlog.ErrSnapshot) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again := x.Append(nil)
		if other, err := partitionlog.DecodeIndex(again); err != nil || !bytes.Equal(other.Append(nil), again) || other.Size() != x.Size() {
			t.Fatalf("what was taken does not come back: %v", err)
		}
		x.Trim(x.Next())
		if x.Size() != 0 {
			t.Fatalf("%d bytes in nothing", x.Size())
		}
	})
}

// Batches come from strangers; their header was checked, their records were not.
func FuzzCleaner(f *testing.F) {
	f.Add([]byte(batchOf(nobody, pairOf("a=1", 5), pairOf("b", 9))))
	f.Add([]byte(batchOf(from{id: 3, epoch: 1, seq: 4, txn: true}, pairOf("a=1", 5))))
	f.Add(partitionlog.AppendMarker(nil, 3, 4, partitionlog.Marker{Commit: true}, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		batch := record.Batch(b)
		if len(b) < record.HeaderSize {
			return
		}
		sum(b)
		if batch.Check() != nil || batch.BaseOffset() < 0 || batch.BaseOffset() > 1<<60 {
			return
		}
		aborted := []partitionlog.Aborted{{Producer: 3, First: 0, Last: 1 << 61}}
		c := partitionlog.NewCleaner(0, nil, aborted, 0, 100)
		c.Begin(0)
		if _, err := c.Learn(batch); err != nil {
			return
		}
		c.Begin(0)
		out, err := c.Clean(batch, true, nil)
		if err != nil || out == nil {
			t.Fatalf("learned from, and not cleaned: %v", err)
		}
		got := record.Batch(out)
		if err := got.Validate(); err != nil || got.BaseOffset() != batch.BaseOffset() || got.LastOffsetDelta() != batch.LastOffsetDelta() || got.Count() > batch.Count() {
			t.Fatalf("offsets %d to %d, %d records: %v", got.BaseOffset(), got.LastOffset(), got.Count(), err)
		}
	})
}
