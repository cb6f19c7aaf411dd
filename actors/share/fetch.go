package share

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/persistence/record"
)

// fetch is a request on its way: a ShareFetch, or a ShareAcknowledge, which is
// the first half of one.
type fetch struct {
	request *Request
	session *session
	asked   *kmsg.ShareFetchRequest // nil: only acknowledges
	until   int64                   // ms: when it waits no longer
	pending int                     // acknowledgements that are not kept yet
	closes  bool
	reading bool
	done    bool
	waits   []*part

	said   []place // whose acknowledgements came with it, in their order
	codes  map[place]int16
	errors map[place]int16 // of the fetch
	got    []acquired
}

// acquired is what a fetch has of a partition.
type acquired struct {
	place
	runs    []Run
	batches []byte
}

// readMax is how much is read of a partition at once, readStep the first step:
// most members want few records.
const (
	readMax  = 1 << 20
	readStep = 64 << 10
)

func (a *Actor) shareFetch(q *Request, b *kmsg.ShareFetchRequest) {
	id := sessionID{deref(b.GroupID), deref(b.MemberID)}
	resp := b.ResponseKind().(*kmsg.ShareFetchResponse)
	acks := map[place][]Ack{}
	f := &fetch{request: q, asked: b, until: a.now() + int64(b.MaxWaitMillis), closes: b.ShareSessionEpoch == closing}
	for _, t := range b.Topics {
		for _, p := range t.Partitions {
			at := place{t.TopicID, p.Partition}
			for _, k := range p.AcknowledgementBatches {
				acks[at] = append(acks[at], Ack{k.FirstOffset, k.LastOffset, k.AcknowledgeTypes})
			}
			if len(p.AcknowledgementBatches) > 0 {
				f.said = append(f.said, at)
			}
		}
	}
	var code int16
	if id.member == "" || id.group == "" || b.ShareSessionEpoch == opening && len(acks) > 0 {
		code = kerr.InvalidRequest.Code
	} else {
		f.session, code = a.session(id, b.ShareSessionEpoch, a.now())
	}
	if code != 0 {
		resp.ErrorCode = code
		a.reply(q, resp)
		return
	}
	for _, t := range b.Topics {
		for _, p := range t.Partitions {
			f.session.add(place{t.TopicID, p.Partition})
		}
	}
	for _, t := range b.ForgottenTopicsData {
		for _, p := range t.Partitions {
			f.session.drop(place{t.TopicID, p})
		}
	}
	a.acknowledge(f, acks)
}

func (a *Actor) shareAcknowledge(q *Request, b *kmsg.ShareAcknowledgeRequest) {
	id := sessionID{deref(b.GroupID), deref(b.MemberID)}
	acks := map[place][]Ack{}
	f := &fetch{request: q, closes: b.ShareSessionEpoch == closing}
	for _, t := range b.Topics {
		for _, p := range t.Partitions {
			at := place{t.TopicID, p.Partition}
			f.said = append(f.said, at)
			for _, k := range p.AcknowledgementBatches {
				acks[at] = append(acks[at], Ack{k.FirstOffset, k.LastOffset, k.AcknowledgeTypes})
			}
		}
	}
	code := kerr.InvalidShareSessionEpoch.Code
	if id.member == "" || id.group == "" {
		code = kerr.InvalidRequest.Code
	} else if b.ShareSessionEpoch != opening {
		f.session, code = a.session(id, b.ShareSessionEpoch, a.now())
	}
	if code != 0 {
		resp := b.ResponseKind().(*kmsg.ShareAcknowledgeResponse)
		resp.ErrorCode = code
		a.reply(q, resp)
		return
	}
	a.acknowledge(f, acks)
}

// acknowledge takes over what a member says of records, and goes on when that
// is kept.
func (a *Actor) acknowledge(f *fetch, acks map[place][]Ack) {
	f.codes = map[place]int16{}
	id := f.session.id
	f.pending = 1
	for _, at := range f.said {
		p := a.parts[key{id.group, at.topic, at.partition}]
		switch {
		case p == nil || p.state == nil:
			f.codes[at] = kerr.InvalidRecordState.Code
		case !p.state.Acknowledge(a.now()+a.lock(id.group), id.member, acks[at]):
			f.codes[at] = kerr.InvalidRecordState.Code
		default:
			f.pending++
			a.changed(p, func(code int16) {
				if code != 0 {
					f.codes[at] = code
				}
				a.goOn(f)
			})
		}
	}
	if f.closes {
		a.close(id)
	}
	a.goOn(f)
}

// goOn goes on with a fetch when all that it waits for has come.
func (a *Actor) goOn(f *fetch) {
	if f.pending--; f.pending > 0 {
		return
	}
	if f.asked == nil || f.closes || f.asked.IsRenewAck || f.asked.MaxBytes <= 0 {
		a.answer(f)
		return
	}
	a.attempt(f)
}

// attempt reads for a fetch where there is something to read, or parks it.
func (a *Actor) attempt(f *fetch) {
	if f.done || f.reading {
		return
	}
	a.unpark(f)
	f.errors = map[place]int16{}
	var from []*part
	n := len(f.session.parts)
	for i := range n {
		at := f.session.parts[(f.session.turn+i)%n]
		p, code := a.part(key{f.session.id.group, at.topic, at.partition})
		if code != 0 {
			f.errors[at] = code
			continue
		}
		f.waits = append(f.waits, p)
		p.waiting[f] = true
		if p.state != nil && !p.busy && a.readable(p) {
			from = append(from, p)
		}
	}
	f.session.turn++
	switch {
	case len(from) > 0:
		a.read(f, from)
	case len(f.errors) > 0 || a.now() >= f.until:
		a.answer(f)
	default:
		a.parked[f] = true
	}
}

