package sink

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// letterSteps are the letters that stand for a part of a time, each with the
// seconds for which it stays as it is.
var letterSteps = map[byte]int64{
	'a': day, 'A': day, 'b': day, 'B': day, 'd': day, 'e': day, 'D': day,
	'j': day, 'm': day, 'n': day, 'y': day, 'Y': day, 'z': day,
	'H': hour, 'I': hour, 'k': hour, 'l': hour, 'p': hour,
	'M': minute,
	'c': second, 's': second, 'S': second,
}

// Seconds of wall time.
const (
	second = 1
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// roundUnits are the units that a time can be rounded to, with the largest
// multiple that Flume takes.
var roundUnits = map[string]struct {
	seconds int64
	most    int
}{
	"second": {second, 60},
	"minute": {minute, 60},
	"hour":   {hour, 24},
}

func checkRounding(unit string, value int) error {
	u, ok := roundUnits[unit]
	if !ok {
		return fmt.Errorf("round unit %q is none of second, minute, hour", unit)
	}
	if value < 1 || value > u.most {
		return fmt.Errorf("round value %d: with unit %s it lies between 1 and %d", value, unit, u.most)
	}
	return nil
}

// render writes the fixed pieces for the time ms and notes for how long they
// hold: as long as neither the smallest field in use nor the offset of the time
// zone changes.
func (e *escaper) render(ms int64) {
	e.rendered, e.from, e.until = true, math.MinInt64, math.MaxInt64
	t := time.UnixMilli(ms).In(e.Location)
	if e.timed != "" {
		e.from, e.until = e.holds(t, ms)
		if e.Round {
			t = e.round(t)
		}
	}
	e.text = e.text[:0]
	for i := range e.pieces {
		p := &e.pieces[i]
		p.start = len(e.text)
		for _, part := range p.parts {
			e.text = append(e.text, part.literal...)
			if part.letter != 0 {
				e.text = appendLetter(e.text, part.letter, t)
			}
		}
		p.end = len(e.text)
	}
}

// holds is the stretch of time around ms, [from, until), that reads the same.
func (e *escaper) holds(t time.Time, ms int64) (from, until int64) {
	_, offset := t.Zone()
	wall := t.Unix() + int64(offset)
	into := floorMod(wall, e.step)*1000 + floorMod(ms, 1000)
	from, until = ms-into, ms-into+e.step*1000
	if from > ms { // beyond what 64 bits hold
		from = ms
	}
	if until <= ms {
		until = ms + 1
	}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		from = max(from, start.UnixMilli())
	}
	if !end.IsZero() {
		until = min(until, end.UnixMilli())
	}
	return from, until
}

// round cuts the time of day down to a multiple of the value, in the time zone.
func (e *escaper) round(t time.Time) time.Time {
	_, offset := t.Zone()
	wall := t.Unix() + int64(offset)
	unit := roundUnits[e.Unit].seconds
	field := floorMod(wall, unitAbove[unit])
	wall -= field - field/(unit*int64(e.Value))*unit*int64(e.Value)
	if e.Compat {
		return fromWallAsJava(wall, t)
	}
	return fromWall(wall, t)
}

// unitAbove is the unit in whose multiples a rounded field starts anew: minutes
// are rounded within the hour.
var unitAbove = map[int64]int64{second: minute, minute: hour, hour: day}

// fromWall is the time at which clocks show wall, in the same offset as near
// where they show it twice: rounding down then never leads to a later time.
func fromWall(wall int64, near time.Time) time.Time {
	_, offset := near.Zone()
	t := time.Unix(wall-int64(offset), 0).In(near.Location())
	if _, then := t.Zone(); then != offset {
		if other := time.Unix(wall-int64(then), 0).In(near.Location()); zoneOf(other) == then {
			return other
		}
	}
	return t
}

// fromWallAsJava takes the later of the two where clocks show wall twice, as
// Java's calendar does: in the hour before clocks go back, "rounded down" can
// be an hour later.
func fromWallAsJava(wall int64, near time.Time) time.Time {
	best := fromWall(wall, near)
	for _, probe := range [...]time.Time{best.Add(-24 * time.Hour), best.Add(24 * time.Hour)} {
		offset := zoneOf(probe)
		t := time.Unix(wall-int64(offset), 0).In(near.Location())
		if zoneOf(t) == offset && t.After(best) {
			best = t
		}
	}
	return best
}

func zoneOf(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// floorMod is the remainder that is never negative.
func floorMod(a, b int64) int64 {
	if r := a % b; r < 0 {
		return r + b
	} else {
		return r
	}
}

// appendLetter writes what %letter stands for. Names are English; the calendar
// is the Gregorian one for all of time.
func appendLetter(dst []byte, letter byte, t time.Time) []byte {
	switch letter {
	case 'a':
		return append(dst, t.Weekday().String()[:3]...)
	case 'A':
		return append(dst, t.Weekday().String()...)
	case 'b':
		return append(dst, t.Month().String()[:3]...)
	case 'B':
		return append(dst, t.Month().String()...)
	case 'c':
		return padded(t.AppendFormat(dst, "Mon Jan 2 15:04:05 "), t.Year(), 4)
	case 'd':
		return padded(dst, t.Day(), 2)
	case 'e':
		return strconv.AppendInt(dst, int64(t.Day()), 10)
	case 'D':
		dst = append(padded(dst, int(t.Month()), 2), '/')
		dst = append(padded(dst, t.Day(), 2), '/')
		return padded(dst, yearOfCentury(t), 2)
	case 'H':
		return padded(dst, t.Hour(), 2)
	case 'I':
		return padded(dst, hour12(t), 2)
	case 'j':
		return padded(dst, t.YearDay(), 3)
	case 'k':
		return strconv.AppendInt(dst, int64(t.Hour()), 10)
	case 'l':
		return strconv.AppendInt(dst, int64(hour12(t)), 10)
	case 'm':
		return padded(dst, int(t.Month()), 2)
	case 'n':
		return strconv.AppendInt(dst, int64(t.Month()), 10)
	case 'M':
		return padded(dst, t.Minute(), 2)
	case 'p':
		return t.AppendFormat(dst, "PM")
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'S':
		return padded(dst, t.Second(), 2)
	case 'y':
		return padded(dst, yearOfCentury(t), 2)
	case 'Y':
		return padded(dst, t.Year(), 4)
	case 'z':
		return t.AppendFormat(dst, "-0700")
	}
	return dst
}

func yearOfCentury(t time.Time) int { return int(floorMod(int64(t.Year()), 100)) }

func hour12(t time.Time) int {
	if h := t.Hour() % 12; h != 0 {
		return h
	}
	return 12
}

// padded writes n with at least width digits.
func padded(dst []byte, n, width int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	for limit := pow10[width-1]; limit > 1 && n < limit; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

var pow10 = [...]int{1, 10, 100, 1000}
