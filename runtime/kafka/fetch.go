package kafka

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/consumer"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// Fetch (1), versions 4 to 18: records of many partitions, as they are stored.
//
//   - The answer waits for min bytes over all partitions, at most for max wait,
//     and is woken by what is appended or committed. Any error in a partition is
//     answered at once. It is made when those before it have been sent, so a
//     connection never holds the records of two.
//   - The first batch goes out whole even if it is larger than every maximum.
//     What a client may get at once is bounded by this server, too.
//   - From version 7 on sessions (fetch_session.go): who keeps one sends and
//     gets what has changed. From 12 on clients say the epoch of their last
//     record and are told where logs have parted; from 13 on topics are ids.
//   - Readers of committed records get the list of the aborted transactions,
//     others get null.
//   - Batches in zstd are an error for clients of before version 10.
func (s *Server) fetch(r *request) {
	req := r.body.(*kmsg.FetchRequest)
	f := &fetch{request: r, server: s, committed: req.IsolationLevel == 1}
	f.context, f.code = s.sessions.context(req, r.version)
	if f.code != 0 {
		r.answerLate(f)
		return
	}
	f.wants = make([]consumer.Want, 0, len(f.context.parts))
	for _, p := range f.context.parts {
		f.wants = append(f.wants, f.want(p))
	}
	wait := time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond
	o := consumer.Options{
		MinBytes: int(max(req.MinBytes, 0)), MaxBytes: min(int(max(req.MaxBytes, 0)), s.limits.FetchMax),
		Wait: min(wait, fetchWaitMax), Committed: f.committed,
	}
	poll, now := consumer.Start(f.wants, o, f.ready)
	switch {
	case now:
		f.ready(poll)
	case !r.whenGone(poll.Cancel):
		poll.Cancel()
	}
}

// fetchWaitMax bounds how long a fetch may be parked.
const fetchWaitMax = 5 * time.Minute

// fetch is one Fetch request on its way.
type fetch struct {
	server    *Server
	request   *request
	context   *fetchContext
	code      int16 // of the whole answer
	committed bool
	wants     []consumer.Want
	poll      *consumer.Fetch
	charged   int64
}

// want finds the partition of p.
func (f *fetch) want(p *fetchPart) consumer.Want {
	w := consumer.Want{From: record.Offset(p.offset), MaxBytes: int(max(p.maxBytes, 0)), CurrentEpoch: p.currentEpoch, LastEpoch: p.lastEpoch}
	image := f.server.image()
	switch {
	case f.request.version >= 13:
		t, ok := image.TopicByID(p.topic.id)
		if !ok {
			w.Err = kerr.UnknownTopicID
			return w
		}
		w.Ref, w.Err = f.server.partition(t, p.index)
		p.topic.name = t.Name
	default:
		t, _ := image.Topic(p.topic.name)
		w.Ref, w.Err = f.server.partition(t, p.index)
	}
	return w
}

func (f *fetch) ready(poll *consumer.Fetch) {
	f.poll = poll
	f.request.answerLate(f)
}

// write reads the records and adds the answer.
func (f *fetch) write(out *output) {
	r := f.request
	at, size := out.beginFrame()
	out.small = binary.BigEndian.AppendUint32(out.small, uint32(r.correlation))
	flexible := r.version >= 12
	out.small = appendNoTags(out.small, flexible)
	var results []consumer.Result
	if f.code == 0 {
		results = f.read()
		f.context.settle(results)
	}
	b := binary.BigEndian.AppendUint32(out.small, 0) // throttle
	if r.version >= 7 {
		b = binary.BigEndian.AppendUint16(b, uint16(f.code))
		id := int32(0)
		if f.context != nil {
			id = f.context.sessionID()
		}
		b = binary.BigEndian.AppendUint32(b, uint32(id))
	}
	out.small = b
	f.topics(out, results, flexible)
	out.small = appendNoTags(out.small, flexible)
	out.endFrame(at, size)
	f.leave() // before the client has the answer, and sends the next request
}

// leave lets the next request of the session in.
func (f *fetch) leave() {
	if f.context != nil {
		f.context.close()
		f.context = nil
	}
}

