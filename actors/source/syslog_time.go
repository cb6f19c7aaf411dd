package source

import "time"

// stamps turns the times of syslog messages into ms since the epoch. It
// remembers the last one, as messages come many to a second.
type stamps struct {
	zone      *time.Location
	compat    bool
	multiport bool

	text  [19]byte // the last yyyy-mm-ddThh:mm:ss
	utc   int64    // its seconds, read as UTC
	local int64    // its seconds, read in zone

	short     [16]byte // the last Mmm d hh:mm:ss
	shortLen  int
	shortHour int64 // when that was, in hours
	millis    int64
}

// isoEnd is where the yyyy-mm-ddThh:mm:ss[.f][zone] at at ends, or -1. The
// fraction has one to six digits, as RFC 5424 wants.
func isoEnd(line []byte, at int) int {
	if !isCivil(line[at:]) {
		return -1
	}
	end := at + 19
	if end+1 < len(line) && line[end] == '.' && isDigit(line[end+1]) {
		end++
		for n := 0; n < 6 && end < len(line) && isDigit(line[end]); n++ {
			end++
		}
	}
	if end < len(line) && line[end] == 'Z' {
		return end + 1
	}
	if _, ok := zoneOffset(line[end:]); ok {
		return end + 6
	}
	return end
}

// isCivil says that b begins with yyyy-mm-ddThh:mm:ss.
func isCivil(b []byte) bool {
	if len(b) < 19 {
		return false
	}
	for i, want := range []byte("0000-00-00T00:00:00") {
		if want == '0' && !isDigit(b[i]) || want != '0' && b[i] != want {
			return false
		}
	}
	return true
}

// zoneOffset reads +hh:mm, in seconds.
func zoneOffset(b []byte) (int64, bool) {
	if len(b) < 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' ||
		!isDigit(b[1]) || !isDigit(b[2]) || !isDigit(b[4]) || !isDigit(b[5]) {
		return 0, false
	}
	offset := int64(number(b[1:3])*3600 + number(b[4:6])*60)
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// iso reads what isoEnd has found. With Flume's defects a fraction is a number
// of ms and makes the zone be forgotten.
func (s *stamps) iso(b []byte) (int64, bool) {
	s.civil(b)
	rest := b[19:]
	fraction := 0
	if len(rest) > 0 && rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if s.compat {
			return s.local*1000 + int64(number(rest[1:digits])), true
		}
		fraction = millisOf(rest[1:digits])
		rest = rest[digits:]
	}
	if len(rest) == 0 {
		return s.local*1000 + int64(fraction), true
	}
	offset, _ := zoneOffset(rest) // else Z
	return (s.utc-offset)*1000 + int64(fraction), true
}

// millisOf cuts a fraction of a second to ms.
func millisOf(digits []byte) int {
	ms := 0
	for i := range 3 {
		ms *= 10
		if i < len(digits) {
			ms += int(digits[i] - '0')
		}
	}
	return ms
}

// long reads a time of the multiport source, all of b: a fraction of any
// length, and a zone. Without one the time is local; Flume refuses that.
func (s *stamps) long(b []byte) (int64, bool) {
	if !isCivil(b) {
		return 0, false
	}
	rest, ms := b[19:], int64(0)
	if len(rest) > 0 && rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 {
			return 0, false
		}
		ms = int64(millisOf(rest[1:digits]))
		rest = rest[digits:]
	}
	s.civil(b)
	switch offset, ok := zoneOffset(rest); {
	case len(rest) == 0:
		return s.local*1000 + ms, !s.compat
	case ok:
		return (s.utc-offset)*1000 + ms, true
	case rest[0] == 'Z':
		return s.utc*1000 + ms, true
	}
	return 0, false
}

// civil reads yyyy-mm-ddThh:mm:ss into utc and local. As in Java a month 13 is
// the first of the next year.
func (s *stamps) civil(b []byte) {
	if string(b[:19]) == string(s.text[:]) {
		return
	}
	copy(s.text[:], b)
	at := func(from, to int) int { return number(b[from:to]) }
	t := time.Date(at(0, 4), time.Month(at(5, 7)), at(8, 10), at(11, 13), at(14, 16), at(17, 19), 0, time.UTC)
	s.utc = t.Unix()
	s.local = s.utc
	if s.zone != time.UTC {
		s.local = time.Date(at(0, 4), time.Month(at(5, 7)), at(8, 10), at(11, 13), at(14, 16), at(17, 19), 0, s.zone).Unix()
	}
}

// bsdEnd is where the Mmm d hh:mm:ss at at ends, or -1.
func bsdEnd(line []byte, at int) int {
	b := line[at:]
	if len(b) < 14 || b[0] < 'A' || b[0] > 'Z' || !isLower(b[1]) || !isLower(b[2]) || !isSpace(b[3]) {
		return -1
	}
	i := 4
	if isSpace(b[i]) {
		i++
	}
	digits := 0
	for digits < 2 && isDigit(b[i]) {
		i++
		digits++
	}
	if digits == 0 || !isSpace(b[i]) || len(b) < i+9 {
		return -1
	}
	for j, want := range []byte("00:00:00") {
		if c := b[i+1+j]; want == '0' && !isDigit(c) || want != '0' && c != want {
			return -1
		}
	}
	return at + i + 9
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// bsd reads what bsdEnd has found. The year is guessed: times more than a month
// ahead are of last year, times more than eleven months back of next year.
func (s *stamps) bsd(b []byte, now time.Time) (int64, bool) {
	hour := now.Unix() / 3600
	if hour == s.shortHour && string(b) == string(s.short[:s.shortLen]) {
		return s.millis, true
	}
	month := 0
	for m := range 12 {
		if string(b[:3]) == monthNames[3*m:3*m+3] {
			month = m + 1
		}
	}
	if month == 0 {
		return 0, false
	}
	clock := b[len(b)-8:]
	day := 0
	for _, c := range b[3 : len(b)-8] {
		if isDigit(c) {
			day = day*10 + int(c-'0')
		}
	}
	date := func(year int, zone *time.Location) time.Time {
		return time.Date(year, time.Month(month), day, number(clock[:2]), number(clock[3:5]), number(clock[6:8]), 0, zone)
	}
	if s.compat && s.multiport {
		s.millis = flumeYear(date, now).UnixMilli()
	} else {
		s.millis = guessYear(date, now.In(s.zone), s.zone).UnixMilli()
	}
	s.shortHour, s.shortLen = hour, copy(s.short[:], b)
	return s.millis, true
}

func guessYear(date func(int, *time.Location) time.Time, now time.Time, zone *time.Location) time.Time {
	t := date(now.Year(), zone)
	switch {
	case t.After(now.AddDate(0, 1, 0)):
		return date(now.Year()-1, zone)
	case t.Before(now.AddDate(0, -11, 0)):
		return date(now.Year()+1, zone)
	}
	return t
}

// flumeYear is the year of Flume's multiport source: what is more than a month
// away is of 2001 or 1999. It is always UTC.
func flumeYear(date func(int, *time.Location) time.Time, now time.Time) time.Time {
	t := date(now.UTC().Year(), time.UTC)
	switch {
	case t.AddDate(0, -1, 0).After(now):
		return date(1999, time.UTC)
	case t.AddDate(0, 1, 0).Before(now):
		return date(2001, time.UTC)
	}
	return t
}