func (a *Actor) unpark(f *fetch) {
	delete(a.parked, f)
	for _, p := range f.waits {
		delete(p.waiting, f)
	}
	f.waits = f.waits[:0]
}

// readable says whether there is something that could be handed out.
func (a *Actor) readable(p *part) bool {
	if p.state.Trim(int64(p.ref.LogStart())) {
		a.changed(p, nil)
	}
	next, may := p.state.Next()
	return may && next < int64(a.end(p))
}

// end is where readers of a group have to stop.
func (a *Actor) end(p *part) record.Offset {
	if a.config(p.group, "share.isolation.level") == "read_committed" {
		return p.ref.LastStable()
	}
	return p.ref.HighWatermark()
}

// read reads in a goroutine. Meanwhile nobody else reads the same partitions.
func (a *Actor) read(f *fetch, from []*part) {
	type job struct {
		part     *part
		from, to record.Offset
	}
	var jobs []job
	for _, p := range from {
		next, _ := p.state.Next()
		p.busy = true
		jobs = append(jobs, job{p, record.Offset(next), a.end(p)})
	}
	f.reading = true
	bytes, records, s := min(int(f.asked.MaxBytes), readMax), f.wanted(), a.shares
	committed := a.config(f.session.id.group, "share.isolation.level") == "read_committed"
	go func() {
		out := read{fetch: f}
		for _, j := range jobs {
			one := found{part: j.part}
			if bytes > 0 && records > 0 {
				one = readSome(j.part, j.from, j.to, bytes, records, committed)
			}
			bytes -= len(one.batches)
			for _, r := range one.ranges {
				records -= int(r.Last - r.First + 1)
			}
			out.found = append(out.found, one)
		}
		s.put(out)
	}()
}

// wanted is how many records a fetch wants.
func (f *fetch) wanted() int {
	if f.asked.Version < 1 || f.asked.MaxRecords <= 0 {
		return 500
	}
	return int(f.asked.MaxRecords)
}

// readSome reads batches until there are as many records or bytes as wanted.
func readSome(p *part, from, to record.Offset, bytes, records int, committed bool) found {
	out := found{part: p, from: int64(from), to: int64(from)}
	for from < to && bytes > 0 && records > 0 {
		had := len(out.batches)
		buf, err := p.ref.Read(from, to, min(bytes, readStep), out.batches)
		if err != nil {
			out.err = err
			return out
		}
		out.batches = buf
		if len(buf) == had {
			return out
		}
		for at := had; at < len(buf); {
			b, _, err := record.Split(buf[at:])
			if err != nil {
				out.err, out.batches = err, buf[:at]
				return out
			}
			at += len(b)
			out.ranges = append(out.ranges, Range{int64(b.BaseOffset()), int64(b.LastOffset())})
			out.ends = append(out.ends, at)
			records -= b.Count()
			from = b.LastOffset() + 1
			out.to = int64(from)
		}
		bytes -= len(buf) - had
	}
	if committed {
		out.dropAborted()
	}
	return out
}

// dropAborted leaves out the batches of transactions that came to nothing. Their
// offsets are then a hole in the log, which nobody is handed.
func (f *found) dropAborted() {
	if len(f.ranges) == 0 {
		return
	}
	first, last := f.ranges[0].First, f.ranges[len(f.ranges)-1].Last
	aborted := f.part.ref.Aborted(record.Offset(first), record.Offset(last)+1)
	if len(aborted) == 0 {
		return
	}
	var kept []byte
	var ranges []Range
	var ends []int
	at := 0
	for i, end := range f.ends {
		b := record.Batch(f.batches[at:end])
		at = end
		dead := false
		for _, t := range aborted {
			dead = dead || b.Transactional() && !b.Control() && t.Producer == b.ProducerID() && t.First <= b.BaseOffset() && b.LastOffset() <= t.Last
		}
		if !dead {
			kept = append(kept, b...)
			ranges = append(ranges, f.ranges[i])
			ends = append(ends, len(kept))
		}
	}
	f.batches, f.ranges, f.ends = kept, ranges, ends
}

// readDone hands out what was read.
func (a *Actor) readDone(m read) {
	f := m.fetch
	f.reading = false
	left := f.wanted()
	strict := f.asked.ShareAcquireMode == 1
	for _, one := range m.found {
		p := one.part
		p.busy = false
		at := place{p.topic, p.partition}
		switch {
		case p.gone || p.state == nil || f.done:
		case one.err != nil:
			f.errors[at] = kerr.KafkaStorageError.Code
		case left > 0 && one.to > one.from:
			runs := p.state.Acquire(a.now()+a.lock(p.group), f.session.id.member, one.from, one.to, one.ranges, left, strict)
			left -= int(size(runs))
			if len(runs) > 0 {
				f.got = append(f.got, acquired{at, runs, one.cut(runs)})
			}
		}
		a.wake(p)
	}
	switch {
	case f.done:
	case len(f.got) > 0 || len(f.errors) > 0:
		a.answer(f)
	default:
		a.attempt(f)
	}
}

// cut are the batches that hold what was acquired.
func (f *found) cut(runs []Run) []byte {
	first, last, from := runs[0].First, runs[len(runs)-1].Last, 0
	start, end := -1, 0
	for i, r := range f.ranges {
		if r.Last >= first && r.First <= last {
			if start < 0 {
				start = from
			}
			end = f.ends[i]
		}
		from = f.ends[i]
	}
	return f.batches[max(start, 0):end]
}

func deref(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
