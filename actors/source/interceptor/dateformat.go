package interceptor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Dialect says whose letters a date pattern uses.
type Dialect int

// The dialects.
const (
	Joda       Dialect = iota // org.joda.time.format.DateTimeFormat
	SimpleDate                // java.text.SimpleDateFormat
)

// DateFormat is a Java date pattern. It is safe for use by several goroutines.
type DateFormat struct {
	pattern string
	dialect Dialect
	zone    *time.Location
	parts   []datePart
}

// datePart is a run of one pattern letter, or a text when letter is 0.
type datePart struct {
	letter byte
	count  int
	text   string
	joined bool // digits follow at once: no more than count belong to this one
}

const jodaLetters = "GCYyxwDdMeEaKhHkmsSzZ"
const simpleLetters = "GyYMLwWDdFEuaHkKhmsSzZX"

// ParseDateFormat reads a Java date pattern. Times without an offset of their
// own are read and written in zone.
func ParseDateFormat(pattern string, d Dialect, zone *time.Location) (*DateFormat, error) {
	f := &DateFormat{pattern: pattern, dialect: d, zone: zone}
	letters := jodaLetters
	if d == SimpleDate {
		letters = simpleLetters
	}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			text, n, ok := quoted(pattern[i:])
			if !ok {
				return nil, fmt.Errorf("date pattern %q: the quote at character %d is not closed", pattern, i+1)
			}
			f.text(text)
			i += n
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			if strings.IndexByte(letters, c) < 0 {
				return nil, fmt.Errorf("date pattern %q: letter %q at character %d means nothing", pattern, c, i+1)
			}
			f.parts = append(f.parts, datePart{letter: c, count: n})
			i += n
		default:
			f.text(string(c))
			i++
		}
	}
	for i := range f.parts[:max(len(f.parts)-1, 0)] {
		f.parts[i].joined = f.parts[i].numeric(d) && f.parts[i+1].numeric(d)
	}
	return f, nil
}

// quoted reads a 'text', in which two quotes are one, or two quotes alone.
func quoted(s string) (text string, used int, ok bool) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, true
	}
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			text += s[i : i+1]
			continue
		}
		if i+1 == len(s) || s[i+1] != '\'' {
			return text, i + 1, true
		}
		text += "'"
		i++
	}
	return "", 0, false
}

func (f *DateFormat) text(s string) {
	if n := len(f.parts); n > 0 && f.parts[n-1].letter == 0 {
		f.parts[n-1].text += s
		return
	}
	f.parts = append(f.parts, datePart{text: s})
}

func (p *datePart) numeric(d Dialect) bool {
	switch p.letter {
	case 0, 'G', 'E', 'a', 'z', 'Z', 'X':
		return false
	case 'M', 'L':
		return p.count < 3
	}
	return true
}

// String is the pattern.
func (f *DateFormat) String() string { return f.pattern }

// Append writes t to dst.
func (f *DateFormat) Append(dst []byte, t time.Time) []byte {
	t = t.In(f.zone)
	for i := range f.parts {
		if p := &f.parts[i]; p.letter == 0 {
			dst = append(dst, p.text...)
		} else {
			dst = p.append(dst, t, f.dialect)
		}
	}
	return dst
}

func (p *datePart) append(dst []byte, t time.Time, d Dialect) []byte {
	switch p.letter {
	case 'G':
		return append(dst, "AD"...)
	case 'C':
		return pad(dst, t.Year()/100, p.count)
	case 'y', 'Y', 'x':
		year := t.Year()
		if p.letter == 'x' || p.letter == 'Y' && d == SimpleDate {
			year, _ = t.ISOWeek()
		}
		if p.count == 2 {
			return pad(dst, year%100, 2)
		}
		return pad(dst, year, p.count)
	case 'M', 'L':
		switch {
		case p.count >= 4:
			return append(dst, t.Month().String()...)
		case p.count == 3:
			return append(dst, t.Month().String()[:3]...)
		}
		return pad(dst, int(t.Month()), p.count)
	case 'E':
		if p.count >= 4 {
			return append(dst, t.Weekday().String()...)
		}
		return append(dst, t.Weekday().String()[:3]...)
	case 'a':
		return append(dst, "AMPM"[t.Hour()/12*2:][:2]...)
	case 'S':
		if d == SimpleDate {
			return pad(dst, t.Nanosecond()/1e6, p.count)
		}
		return appendFraction(dst, t.Nanosecond(), p.count)
	case 'z', 'Z', 'X':
		return p.appendZone(dst, t, d)
	}
	return pad(dst, p.number(t), p.count)
}

// number is the value of the letters that are plain numbers.
func (p *datePart) number(t time.Time) int {
	switch p.letter {
	case 'd':
		return t.Day()
	case 'D':
		return t.YearDay()
	case 'e', 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'F':
		return (t.Day()-1)/7 + 1
	case 'W':
		return (t.Day()-1+int(t.AddDate(0, 0, 1-t.Day()).Weekday()))/7 + 1
	case 'w':
		_, week := t.ISOWeek()
		return week
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	}
	return t.Second()
}

func (p *datePart) appendZone(dst []byte, t time.Time, d Dialect) []byte {
	name, offset := t.Zone()
	if p.letter == 'z' {
		return append(dst, name...)
	}
	if d == Joda && p.count >= 3 {
		return append(dst, t.Location().String()...)
	}
	if p.letter == 'X' && offset == 0 {
		return append(dst, 'Z')
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = pad(append(dst, sign), offset/3600, 2)
	if p.letter == 'X' && p.count == 1 {
		return dst
	}
	if d == Joda && p.count == 2 || p.letter == 'X' && p.count >= 3 {
		dst = append(dst, ':')
	}
	return pad(dst, offset/60%60, 2)
}

// pad writes n with at least width digits.
func pad(dst []byte, n, width int) []byte {
	for range width - digits(n) {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

func digits(n int) int {
	d := 1
	for n >= 10 {
		n /= 10
		d++
	}
	return d
}

func appendFraction(dst []byte, nanos, count int) []byte {
	for unit := int(1e8); count > 0; count-- {
		digit := 0
		if unit > 0 {
			digit = nanos / unit % 10
		}
		dst = append(dst, byte('0'+digit))
		unit /= 10
	}
	return dst
}
