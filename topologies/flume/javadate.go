package flume

import (
	"fmt"
	"strings"
	"time"
)

// javaDate is now in the form that pattern, one of Java's SimpleDateFormat,
// asks for. It is false for a pattern that Java would refuse too.
func javaDate(pattern string, now time.Time) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		if c == '\'' {
			n, ok := quoted(&b, pattern[i:])
			if !ok {
				return "", false
			}
			i += n
			continue
		}
		n := 1
		for isLetter(c) && i+n < len(pattern) && pattern[i+n] == c {
			n++
		}
		if !isLetter(c) {
			b.WriteByte(c)
		} else if field, ok := dateField(c, n, now); ok {
			b.WriteString(field)
		} else {
			return "", false
		}
		i += n
	}
	return b.String(), pattern != ""
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// quoted writes the text in quotes that s begins with and says how long that
// is; two quotes are one.
func quoted(b *strings.Builder, s string) (int, bool) {
	if strings.HasPrefix(s, "''") {
		b.WriteByte('\'')
		return 2, true
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// dateField is the part of t that n letters c stand for.
func dateField(c byte, n int, t time.Time) (string, bool) {
	number := func(v int) (string, bool) { return fmt.Sprintf("%0*d", n, v), true }
	name := func(short, long string) (string, bool) {
		if n < 4 {
			return t.Format(short), true
		}
		return t.Format(long), true
	}
	switch c {
	case 'G':
		return "AD", true
	case 'y', 'u', 'Y':
		return year(c, n, t)
	case 'M', 'L':
		if n > 2 {
			return name("Jan", "January")
		}
		return number(int(t.Month()))
	case 'w':
		_, week := t.ISOWeek()
		return number(week)
	case 'W':
		return number((t.Day() + 6) / 7)
	case 'D':
		return number(t.YearDay())
	case 'd':
		return number(t.Day())
	case 'F':
		return number((t.Day()-1)/7 + 1)
	case 'E':
		return name("Mon", "Monday")
	case 'a':
		return t.Format("PM"), true
	case 'H':
		return number(t.Hour())
	case 'k':
		return number((t.Hour()+23)%24 + 1)
	case 'K':
		return number(t.Hour() % 12)
	case 'h':
		return number((t.Hour()+11)%12 + 1)
	case 'm':
		return number(t.Minute())
	case 's':
		return number(t.Second())
	case 'S':
		return number(t.Nanosecond() / int(time.Millisecond))
	case 'z':
		return t.Format("MST"), true
	case 'Z':
		return t.Format("-0700"), true
	case 'X':
		return t.Format(map[int]string{1: "Z07", 2: "Z0700"}[n] + map[bool]string{true: "Z07:00"}[n == 3]), n <= 3
	}
	return "", false
}

// year is the year of the date, of its week for Y; u is the day of the week.
func year(c byte, n int, t time.Time) (string, bool) {
	v := t.Year()
	switch c {
	case 'u':
		v = (int(t.Weekday())+6)%7 + 1
	case 'Y':
		v, _ = t.ISOWeek()
	}
	if c != 'u' && n == 2 {
		return fmt.Sprintf("%02d", v%100), true
	}
	return fmt.Sprintf("%0*d", n, v), true
}
