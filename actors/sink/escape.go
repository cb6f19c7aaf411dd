package sink

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// timestampHeader holds when an event happened, in ms since the epoch.
const timestampHeader = "timestamp"

// escapeOptions say how the escapes of a path are read.
type escapeOptions struct {
	Location     *time.Location // of the dates; nil: the node's own
	Round        bool           // round times down to a multiple of Value Units
	Unit         string         // "second", "minute" or "hour"
	Value        int
	UseLocalTime bool // the time is now, not the timestamp header
	Compat       bool // with Flume's defects
	// Clean makes the values of headers harmless as parts of a path.
	Clean bool
	// AllowSlash lets a cleaned value still name folders below.
	AllowSlash bool
	// hostName answers for %[localhost], %[ip] and %[fqdn]; nil: ask the system.
	hostName func(which string) (string, error)
}

// timestampError says that an escape needs the time of a record that has none.
type timestampError struct {
	escape  string // the first that needs it
	value   string
	missing bool
}

func (e *timestampError) Error() string {
	if e.missing {
		return fmt.Sprintf("expand %s: the record has no header %q", e.escape, timestampHeader)
	}
	return fmt.Sprintf("expand %s: header %s=%q is not a time in ms", e.escape, timestampHeader, e.value)
}

// escaper fills in the escapes of Flume in a path or name: %{header},
// %[localhost], and %Y, %m and the like from the time of a record. It is
// compiled once and remembers the text of the last time, so that the records of
// one batch cost a copy each. One goroutine uses it at a time.
type escaper struct {
	escapeOptions
	pieces []escapePiece
	timed  string // the first escape that needs a time; "" for none
	step   int64  // seconds of wall time within which no escape changes
	fill   bool   // an empty value becomes "_"

	text     []byte // the fixed pieces, as rendered for [from, until)
	from     int64  // ms
	until    int64
	rendered bool
}

// escapePiece is one part of a pattern.
type escapePiece struct {
	kind  pieceKind
	parts []fixedPart // of fixedPiece
	// The place of a fixed piece in escaper.text.
	start, end int
	header     string // of headerPiece
}

type pieceKind uint8

const (
	fixedPiece  pieceKind = iota // literals and times, the same for many records
	headerPiece                  // %{name}
	stampPiece                   // %t, another for nearly every record
)

// fixedPart is a literal, or the letter of a time escape.
type fixedPart struct {
	literal string
	letter  byte
}

// newEscaper compiles pattern.
func newEscaper(pattern string, o escapeOptions) (*escaper, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.hostName == nil {
		o.hostName = systemHostName
	}
	o.Unit = strings.ToLower(o.Unit)
	if o.Round {
		if err := checkRounding(o.Unit, o.Value); err != nil {
			return nil, fmt.Errorf("path %q: %w", pattern, err)
		}
	}
	e := &escaper{escapeOptions: o, step: math.MaxInt64}
	if err := e.compile(pattern); err != nil {
		return nil, fmt.Errorf("path %q: %w", pattern, err)
	}
	if o.Round {
		e.step = max(e.step, roundUnits[o.Unit].seconds)
	}
	e.step = min(e.step, 24*60*60)
	e.fill = o.Clean && e.climbsWhenEmpty()
	return e, nil
}

// needsTime says whether a record without a time cannot be expanded.
func (e *escaper) needsTime() bool { return e.timed != "" && !e.UseLocalTime }

func (e *escaper) compile(pattern string) error {
	literal := 0 // where the literal being read began
	for i := 0; i < len(pattern); {
		esc := escapeAt(pattern[i:])
		if esc == "" {
			i++
			continue
		}
		e.fixed(fixedPart{literal: pattern[literal:i]})
		i += len(esc)
		literal = i
		if err := e.escape(esc); err != nil {
			return err
		}
	}
	e.fixed(fixedPart{literal: pattern[literal:]})
	return nil
}

// escapeAt is the escape that text begins with, or "".
func escapeAt(text string) string {
	if len(text) < 2 || text[0] != '%' {
		return ""
	}
	switch c := text[1]; {
	case c == '%' || isWord(c):
		return text[:2]
	case c == '{':
		return bracketed(text, '}', func(c byte) bool { return isWord(c) || c == '.' || c == '-' })
	case c == '[':
		return bracketed(text, ']', isWord)
	}
	return ""
}

