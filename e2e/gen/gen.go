// Package gen writes the log lines that pipelines are measured and checked
// with. The same form and seed give the same bytes on every machine.
package gen

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Seed is the one that published figures are made with.
const Seed = 42

// The numbers of lines of the published forms.
const (
	Full    = 1_300_000 // about 270 MB
	Quarter = Full / 4
	Gig     = 4 * Full // about 1.08 GB
)

// Lines writes one log line after the other. Every line holds its number, from
// 0, as seq=%09d.
type Lines struct {
	// Syslog makes lines as a syslog sender writes them.
	Syslog bool
	random uint64
	next   int
	text   []byte
}

// New begins at line 0.
func New(seed uint64) *Lines { return &Lines{random: seed} }

var (
	start  = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	levels = [8]string{"INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"}
	words  = [...]string{
		"order", "cart", "user", "item", "stock", "login", "token", "page", "index", "cache", "query", "retry",
		"node", "disk", "queue", "batch", "write", "read", "open", "close", "sent", "lost", "found", "slow",
		"ok", "for", "from", "with", "by", "in", "at", "of",
	}
)

// Next appends the next line, with its line end, to dst.
func (l *Lines) Next(dst []byte) []byte {
	id := l.next
	l.next++
	from := len(dst)
	at := start.Add(time.Duration(id) * time.Millisecond)
	host := l.below(16)
	if l.Syslog {
		dst = append(dst, "<134>"...)
		dst = at.AppendFormat(dst, time.Stamp)
		dst = fmt.Appendf(dst, " web%02d app[%d]: ", host, 100+host)
	} else {
		dst = at.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = fmt.Appendf(dst, " web%02d ", host)
	}
	dst = append(dst, levels[l.below(8)]...)
	dst = fmt.Appendf(dst, " seq=%09d user=", id)
	dst = strconv.AppendInt(dst, int64(l.below(100_000)), 10)
	dst = append(dst, " status="...)
	dst = append(dst, byte('2'+l.below(4)), '0', '0')
	dst = append(dst, " path=/api/v1/"...)
	dst = append(dst, l.word()...)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, int64(l.below(10_000)), 10)
	dst = append(dst, " msg="...)
	return l.message(dst, from+l.length())
}

// length is how long a line wants to be: 70 % are short, 5 % are long.
func (l *Lines) length() int {
	switch class := l.below(100); {
	case class < 70:
		return 110 + l.below(91)
	case class < 95:
		return 200 + l.below(111)
	default:
		return 400 + l.below(501)
	}
}

// message fills up to end with whole words.
func (l *Lines) message(dst []byte, end int) []byte {
	dst = append(dst, l.word()...)
	for len(dst) < end {
		dst = append(dst, ' ')
		dst = append(dst, l.word()...)
	}
	return append(dst, '\n')
}

func (l *Lines) word() string { return words[l.below(len(words))] }

// below is a number in [0, n), from SplitMix64.
func (l *Lines) below(n int) int {
	l.random += 0x9e3779b97f4a7c15
	z := l.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return int(z >> 33 % uint64(n))
}

// WriteTo writes the next count lines to w.
func (l *Lines) WriteTo(w io.Writer, count int) error {
	b := bufio.NewWriterSize(w, 1<<20)
	for range count {
		l.text = l.Next(l.text[:0])
		if _, err := b.Write(l.text); err != nil {
			return fmt.Errorf("write line %d: %w", l.next-1, err)
		}
	}
	return b.Flush()
}
