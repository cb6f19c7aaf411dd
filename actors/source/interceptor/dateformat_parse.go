package interceptor

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrDate is the error of Parse.
var ErrDate = errors.New("does not look like the date pattern")

// Parse reads the whole of text. Parts that the pattern has not are those of
// the first instant of 1970, or of 2000 where it has a month or day but no year
// (Joda).
func (f *DateFormat) Parse(text string) (time.Time, error) {
	d, n, ok := f.parse(text)
	if !ok || f.dialect == Joda && n != len(text) {
		return time.Time{}, fmt.Errorf("%q %w %s", text, ErrDate, f.pattern)
	}
	t, ok := d.time(f)
	if !ok {
		return time.Time{}, fmt.Errorf("%q %w %s: there is no such time", text, ErrDate, f.pattern)
	}
	return t, nil
}

// date collects what has been read; -1 is not there.
type date struct {
	year, month, day, yearDay   int
	hour, half, minute, seconds int // half is 0 for AM, 1 for PM
	nanos                       int
	zone                        *time.Location
	offset                      int // seconds east, on top of zone
}

func (f *DateFormat) parse(text string) (d date, used int, ok bool) {
	d = date{year: -1, month: -1, day: -1, yearDay: -1, half: -1}
	rest := text
	for i := range f.parts {
		p := &f.parts[i]
		if p.letter == 0 {
			if !strings.HasPrefix(rest, p.text) {
				return d, 0, false
			}
			rest = rest[len(p.text):]
			continue
		}
		if rest, ok = p.read(&d, rest, f.dialect); !ok {
			return d, 0, false
		}
	}
	return d, len(text) - len(rest), true
}

func (p *datePart) read(d *date, s string, dialect Dialect) (string, bool) {
	switch p.letter {
	case 'G':
		return readName(s, []string{"AD"}, new(int))
	case 'a':
		return readName(s, halves, &d.half)
	case 'E':
		return readName(s, weekdays, new(int))
	case 'M', 'L':
		if p.count >= 3 {
			rest, ok := readName(s, months, &d.month)
			d.month = d.month%12 + 1
			return rest, ok
		}
	case 'z', 'Z', 'X':
		return d.readZone(s, p.letter)
	case 'S':
		return p.readFraction(d, s, dialect)
	}
	most := 2
	switch p.letter {
	case 'y', 'Y', 'x', 'C':
		most = 9
	case 'D':
		most = 3
	}
	if p.joined {
		most = p.count
	} else if dialect == SimpleDate {
		most = 9
	}
	n, used := 0, 0
	for used < len(s) && used < most && '0' <= s[used] && s[used] <= '9' {
		n = n*10 + int(s[used]-'0')
		used++
	}
	if used == 0 {
		return s, false
	}
	p.set(d, n, used)
	return s[used:], true
}

func (p *datePart) set(d *date, n, digits int) {
	switch p.letter {
	case 'y', 'Y', 'x':
		if d.year = n; p.count <= 2 && digits == 2 {
			d.year = twoDigitYear(n)
		}
	case 'M', 'L':
		d.month = n
	case 'd':
		d.day = n
	case 'D':
		d.yearDay = n
	case 'H':
		d.hour = n
	case 'k':
		d.hour = n % 24
	case 'K', 'h':
		d.hour = n % 12
		if d.half < 0 {
			d.half = 0
		}
	case 'm':
		d.minute = n
	case 's':
		d.seconds = n
	}
}

// twoDigitYear is the year within 80 years back and 20 ahead of now.
func twoDigitYear(n int) int {
	now := time.Now().Year()
	year := now/100*100 + n
	switch {
	case year > now+20:
		return year - 100
	case year <= now-80:
		return year + 100
	}
	return year
}

// readFraction reads digits after the second: a fraction for Joda, a number of
// milliseconds for SimpleDateFormat.
func (p *datePart) readFraction(d *date, s string, dialect Dialect) (string, bool) {
	unit, used := int(1e9), 0
	most := 9
	if p.joined {
		most = p.count
	}
	n := 0
	for used < len(s) && used < most && '0' <= s[used] && s[used] <= '9' {
		n = n*10 + int(s[used]-'0')
		unit /= 10
		used++
	}
	if d.nanos = n * unit; dialect == SimpleDate {
		d.seconds += n / 1000
		d.nanos = n % 1000 * 1e6
	}
	return s[used:], used > 0
}

var (
	halves   = []string{"AM", "PM"}
	weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
		"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	months = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

// readName reads the first of names that s begins with, in any case.
func readName(s string, names []string, which *int) (string, bool) {
	for i, name := range names {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			*which = i
			return s[len(name):], true
		}
	}
	return s, false
}

// readZone reads Z, +hh, +hhmm, +hh:mm or the name of a zone.
func (d *date) readZone(s string, letter byte) (string, bool) {
	if s == "" {
		return s, false
	}
	if s[0] != '+' && s[0] != '-' {
		n := 0
		for n < len(s) && (isWord(s[n]) || s[n] == '/' || s[n] == '-' || s[n] == '+') {
			n++
		}
		name := s[:n]
		if name == "Z" || name == "z" {
			name = "UTC"
		}
		zone, err := time.LoadLocation(name)
		if n == 0 || err != nil || letter == 'X' && name != "UTC" {
			return s, false
		}
		d.zone = zone
		return s[n:], true
	}
	hours, rest, ok := twoDigits(s[1:])
	if !ok {
		return s, false
	}
	minutes, after, ok := twoDigits(strings.TrimPrefix(rest, ":"))
	if !ok {
		minutes, after = 0, rest
	}
	offset := hours*3600 + minutes*60
	if hours > 23 || minutes > 59 {
		return s, false
	}
	if s[0] == '-' {
		offset = -offset
	}
	d.zone, d.offset = time.UTC, offset
	return after, true
}

func twoDigits(s string) (n int, rest string, ok bool) {
	if len(s) < 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, s, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), s[2:], true
}

// time is the instant that d names, if there is one.
func (d *date) time(f *DateFormat) (time.Time, bool) {
	year, month, day := d.year, d.month, d.day
	if year < 0 {
		if year = 1970; f.dialect == Joda && (month > 0 || day > 0) {
			year = 2000
		}
	}
	if d.yearDay >= 0 {
		month, day = 1, d.yearDay
	}
	if month < 0 {
		month = 1
	}
	if day < 0 {
		day = 1
	}
	hour := d.hour
	if d.half == 1 {
		hour = hour%12 + 12
	}
	zone := d.zone
	if zone == nil {
		zone = f.zone
	}
	t := time.Date(year, time.Month(month), day, hour, d.minute, d.seconds, d.nanos, zone)
	shift := -time.Duration(d.offset) * time.Second
	if f.dialect == SimpleDate {
		return t.Add(shift), true // lenient: 25:00 is 1:00 of the next day
	}
	exact := hour < 24 && d.minute < 60 && d.seconds < 60 && month >= 1 && month <= 12 &&
		(d.yearDay >= 0 && d.yearDay <= 366 && t.Year() == year || d.yearDay < 0 && t.Day() == day && int(t.Month()) == month)
	return t.Add(shift), exact
}
