package source

import (
	"bytes"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// lineCollector cuts a stream of bytes into lines and keeps them until they
// are stored. A line ends with \n, \r or both, as Java reads lines.
type lineCollector struct {
	s    *execSource
	unit int
	big  bool

	text []byte
	ends []int // of the lines in text
	last int   // where the line that is not complete begins
	torn []byte
	skip bool // the next character is dropped if it is \n
	born bool // something was read
}

func newLineCollector(s *execSource) *lineCollector {
	name := s.charset.Name()
	return &lineCollector{s: s, unit: s.charset.Unit(), big: name[len(name)-2:] != "LE"}
}

func (c *lineCollector) count() int { return len(c.ends) }

// feed takes bytes until there are max lines, and answers the rest.
func (c *lineCollector) feed(b []byte, max int) []byte {
	if c.unit > 1 {
		return c.feedWide(b, max)
	}
	for len(b) > 0 && len(c.ends) < max {
		if c.skip {
			c.skip = false
			if b[0] == '\n' {
				b = b[1:]
				continue
			}
		}
		n := bytes.IndexAny(b, "\r\n")
		if n < 0 {
			c.add(b)
			return nil
		}
		c.add(b[:n])
		c.line()
		c.skip = b[n] == '\r'
		b = b[n+1:]
	}
	return b
}

// feedWide does so for character sets whose units are two or four bytes.
func (c *lineCollector) feedWide(b []byte, max int) []byte {
	for len(b) > 0 && len(c.ends) < max {
		n := min(c.unit-len(c.torn), len(b))
		c.torn = append(c.torn, b[:n]...)
		b = b[n:]
		if len(c.torn) < c.unit {
			return nil
		}
		char := unitAt(c.torn, c.unit, c.big)
		switch {
		case !c.born && char == 0xfeff: // the byte order mark
		case !c.born && (c.unit == 2 && char == 0xfffe || c.unit == 4 && char == 0xfffe0000):
			c.big = !c.big
		case char == '\n' && c.skip:
		case char == '\n', char == '\r':
			c.line()
		default:
			c.add(c.torn)
		}
		c.skip, c.born = char == '\r', true
		c.torn = c.torn[:0]
	}
	return b
}

// add appends to the line that is not complete. One that is longer than
// lineMax becomes several.
func (c *lineCollector) add(b []byte) {
	for len(c.text)-c.last+len(b) > lineMax {
		n := lineMax - (len(c.text) - c.last)
		c.text = append(c.text, b[:n]...)
		b = b[n:]
		c.line()
		c.s.counters.Truncated.Add(1)
		c.s.log.Warn("a line is too long for one record and becomes several", "bytes", lineMax)
	}
	c.text = append(c.text, b...)
}

func (c *lineCollector) line() {
	c.ends = append(c.ends, len(c.text))
	c.last = len(c.text)
}

// end makes a line of what is left.
func (c *lineCollector) end() {
	c.add(c.torn)
	c.torn = nil
	if len(c.text) > c.last {
		c.line()
	}
}

// batch is a new batch of the first n lines; they stay here, for another try.
func (c *lineCollector) batch(n int) *record.Slab {
	batch := record.NewSlab(c.ends[n-1] + headroom)
	batch.SetTime(time.Now().UnixMilli())
	start := 0
	for _, end := range c.ends[:n] {
		if body := c.text[start:end]; c.s.compat {
			// Flume decodes and encodes; what is malformed does not survive it.
			batch.Append(c.s.charset.Encode(nil, c.s.charset.Decode(nil, body)))
		} else {
			batch.Append(body)
		}
		start = end
	}
	return batch
}

// drop forgets the first n lines.
func (c *lineCollector) drop(n int) {
	gone := c.ends[n-1]
	c.text = append(c.text[:0], c.text[gone:]...)
	c.last -= gone
	c.ends = append(c.ends[:0], c.ends[n:]...)
	for i := range c.ends {
		c.ends[i] -= gone
	}
	if cap(c.text) > lineMax/16 && len(c.text) < blockMax { // one huge line does not stay
		c.text = append(make([]byte, 0, blockMax), c.text...)
	}
}
