package source

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// What Flume writes into the header flume.syslog.status.
const (
	syslogStatus     = "flume.syslog.status"
	syslogInvalid    = "Invalid"
	syslogIncomplete = "Incomplete"
)

// syslogOptions are what the syslog sources share.
type syslogOptions struct {
	multiport            bool // multiport_syslogtcp reads more strictly and writes Priority and Version
	compat               bool
	eventSize            int // bytes of the longest message
	keep                 syslogKeep
	format               customFormat
	ipHeader, nameHeader string
	zone                 *time.Location // of times that name none
}

// syslogKeep says which fields stay in the body.
type syslogKeep struct{ all, priority, version, timestamp, hostname bool }

// any is true when the body is put together from parts.
func (k syslogKeep) any() bool { return k.priority || k.version || k.timestamp || k.hostname }

// customFormat is the pattern of a message in a user's own form: its groups are
// priority, version, time, host and body.
type customFormat struct{ regex, search, replace, date string }

func newSyslogOptions(s topologies.Settings, env Env, multiport bool) syslogOptions {
	o := syslogOptions{
		multiport: multiport, compat: env.Compat, eventSize: s.Int("eventSize"), keep: readKeep(s.String("keepFields")),
		ipHeader: s.String("clientIPHeader"), nameHeader: s.String("clientHostnameHeader"), zone: time.Local,
		format: customFormat{s.String("format.regex"), s.String("format.search"), s.String("format.replace"), s.String("format.dateFormat")},
	}
	if _, err := o.format.compile(o.zone); err != nil {
		s.Fail("format.regex", err.Error())
	}
	return o
}

// readKeep reads keepFields. As in Flume a list is searched for the words.
func readKeep(text string) syslogKeep {
	text = strings.ToLower(strings.TrimSpace(text))
	has := func(word string) bool { return strings.Contains(text, word) }
	switch text {
	case "all", "true":
		return syslogKeep{all: true}
	}
	return syslogKeep{priority: has("priority"), version: has("version"), timestamp: has("timestamp"), hostname: has("hostname")}
}

// piece is a part of a line; a start of -1 says that it is not there.
type piece struct{ start, end int }

var none = piece{-1, -1}

func (p piece) there() bool { return p.start >= 0 }

// syslogMessage is what one line says. The pieces are positions in it.
type syslogMessage struct {
	invalid                              bool
	pri                                  int
	priority, version, stamp, host, body piece
	millis                               int64
	timed                                bool // millis holds a time
}

// syslogParser turns lines into records. It belongs to one goroutine and one
// stream: it remembers the last time it has read.
type syslogParser struct {
	*syslogOptions
	counters *Counters
	custom   *compiledFormat
	stamps   stamps
	moment   time.Time // when the batch was read
	scratch  []byte
}

func (o *syslogOptions) newParser(counters *Counters) *syslogParser {
	custom, _ := o.format.compile(o.zone) // it has been compiled before
	return &syslogParser{syslogOptions: o, counters: counters, custom: custom, stamps: stamps{zone: o.zone, compat: o.compat, multiport: o.multiport}}
}

// syslogBatch is a slab that begins with the small numbers, so that facilities
// and severities are not written once more for each record.
type syslogBatch struct {
	slab   *record.Slab
	first  int   // where the small numbers begin
	millis int64 // the last time written, at
	at     piece
}

const smallNumbers = "0123456789" + "1011121314151617181920212223"

func (p *syslogParser) newBatch(size int) syslogBatch {
	b := syslogBatch{slab: record.NewSlab(size + len(smallNumbers)), at: none}
	p.begin(&b)
	b.first = b.write([]byte(smallNumbers)).start
	return b
}

// begin notes that what b is to hold has come now.
func (p *syslogParser) begin(b *syslogBatch) {
	p.moment = time.Now()
	b.slab.SetTime(p.moment.UnixMilli())
}

// write claims room for text.
func (b *syslogBatch) write(text []byte) piece {
	start := len(b.slab.Buffer())
	copy(b.slab.Tail(len(text)), text)
	b.slab.Advance(len(text))
	return piece{start, start + len(text)}
}

// setNumber sets a header of record i to n.
func (b *syslogBatch) setNumber(i int, header string, n int) {
	switch {
	case n < 10:
		b.slab.MarkHeader(i, header, b.first+n, b.first+n+1)
	case n < 24:
		at := b.first + 10 + 2*(n-10)
		b.slab.MarkHeader(i, header, at, at+2)
	default:
		b.slab.SetHeader(i, header, strconv.AppendInt(nil, int64(n), 10))
	}
}