// fetchScarce is what is read at once where little memory is left.
const fetchScarce = 256 << 10

func (f *fetch) read() []consumer.Result {
	memory := f.server.memory
	if memory.left() < int64(f.server.limits.FetchMax) {
		f.poll.Limit(fetchScarce)
	}
	results := f.poll.Read()
	for i := range results {
		f.charged += int64(len(results[i].Records))
	}
	memory.force(f.charged)
	return results
}

// topics adds the partitions that are answered, those of one topic together
// where they stand together.
func (f *fetch) topics(out *output, results []consumer.Result, flexible bool) {
	if f.code != 0 {
		out.small = appendArray(out.small, 0, flexible)
		return
	}
	runs, last := 0, (*fetchTopic)(nil)
	for _, p := range f.context.parts {
		if p.told && p.topic != last {
			runs, last = runs+1, p.topic
		}
	}
	out.small = appendArray(out.small, runs, flexible)
	last = nil
	for i, p := range f.context.parts {
		if !p.told {
			continue
		}
		if p.topic != last {
			if last != nil {
				out.small = appendNoTags(out.small, flexible)
			}
			last = p.topic
			if f.request.version >= 13 {
				out.small = append(out.small, last.id[:]...)
			} else {
				out.small = appendText(out.small, last.name, flexible)
			}
			out.small = appendArray(out.small, f.context.run(i), flexible)
		}
		f.partition(out, p, &results[i], flexible)
	}
	if last != nil {
		out.small = appendNoTags(out.small, flexible)
	}
}

func (f *fetch) partition(out *output, p *fetchPart, res *consumer.Result, flexible bool) {
	version, records := f.request.version, res.Records
	code := codeOf(res.Err)
	if version < 10 && hasZstd(records) {
		code, records = kerr.UnsupportedCompressionType.Code, nil
	}
	b := binary.BigEndian.AppendUint32(out.small, uint32(p.index))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = binary.BigEndian.AppendUint64(b, uint64(res.HighWatermark))
	b = binary.BigEndian.AppendUint64(b, uint64(res.LastStable))
	if version >= 5 {
		b = binary.BigEndian.AppendUint64(b, uint64(res.LogStart))
	}
	if !f.committed || res.Err != nil {
		b = appendNull(b, flexible)
	} else {
		b = appendArray(b, len(res.Aborted), flexible)
		for _, a := range res.Aborted {
			b = binary.BigEndian.AppendUint64(b, uint64(a.Producer))
			b = binary.BigEndian.AppendUint64(b, uint64(a.First))
			b = appendNoTags(b, flexible)
		}
	}
	if version >= 11 {
		b = binary.BigEndian.AppendUint32(b, 0xffffffff) // no other replica is to be preferred
	}
	out.small = appendArray(b, len(records), flexible)
	out.take(records)
	if flexible {
		out.small = f.partitionTags(out.small, p, res, code)
	}
}

func (f *fetch) partitionTags(b []byte, p *fetchPart, res *consumer.Result, code int16) []byte {
	moved := code == kerr.NotLeaderForPartition.Code || code == kerr.FencedLeaderEpoch.Code
	switch {
	case res.Diverging != nil:
		b = append(b, 1, 0, 13)
		b = binary.BigEndian.AppendUint32(b, uint32(res.Diverging.Epoch))
		b = binary.BigEndian.AppendUint64(b, uint64(res.Diverging.End))
		return append(b, 0)
	case moved && p.topic.name != "":
		leader, epoch := f.server.leader(partition.ID{Topic: p.topic.name, Index: p.index})
		return appendLeaderTag(append(b, 1), 1, leader, epoch)
	}
	return append(b, 0)
}

// hasZstd looks at the headers of batches.
func hasZstd(batches []byte) bool {
	for len(batches) > 0 {
		b, rest, err := record.Split(batches)
		if err != nil {
			return false
		}
		if b.Codec() == record.Zstd {
			return true
		}
		batches = rest
	}
	return false
}

func (f *fetch) free() {
	if f.poll != nil {
		f.poll.Free()
	}
	if f.charged > 0 {
		f.server.memory.put(f.charged)
	}
	f.leave()
}
