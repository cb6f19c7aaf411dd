package check

// Judge compares what was read with what was done. It looks at every record once.
func Judge(h *History, reads Reads) *Report {
	r := &Report{}
	for _, v := range h.Live {
		r.add(v.Rule, "%s", v.What)
	}
	j := judge{h: h, r: r, all: newSeen(h), committed: newSeen(h)}
	for i := range reads {
		j.offsets(int32(i), &reads[i])
		j.records(int32(i), reads[i].All, j.all)
		j.records(int32(i), reads[i].Committed, j.committed)
		j.same(int32(i), &reads[i])
	}
	j.order(reads)
	j.transactions()
	return r
}

type judge struct {
	h              *History
	r              *Report
	all, committed seen
}

// seen is where each record of each writer was read; -1: nowhere.
type seen [][]int64

func newSeen(h *History) seen {
	s := make(seen, len(h.Writers))
	for w, writer := range h.Writers {
		s[w] = make([]int64, len(writer.Sent))
		for i := range s[w] {
			s[w][i] = -1
		}
	}
	return s
}

// offsets checks that no offset is missing and none comes twice, up to the high
// watermark, and that nothing hangs below it.
func (j *judge) offsets(p int32, part *Partition) {
	next := part.Start
	for _, e := range part.All {
		if e.Offset != next {
			j.r.add("C5", "partition %d: offset %d follows %d", p, e.Offset, next-1)
		}
		next = e.Offset + 1
	}
	if next != part.End {
		j.r.add("C5", "partition %d: read up to %d, the high watermark is %d", p, next, part.End)
	}
	if part.Stable != part.End {
		j.r.add("C7", "partition %d: a transaction hangs: the last stable offset is %d, the high watermark %d", p, part.Stable, part.End)
	}
	last := int64(-1)
	for _, e := range part.Committed {
		if e.Offset <= last {
			j.r.add("C5", "partition %d: read_committed brings %d after %d", p, e.Offset, last)
		}
		last = e.Offset
	}
}

// sent finds the record that e says it is.
func (j *judge) sent(e *Entry) *Sent {
	if int(e.Stamp.Writer) >= len(j.h.Writers) {
		return nil
	}
	w := j.h.Writers[e.Stamp.Writer]
	if e.Stamp.Seq >= uint64(len(w.Sent)) || w.Sent[e.Stamp.Seq].Txn != e.Stamp.Txn {
		return nil
	}
	return &w.Sent[e.Stamp.Seq]
}

// records checks that what was read was sent, to this partition, and is there once.
func (j *judge) records(p int32, list []Entry, at seen) {
	for i := range list {
		e := &list[i]
		if e.Control {
			continue
		}
		s := j.sent(e)
		switch {
		case e.Bad:
			j.r.add("C2", "partition %d offset %d: bytes that nobody sent", p, e.Offset)
			continue
		case s == nil:
			j.r.add("C2", "partition %d offset %d: nobody sent %+v", p, e.Offset, e.Stamp)
			continue
		case s.Partition != p:
			j.r.add("C2", "partition %d offset %d: %+v was sent to partition %d", p, e.Offset, e.Stamp, s.Partition)
			continue
		case s.Offset >= 0 && s.Offset != e.Offset:
			j.r.add("C1", "partition %d offset %d: %+v was acknowledged at %d", p, e.Offset, e.Stamp, s.Offset)
		}
		if before := at[e.Stamp.Writer][e.Stamp.Seq]; before >= 0 {
			j.r.add("C3", "partition %d offset %d: %+v was at %d already", p, e.Offset, e.Stamp, before)
			continue
		}
		at[e.Stamp.Writer][e.Stamp.Seq] = e.Offset
	}
}

// same checks that an offset has the same bytes for every reader.
func (j *judge) same(p int32, part *Partition) {
	i := 0
	for _, c := range part.Committed {
		for i < len(part.All) && part.All[i].Offset < c.Offset {
			i++
		}
		if i == len(part.All) || part.All[i].Offset != c.Offset {
			j.r.add("C5", "partition %d offset %d: only read_committed sees it", p, c.Offset)
			continue
		}
		if part.All[i].Sum != c.Sum || part.All[i].Control {
			j.r.add("C5", "partition %d offset %d: read_committed sees other bytes", p, c.Offset)
		}
	}
}

// order checks that each writer's records stand in the order in which it sent them.
func (j *judge) order(reads Reads) {
	for p := range reads {
		last := map[uint32]uint64{}
		for i := range reads[p].All {
			e := &reads[p].All[i]
			if e.Control || e.Bad || j.sent(e) == nil {
				continue
			}
			if before, ok := last[e.Stamp.Writer]; ok && e.Stamp.Seq < before {
				j.r.add("C4", "partition %d offset %d: writer %d's record %d stands behind its %d", p, e.Offset, e.Stamp.Writer, e.Stamp.Seq, before)
			}
			last[e.Stamp.Writer] = max(last[e.Stamp.Writer], e.Stamp.Seq)
		}
	}
}

// transactions checks that of each transaction all is visible or nothing, as it
// was answered, and that acknowledged records are in the log.
func (j *judge) transactions() {
	for w, writer := range j.h.Writers {
		for t, x := range writer.Txns {
			j.r.Transactions++
			j.r.Records += x.Records
			visible, missing := 0, uint64(0)
			for seq := x.First; seq < x.First+uint64(x.Records); seq++ {
				switch {
				case j.committed[w][seq] >= 0:
					visible++
				default:
					missing = seq
				}
				if s := writer.Sent[seq]; s.Offset >= 0 && j.all[w][seq] < 0 {
					j.r.add("C1", "writer %d record %d: acknowledged at %d of partition %d, and not there", w, seq, s.Offset, s.Partition)
				}
			}
			j.r.Visible += visible
			switch {
			case x.Outcome == Aborted && visible > 0:
				j.r.add("C7", "writer %d transaction %d: aborted, and %d of %d records are visible", w, t, visible, x.Records)
			case x.Outcome == Committed && visible < x.Records:
				j.r.add("C7", "writer %d transaction %d: committed, and %d of %d records are visible; %d is not", w, t, visible, x.Records, missing)
			case x.Outcome == Unknown && visible > 0 && visible < x.Records:
				j.r.add("C7", "writer %d transaction %d: torn, %d of %d records are visible; %d is not", w, t, visible, x.Records, missing)
			}
			switch x.Outcome {
			case Committed:
				j.r.Committed++
			case Aborted:
				j.r.Aborted++
			default:
				j.r.Unknown++
			}
		}
	}
}
