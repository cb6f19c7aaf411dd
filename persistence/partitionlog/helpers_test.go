package partitionlog_test

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// from is a producer; of nobody the id is -1.
type from struct {
	id    int64
	epoch int16
	seq   int32
	txn   bool
}

var nobody = from{id: -1, epoch: -1, seq: -1}

// pair is a record: nil is null.
type pair struct {
	key, value []byte
	time       int64
}

func pairOf(s string, time int64) pair {
	key, value, ok := strings.Cut(s, "=")
	p := pair{time: time}
	if key != "" {
		p.key = []byte(key)
	}
	if ok {
		p.value = []byte(value)
	}
	return p
}

// batchOf makes a batch whose base offset is 0.
func batchOf(f from, records ...pair) record.Batch {
	var b record.Builder
	for _, r := range records {
		b.Add(r.key, r.value)
	}
	b.At = records[0].time
	b.Transactional = f.txn
	out := record.Batch(b.Batch())
	last := records[0].time
	for _, r := range records {
		last = max(last, r.time)
	}
	be := binary.BigEndian
	be.PutUint64(out[43:], uint64(f.id))
	be.PutUint16(out[51:], uint16(f.epoch))
	be.PutUint32(out[53:], uint32(f.seq))
	sum(out)
	if last == records[0].time {
		return out
	}
	// Times differ: the deltas are written by hand.
	out = append(out[:record.HeaderSize:record.HeaderSize], timed(records)...)
	be.PutUint32(out[8:], uint32(len(out)-12))
	be.PutUint64(out[35:], uint64(last))
	sum(out)
	return out
}

func sum(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

func timed(records []pair) (out []byte) {
	field := func(dst, b []byte) []byte {
		if b == nil {
			return binary.AppendVarint(dst, -1)
		}
		return append(binary.AppendVarint(dst, int64(len(b))), b...)
	}
	for n, r := range records {
		body := binary.AppendVarint([]byte{0}, r.time-records[0].time)
		body = binary.AppendVarint(body, int64(n))
		body = append(field(field(body, r.key), r.value), 0)
		out = append(binary.AppendVarint(out, int64(len(body))), body...)
	}
	return out
}

// numbered is a batch of count records that nobody looks into.
func numbered(f from, count int, time int64) record.Batch {
	records := make([]pair, count)
	for i := range records {
		records[i] = pair{key: []byte("k"), value: []byte("v"), time: time}
	}
	return batchOf(f, records...)
}

// memoryLog is a log without a disk.
type memoryLog struct {
	start, next record.Offset
	entries     []persistence.Entry
	batches     []record.Batch
}

func (l *memoryLog) Start() record.Offset { return l.start }

func (l *memoryLog) add(b record.Batch) persistence.Entry {
	record.SetBaseOffset(b, l.next)
	e := persistence.Entry{Base: l.next, Last: b.LastOffset(), Bytes: len(b), MaxTime: b.MaxTimestamp()}
	l.entries, l.batches = append(l.entries, e), append(l.batches, b)
	l.next = e.Last + 1
	return e
}

func (l *memoryLog) trim(to record.Offset) {
	l.start = to
	n := 0
	for n < len(l.entries) && l.entries[n].Last < to {
		n++
	}
	l.entries, l.batches = l.entries[n:], l.batches[n:]
}

func (l *memoryLog) Entries(from record.Offset, fn func(persistence.Entry) bool) error {
	for _, e := range slices.Clone(l.entries) {
		if e.Last >= from && !fn(e) {
			break
		}
	}
	return nil
}

func (l *memoryLog) Read(e persistence.Entry, buf []byte) ([]byte, error) {
	for i := range l.entries {
		if l.entries[i].Last == e.Last {
			return append(buf, l.batches[i]...), nil
		}
	}
	return buf, persistence.ErrTrimmed
}