func bracketed(text string, closing byte, allowed func(byte) bool) string {
	for i := 2; i < len(text); i++ {
		if text[i] == closing && i > 2 {
			return text[:i+1]
		}
		if !allowed(text[i]) {
			break
		}
	}
	return ""
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func (e *escaper) escape(esc string) error {
	switch letter := esc[1]; letter {
	case '{':
		e.pieces = append(e.pieces, escapePiece{kind: headerPiece, header: esc[2 : len(esc)-1]})
	case '[':
		name, err := e.hostName(strings.ToLower(esc[2 : len(esc)-1]))
		if err != nil {
			return fmt.Errorf("%s: %w", esc, err)
		}
		e.fixed(fixedPart{literal: name})
	case 't':
		e.needTime(esc)
		e.pieces = append(e.pieces, escapePiece{kind: stampPiece})
	default:
		e.letter(esc, letter)
	}
	return nil
}

func (e *escaper) letter(esc string, letter byte) {
	seconds, isTime := letterSteps[letter]
	if isTime {
		e.needTime(esc)
		e.step = min(e.step, seconds)
		e.fixed(fixedPart{letter: letter})
		return
	}
	// Flume asks for a time before it looks at the letter, so that "%%" fails
	// without one.
	if e.Compat {
		e.needTime(esc)
	}
	if letter == '%' {
		e.fixed(fixedPart{literal: "%"})
	}
}

func (e *escaper) needTime(esc string) {
	if e.timed == "" {
		e.timed = esc
	}
}

// fixed adds a part to the fixed piece at the end.
func (e *escaper) fixed(p fixedPart) {
	if p.literal == "" && p.letter == 0 {
		return
	}
	if n := len(e.pieces); n == 0 || e.pieces[n-1].kind != fixedPiece {
		e.pieces = append(e.pieces, escapePiece{kind: fixedPiece})
	}
	last := &e.pieces[len(e.pieces)-1]
	last.parts = append(last.parts, p)
}

// expand appends the pattern, filled in for record i of s, to dst. now counts
// where the time is not taken from the record. The error is a *timestampError.
func (e *escaper) expand(dst []byte, s *record.Slab, i int, now time.Time) ([]byte, error) {
	var ms int64
	if e.timed != "" {
		var err error
		if ms, err = e.timeOf(s, i, now); err != nil {
			return dst, err
		}
	}
	if !e.rendered || ms < e.from || ms >= e.until {
		e.render(ms)
	}
	start := len(dst)
	for p := range e.pieces {
		switch piece := &e.pieces[p]; piece.kind {
		case fixedPiece:
			dst = append(dst, e.text[piece.start:piece.end]...)
		case headerPiece:
			value, _ := s.Header(i, piece.header)
			dst = e.appendHeader(dst, value, len(dst) == start)
		case stampPiece:
			dst = e.appendStamp(dst, s, i, ms)
		}
	}
	return dst, nil
}

func (e *escaper) appendHeader(dst, value []byte, first bool) []byte {
	switch {
	case !e.Clean:
		return append(dst, value...)
	case len(value) == 0 && e.fill:
		return append(dst, '_')
	}
	return appendCleaned(dst, value, e.AllowSlash, first)
}

// appendStamp writes %t, which is never rounded: the header as it stands.
func (e *escaper) appendStamp(dst []byte, s *record.Slab, i int, ms int64) []byte {
	if e.UseLocalTime {
		return strconv.AppendInt(dst, ms, 10)
	}
	value, _ := s.Header(i, timestampHeader)
	return append(dst, value...)
}

func (e *escaper) timeOf(s *record.Slab, i int, now time.Time) (int64, error) {
	if e.UseLocalTime {
		return now.UnixMilli(), nil
	}
	value, ok := s.Header(i, timestampHeader)
	if !ok {
		return 0, &timestampError{escape: e.timed, missing: true}
	}
	ms, ok := parseMillis(value)
	if !ok {
		return 0, &timestampError{escape: e.timed, value: string(value)}
	}
	return ms, nil
}

// parseMillis reads a whole number of 64 bits without making a string of it.
func parseMillis(text []byte) (int64, bool) {
	digits, negative := text, false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		digits, negative = text[1:], text[0] == '-'
	}
	if len(digits) == 0 {
		return 0, false
	}
	var n uint64
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	for _, c := range digits {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}