func (b *syslogBatch) setMillis(i int, millis int64) {
	if !b.at.there() || b.millis != millis {
		start := len(b.slab.Buffer())
		text := strconv.AppendInt(b.slab.Tail(20)[:0], millis, 10)
		b.slab.Advance(len(text))
		b.millis, b.at = millis, piece{start, start + len(text)}
	}
	b.slab.MarkHeader(i, "timestamp", b.at.start, b.at.end)
}

// addLine makes records of the claimed bytes [start, end), a message without
// its end of line. As in Flume one longer than eventSize comes in pieces, the
// first marked Incomplete and the others, which begin with no priority, Invalid.
func (p *syslogParser) addLine(b *syslogBatch, start, end int) {
	if !p.compat && end > start && b.slab.Buffer()[end-1] == '\r' {
		end--
	}
	for end-start >= p.eventSize {
		p.add(b, start, start+p.eventSize, true)
		start += p.eventSize
	}
	if end > start {
		p.add(b, start, end, false)
	}
}

func (p *syslogParser) add(b *syslogBatch, start, end int, incomplete bool) {
	line := b.slab.Buffer()[start:end:end]
	var m syslogMessage
	if p.multiport {
		p.parseMultiport(line, &m)
	} else {
		p.parse(line, &m)
	}
	i := b.slab.Len()
	switch {
	case p.keep.all || !m.body.there() || m.body.start == m.body.end:
		b.slab.Mark(start, end)
	case p.keep.any():
		p.scratch = p.keptBody(p.scratch[:0], line, &m)
		b.slab.Append(p.scratch)
	default:
		b.slab.Mark(start+m.body.start, start+m.body.end)
	}
	if !m.invalid || !p.multiport {
		p.setHeaders(b, i, start, &m)
	}
	switch {
	case m.invalid:
		p.counters.Malformed.Add(1)
		b.slab.SetHeader(i, syslogStatus, []byte(syslogInvalid))
	case incomplete:
		p.counters.Truncated.Add(1)
		b.slab.SetHeader(i, syslogStatus, []byte(syslogIncomplete))
	}
}

func (p *syslogParser) setHeaders(b *syslogBatch, i, start int, m *syslogMessage) {
	b.setNumber(i, "Facility", m.pri/8)
	b.setNumber(i, "Severity", m.pri%8)
	priority, version := "priority", "version"
	if p.multiport {
		priority, version = "Priority", "Version"
	}
	if m.priority.there() {
		b.slab.MarkHeader(i, priority, start+m.priority.start, start+m.priority.end)
	}
	if m.version.there() {
		b.slab.MarkHeader(i, version, start+m.version.start, start+m.version.end)
	}
	if m.timed {
		b.setMillis(i, m.millis)
	}
	if m.host.there() {
		b.slab.MarkHeader(i, "host", start+m.host.start, start+m.host.end)
	}
}

// keptBody is the body behind the fields that are to stay in it.
func (p *syslogParser) keptBody(to, line []byte, m *syslogMessage) []byte {
	field := func(f piece) []byte {
		if !f.there() {
			return []byte("-")
		}
		return line[f.start:f.end]
	}
	if p.keep.priority {
		to = append(append(append(to, '<'), field(m.priority)...), '>')
	}
	if p.keep.version && m.version.there() {
		to = append(append(to, field(m.version)...), ' ')
	}
	if p.keep.timestamp {
		to = append(append(to, field(m.stamp)...), ' ')
	}
	if p.keep.hostname {
		to = append(append(to, field(m.host)...), ' ')
	}
	return append(to, field(m.body)...)
}

// compiledFormat is a customFormat ready for use.
type compiledFormat struct {
	matcher interceptor.Matcher
	search  *interceptor.Replacement
	date    *interceptor.DateFormat
	loc     []int
	text    []byte
}

// compile is nil without a pattern.
func (f customFormat) compile(zone *time.Location) (*compiledFormat, error) {
	if f.regex == "" {
		return nil, nil
	}
	c := &compiledFormat{}
	var err error
	if c.matcher, err = interceptor.CompileJava(`\A(?:` + f.regex + `)\z`); err != nil {
		return nil, err
	}
	if f.search != "" {
		search, err := interceptor.CompileJava(f.search)
		if err != nil {
			return nil, err
		}
		if c.search, err = interceptor.ParseReplacement(f.replace, search); err != nil {
			return nil, err
		}
	}
	if f.date != "" {
		c.date, err = interceptor.ParseDateFormat(f.date, interceptor.SimpleDate, zone)
	}
	return c, err
}
