package check

import (
	"slices"
	"strings"
	"testing"
)

// sound is a history of two writers with a committed and an aborted transaction
// each, and what an honest broker shows of it.
func sound() (*History, Reads) {
	h := &History{}
	reads := Reads{{}, {}}
	for w := range uint32(2) {
		writer := &Writer{}
		for t, outcome := range []Outcome{Committed, Aborted, Unknown} {
			first := uint64(len(writer.Sent))
			writer.Txns = append(writer.Txns, Txn{First: first, Records: 4, Outcome: outcome})
			for i := range uint64(4) {
				p := int32(i % 2)
				part := &reads[p]
				e := Entry{Offset: part.End, Stamp: Stamp{Writer: w, Txn: uint32(t), Seq: first + i}, Sum: uint32(7*first + i)}
				part.All = append(part.All, e)
				if outcome == Committed {
					part.Committed = append(part.Committed, e)
				}
				writer.Sent = append(writer.Sent, Sent{Txn: uint32(t), Partition: p, Offset: part.End})
				part.End++
			}
			for p := range reads {
				reads[p].All = append(reads[p].All, Entry{Offset: reads[p].End, Control: true})
				reads[p].End++
			}
		}
		h.Writers = append(h.Writers, writer)
	}
	for p := range reads {
		reads[p].Stable = reads[p].End
	}
	return h, reads
}

func TestAnHonestBrokerPasses(t *testing.T) {
	r := Judge(sound())
	if !r.OK() || r.Transactions != 6 || r.Committed != 2 || r.Aborted != 2 || r.Unknown != 2 || r.Records != 24 || r.Visible != 8 {
		t.Errorf("got %s", r)
	}
}

// A checker that finds nothing proves nothing: each kind of lie must be told.
func TestEveryLieIsFound(t *testing.T) {
	shift := func(list []Entry, from int, by int64) {
		for i := from; i < len(list); i++ {
			list[i].Offset += by
		}
	}
	for _, c := range []struct {
		name, rule, says string
		lie              func(h *History, r Reads)
	}{
		{"an acknowledged record is gone", "C1", "not there", func(h *History, r Reads) {
			r[0].All = slices.Delete(r[0].All, 0, 1)
			r[0].Committed = slices.Delete(r[0].Committed, 0, 1)
		}},
		{"a record is not where its answer said", "C1", "was acknowledged at 0", func(h *History, r Reads) {
			shift(r[0].All, 0, 1)
			shift(r[0].Committed, 0, 1)
			r[0].Start++
			r[0].End++
			r[0].Stable++
		}},
		{"a record that nobody sent", "C2", "nobody sent", func(h *History, r Reads) { r[0].All[0].Stamp.Seq = 99 }},
		{"a record of another transaction", "C2", "nobody sent", func(h *History, r Reads) { r[0].All[0].Stamp.Txn = 1 }},
		{"bytes that nobody sent", "C2", "bytes that nobody sent", func(h *History, r Reads) { r[0].All[0].Bad = true }},
		{"a record in another partition", "C2", "was sent to partition 1", func(h *History, r Reads) {
			r[0].All[0].Stamp = r[1].All[0].Stamp
		}},
		{"a record twice", "C3", "was at 0 already", func(h *History, r Reads) { r[0].All[1].Stamp = r[0].All[0].Stamp }},
		{"records in another order", "C4", "stands behind", func(h *History, r Reads) {
			r[0].All[0].Stamp, r[0].All[1].Stamp = r[0].All[1].Stamp, r[0].All[0].Stamp
		}},
		{"an offset that is missing", "C5", "offset 3 follows 1", func(h *History, r Reads) { r[0].All = slices.Delete(r[0].All, 2, 3) }},
		{"an offset twice", "C5", "offset 1 follows 1", func(h *History, r Reads) { shift(r[0].All, 2, -1) }},
		{"the end is not readable", "C5", "the high watermark is", func(h *History, r Reads) { r[0].End++ }},
		{"other bytes for another reader", "C5", "other bytes", func(h *History, r Reads) { r[0].Committed[0].Sum++ }},
		{"a record only some can see", "C5", "only read_committed", func(h *History, r Reads) {
			r[0].All = slices.DeleteFunc(r[0].All, func(e Entry) bool { return e.Offset == 1 })
		}},
		{"a watermark that went back", "C6", "went back", func(h *History, r Reads) {
			h.Live = append(h.Live, Violation{"C6", "partition 0: the high watermark went back"})
		}},
		{"an aborted record is visible", "C7", "aborted, and 1 of 4", func(h *History, r Reads) {
			r[0].Committed = slices.Insert(r[0].Committed, 2, r[0].All[3])
		}},
		{"a committed record is not visible", "C7", "committed, and 3 of 4", func(h *History, r Reads) {
			r[0].Committed = slices.Delete(r[0].Committed, 0, 1)
		}},
		{"a transaction is torn", "C7", "torn, 1 of 4", func(h *History, r Reads) {
			r[0].Committed = slices.Insert(r[0].Committed, 2, r[0].All[6])
		}},
		{"a transaction hangs", "C7", "hangs", func(h *History, r Reads) { r[1].Stable-- }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, reads := sound()
			c.lie(h, reads)
			r := Judge(h, reads)
			if r.Found[c.rule] == 0 || !strings.Contains(r.String(), c.says) {
				t.Errorf("want %s with %q, got\n%s", c.rule, c.says, r)
			}
		})
	}
}

func TestAStampReadsBackAndNoticesAFlippedBit(t *testing.T) {
	for seq := range uint64(500) {
		s := Stamp{Writer: 3, Txn: uint32(seq / 4), Seq: seq}
		b := s.Append(nil)
		if got, err := ParseStamp(b); err != nil || got != s {
			t.Fatalf("%+v reads back as %+v: %v", s, got, err)
		}
		b[int(seq)%len(b)] ^= 1 << (seq % 8)
		if got, err := ParseStamp(b); err == nil {
			t.Fatalf("%+v with a flipped bit reads as %+v", s, got)
		}
	}
}
