package source

import "bytes"

// parse reads a line as syslogtcp and syslogudp do: a priority of up to three
// digits, then RFC 5424's or RFC 3164's time and host. What follows is the
// body. A line that goes on otherwise is its own body, with facility and
// severity alone; one without a priority is invalid.
func (p *syslogParser) parse(line []byte, m *syslogMessage) {
	*m = syslogMessage{priority: none, version: none, stamp: none, host: none, body: none}
	end := priorityEnd(line, 3)
	if end < 0 {
		m.invalid = true
		return
	}
	m.pri = number(line[1:end])
	if p.custom != nil && p.parseCustom(line, m) {
		return
	}
	if p.parseAt(line, end+1, m) {
		m.priority = piece{1, end}
	} else {
		*m = syslogMessage{pri: m.pri, priority: none, version: none, stamp: none, host: none, body: none}
	}
}

// priorityEnd is where the > of a <pri> of up to most digits stands, or -1.
func priorityEnd(line []byte, most int) int {
	if len(line) < 3 || line[0] != '<' {
		return -1
	}
	for i := 1; i < len(line) && i <= most+1; i++ {
		switch c := line[i]; {
		case c == '>' && i > 1:
			return i
		case c < '0' || c > '9':
			return -1
		}
	}
	return -1
}

func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n
}

// parseAt reads [version] time host body from at on.
func (p *syslogParser) parseAt(line []byte, at int, m *syslogMessage) bool {
	if at < len(line) && isDigit(line[at]) {
		next := at + 1
		if next < len(line) && isSpace(line[next]) {
			next++
		}
		if after, ok := p.stampAt(line, next, m); ok {
			m.version = piece{at, at + 1}
			return hostAt(line, after, m)
		}
	}
	if at < len(line) && isSpace(line[at]) {
		at++
	}
	after, ok := p.stampAt(line, at, m)
	return ok && hostAt(line, after, m)
}

// stampAt reads a time of one of the three forms and says where it ends.
func (p *syslogParser) stampAt(line []byte, at int, m *syslogMessage) (int, bool) {
	if at >= len(line) {
		return 0, false
	}
	end := 0
	switch c := line[at]; {
	case c == '-':
		m.stamp = none
		return at + 1, true
	case isDigit(c):
		if end = isoEnd(line, at); end < 0 {
			return 0, false
		}
		m.millis, m.timed = p.stamps.iso(line[at:end])
	case 'A' <= c && c <= 'Z':
		if end = bsdEnd(line, at); end < 0 {
			return 0, false
		}
		m.millis, m.timed = p.stamps.bsd(line[at:end], p.moment)
	default:
		return 0, false
	}
	m.stamp = piece{at, end}
	return end, true
}

// hostAt reads " host body".
func hostAt(line []byte, at int, m *syslogMessage) bool {
	if at >= len(line) || !isSpace(line[at]) {
		return false
	}
	start := at + 1
	end := start
	for end < len(line) && isHost(line[end], end == start) {
		end++
	}
	if end == start && end < len(line) && line[end] == '-' {
		end++
	} else if end > start {
		m.host = piece{start, end}
	}
	if end == start || end >= len(line) || !isSpace(line[end]) {
		return false
	}
	m.body = piece{end + 1, len(line)}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHost(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', isDigit(c), c == '_':
		return true
	}
	return !first && (c == '.' || c == '-' || c == '@')
}

// parseCustom reads the line by the user's own pattern.
func (p *syslogParser) parseCustom(line []byte, m *syslogMessage) bool {
	c := p.custom
	var err error
	if c.loc, err = c.matcher.Find(line, 0, c.loc); err != nil || len(c.loc) == 0 {
		return false
	}
	for g, to := range []*piece{&m.priority, &m.version, &m.stamp, &m.host, &m.body} {
		if 2*g+3 < len(c.loc) {
			*to = piece{c.loc[2*g+2], c.loc[2*g+3]}
		}
		if to.start == to.end && g != 4 {
			*to = none
		}
	}
	if !m.stamp.there() || c.date == nil {
		return true
	}
	text := line[m.stamp.start:m.stamp.end]
	if c.search != nil {
		if c.text, _, err = c.search.Apply(c.text[:0], text); err != nil {
			return true
		}
		text = c.text
	}
	if t, err := c.date.Parse(string(text)); err == nil {
		m.millis, m.timed = t.UnixMilli(), true
	}
	return true
}

// parseMultiport reads a line as multiport_syslogtcp does: every part has to be
// there, but hosts and long fractions of a second may be anything.
func (p *syslogParser) parseMultiport(line []byte, m *syslogMessage) {
	*m = syslogMessage{invalid: true, priority: none, version: none, stamp: none, host: none, body: none}
	end := priorityEnd(line, 5)
	if end < 0 || end+1 >= len(line) {
		return
	}
	at := end + 1
	version := none
	if bytes.HasPrefix(line[at:], []byte("1 ")) && len(line) > at+2 {
		version = piece{at, at + 1}
		at += 2
	}
	after, ok := p.multiportStamp(line, at, m)
	if !ok || after >= len(line) || line[after] != ' ' {
		return
	}
	start := after + 1
	length := bytes.IndexByte(line[start:], ' ')
	if length < 0 {
		return
	}
	m.invalid, m.pri, m.priority, m.version = false, number(line[1:end]), piece{1, end}, version
	if p.compat || string(line[start:start+length]) != "-" {
		m.host = piece{start, start + length}
	}
	m.body = piece{start + length + 1, len(line)}
}

func (p *syslogParser) multiportStamp(line []byte, at int, m *syslogMessage) (int, bool) {
	if at >= len(line) {
		return 0, false
	}
	end := at
	switch c := line[at]; {
	case c == '-':
		m.millis, m.timed = p.moment.UnixMilli(), true
		end++
	case 'A' <= c && c <= 'Z':
		if end = bsdEnd(line, at); end < 0 {
			return 0, false
		}
		m.millis, m.timed = p.stamps.bsd(line[at:end], p.moment)
	default:
		length := bytes.IndexByte(line[at:], ' ')
		if length < 0 {
			return 0, false
		}
		end = at + length
		if m.millis, m.timed = p.stamps.long(line[at:end]); !m.timed {
			return 0, false
		}
	}
	m.stamp = piece{at, end}
	return end, true
}
