package partitionlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
)

// ErrSnapshot says that bytes are no snapshot of a State.
var ErrSnapshot = errors.New("not a snapshot of a partition's state")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	snapshotVersion = 1
	snapshotForgot  = 1 // flag

	producerBytesMin = 7 // every number takes one byte at least
	epochBytesMin    = 2
	abortedBytesMin  = 4
)

// Append appends a snapshot of what is committed to b; FORMAT.md describes it.
func (s *State) Append(b []byte) []byte {
	from := len(b)
	flags := byte(0)
	if s.forgot {
		flags = snapshotForgot
	}
	b = append(b, snapshotVersion, flags)
	b = binary.AppendVarint(b, int64(s.start))
	b = binary.AppendVarint(b, int64(s.next))
	ids := make([]int64, 0, len(s.producers))
	for id := range s.producers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = s.producers[id].append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		b = binary.AppendVarint(b, int64(e.Epoch))
		b = binary.AppendVarint(b, int64(e.Start))
	}
	b = binary.AppendUvarint(b, uint64(len(s.aborted)))
	for _, a := range s.aborted {
		for _, v := range [...]int64{a.Producer, int64(a.First), int64(a.Last), int64(a.LastStable)} {
			b = binary.AppendVarint(b, v)
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

func (p *producer) append(b []byte) []byte {
	for _, v := range [...]int64{p.id, int64(p.epoch), int64(p.coordinatorEpoch), int64(p.txnFirst), int64(p.lastMarker), p.lastTime} {
		b = binary.AppendVarint(b, v)
	}
	b = append(b, p.count)
	for _, r := range p.batches[:p.count] {
		for _, v := range [...]int64{int64(r.FirstSeq), int64(r.LastSeq), int64(r.Base), r.Time} {
			b = binary.AppendVarint(b, v)
		}
	}
	return b
}

// Decode reads what Append wrote. Nothing in b is trusted.
func Decode(b []byte) (*State, error) {
	if len(b) < 4 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: %d bytes, or their checksum", ErrSnapshot, len(b))
	}
	r := &reader{b: b[:len(b)-4]}
	if v := r.byte(); v != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, %d is known", ErrSnapshot, v, snapshotVersion)
	}
	s := New()
	s.forgot = r.byte()&snapshotForgot != 0
	s.start, s.next = r.offset(), r.offset()
	var open []*producer
	for n := r.count(producerBytesMin); n > 0 && !r.bad; n-- {
		p := r.producer()
		if s.producers[p.id] != nil {
			r.bad = true
			break
		}
		s.producers[p.id] = p
		if p.txnFirst >= 0 {
			open = append(open, p)
		}
	}
	for n := r.count(epochBytesMin); n > 0 && !r.bad; n-- {
		s.epochs = append(s.epochs, Epoch{int32(r.within(0, 1<<31-1)), r.offset()})
	}
	for n := r.count(abortedBytesMin); n > 0 && !r.bad; n-- {
		s.aborted = append(s.aborted, Aborted{r.within(0, 1<<63-1), r.offset(), r.offset(), r.offset()})
	}
	if r.bad || len(r.b) > 0 || !s.sorted() {
		return nil, fmt.Errorf("%w: its content", ErrSnapshot)
	}
	slices.SortFunc(open, func(a, b *producer) int { return int(a.txnFirst - b.txnFirst) })
	for _, p := range open {
		s.open(p)
	}
	return s, nil
}

// sorted says whether the tables have the order that look-ups rely on.
func (s *State) sorted() bool {
	epochs := slices.IsSortedFunc(s.epochs, func(a, b Epoch) int {
		return min(int(a.Epoch)-int(b.Epoch), int(a.Start-b.Start))
	})
	return epochs && slices.IsSortedFunc(s.aborted, func(a, b Aborted) int { return int(a.Last - b.Last) })
}

// reader takes numbers off b; bad once something was wrong.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) within(low, high int64) int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || v < low || v > high {
		r.bad, r.b = true, nil
		return low
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) offset() record.Offset { return record.Offset(r.within(0, 1<<62)) }

// count reads a count of things that take at least size bytes each.
func (r *reader) count(size int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) producer() *producer {
	p := &producer{
		id:               r.within(0, 1<<63-1),
		epoch:            int16(r.within(0, 1<<15-1)),
		coordinatorEpoch: int32(r.within(-1, 1<<31-1)),
		txnFirst:         record.Offset(r.within(-1, 1<<62)),
		lastMarker:       record.Offset(r.within(-1, 1<<62)),
		lastTime:         r.within(-1<<63, 1<<63-1),
	}
	count := r.byte()
	if count > remembered {
		r.bad = true
		return p
	}
	for ; p.count < count; p.count++ {
		p.batches[p.count] = SequenceRange{
			FirstSeq: int32(r.within(0, 1<<31-1)), LastSeq: int32(r.within(0, 1<<31-1)),
			Base: r.offset(), Time: r.within(-1<<63, 1<<63-1),
		}
	}
	return p
}
