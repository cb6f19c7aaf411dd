package interceptor

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Charset reads and writes one of Java's character sets. It is safe for use by
// several goroutines.
type Charset struct {
	name string
	unit int           // bytes of a code unit
	big  bool          // the high byte comes first
	mark bool          // a byte order mark says which
	high *[128]rune    // what the bytes from 0x80 mean, of an 8-bit set
	back map[rune]byte // the way back
	utf8 bool
}

// CharsetNamed finds a character set by a name or alias of Java; "" is UTF-8.
func CharsetNamed(name string) (*Charset, error) {
	key := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", "-"))
	switch key {
	case "", "utf-8", "utf8":
		return &Charset{name: "UTF-8", unit: 1, utf8: true}, nil
	case "us-ascii", "ascii", "iso646-us", "646":
		return eightBit("US-ASCII", func(int) rune { return utf8.RuneError }), nil
	case "iso-8859-1", "iso8859-1", "latin1", "8859-1", "l1":
		return eightBit("ISO-8859-1", func(i int) rune { return rune(i + 128) }), nil
	case "iso-8859-15", "iso8859-15", "latin9", "8859-15", "l9":
		return eightBit("ISO-8859-15", latin9), nil
	case "windows-1252", "cp1252":
		return eightBit("windows-1252", windows1252), nil
	case "utf-16", "utf16", "unicode":
		return &Charset{name: "UTF-16", unit: 2, big: true, mark: true}, nil
	case "utf-16be", "utf-16-be", "x-utf-16be":
		return &Charset{name: "UTF-16BE", unit: 2, big: true}, nil
	case "utf-16le", "utf-16-le", "x-utf-16le":
		return &Charset{name: "UTF-16LE", unit: 2}, nil
	case "utf-32", "utf32":
		return &Charset{name: "UTF-32", unit: 4, big: true, mark: true}, nil
	case "utf-32be", "utf-32-be":
		return &Charset{name: "UTF-32BE", unit: 4, big: true}, nil
	case "utf-32le", "utf-32-le":
		return &Charset{name: "UTF-32LE", unit: 4}, nil
	}
	return nil, fmt.Errorf("character set %q is not supported (there are UTF-8, UTF-16, UTF-32, US-ASCII, ISO-8859-1, ISO-8859-15, windows-1252)", name)
}

func eightBit(name string, high func(i int) rune) *Charset {
	c := &Charset{name: name, unit: 1, high: new([128]rune), back: map[rune]byte{}}
	for i := range c.high {
		if c.high[i] = high(i); c.high[i] != utf8.RuneError {
			c.back[c.high[i]] = byte(i + 128)
		}
	}
	return c
}

func latin9(i int) rune {
	switch i + 128 {
	case 0xa4:
		return '€'
	case 0xa6:
		return 'Š'
	case 0xa8:
		return 'š'
	case 0xb4:
		return 'Ž'
	case 0xb8:
		return 'ž'
	case 0xbc:
		return 'Œ'
	case 0xbd:
		return 'œ'
	case 0xbe:
		return 'Ÿ'
	}
	return rune(i + 128)
}

func windows1252(i int) rune {
	const low = "€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ"
	if i < 32 {
		return []rune(low)[i]
	}
	return rune(i + 128)
}

// Name is the set's name as Java writes it.
func (c *Charset) Name() string { return c.name }

// UTF8 says that texts need no conversion.
func (c *Charset) UTF8() bool { return c.utf8 }

// Unit is the size of a code unit in bytes: 1, 2 or 4.
func (c *Charset) Unit() int { return c.unit }

// Decode appends b, in UTF-8, to dst. What is no character becomes U+FFFD.
func (c *Charset) Decode(dst, b []byte) []byte {
	switch {
	case c.utf8:
		return decodeUTF8(dst, b)
	case c.high != nil:
		for _, x := range b {
			if x < 128 {
				dst = append(dst, x)
			} else {
				dst = utf8.AppendRune(dst, c.high[x-128])
			}
		}
		return dst
	}
	big := c.big
	if c.mark && len(b) >= c.unit {
		switch c.read(b, true) {
		case 0xfeff:
			b = b[c.unit:]
		case 0xfffe, 0xfffe0000:
			b, big = b[c.unit:], false
		}
	}
	for len(b) >= c.unit {
		r := c.read(b, big)
		b = b[c.unit:]
		if c.unit == 2 && utf16.IsSurrogate(rune(r)) {
			low := rune(-1)
			if len(b) >= 2 {
				low = rune(c.read(b, big))
			}
			pair := utf16.DecodeRune(rune(r), low)
			if pair != utf8.RuneError {
				b = b[2:]
			}
			r = uint32(pair)
		}
		if r > utf8.MaxRune {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, rune(r))
	}
	if len(b) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}

func decodeUTF8(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		dst, b = utf8.AppendRune(dst, r), b[n:]
	}
	return dst
}

func (c *Charset) read(b []byte, big bool) uint32 {
	n := uint32(0)
	for i := range c.unit {
		x := b[i]
		if !big {
			x = b[c.unit-1-i]
		}
		n = n<<8 | uint32(x)
	}
	return n
}

// Encode appends text, which is UTF-8, to dst in the character set. What the
// set cannot write becomes a question mark.
func (c *Charset) Encode(dst, text []byte) []byte {
	if c.utf8 {
		return append(dst, text...)
	}
	if c.mark && c.unit == 2 { // as in Java; UTF-32 has none
		dst = c.write(dst, 0xfeff)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case c.unit == 2 && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = c.write(c.write(dst, uint32(high)), uint32(low))
		case c.unit > 1:
			dst = c.write(dst, uint32(r))
		case r < 128:
			dst = append(dst, byte(r))
		default:
			x, ok := c.back[r]
			if !ok {
				x = '?'
			}
			dst = append(dst, x)
		}
	}
	return dst
}

func (c *Charset) write(dst []byte, n uint32) []byte {
	for i := range c.unit {
		shift := 8 * i
		if c.big {
			shift = 8 * (c.unit - 1 - i)
		}
		dst = append(dst, byte(n>>shift))
	}
	return dst
}

// Sniff finds out in which byte order b, the begin of a text, is written. It
// answers the character set for what follows and the length of the byte order
// mark, or nil when it takes more bytes to know.
func (c *Charset) Sniff(b []byte) (known *Charset, mark int) {
	if !c.mark {
		return c, 0
	}
	if len(b) < c.unit {
		return nil, 0
	}
	fixed := &Charset{name: c.name, unit: c.unit, big: true}
	switch c.read(b, true) {
	case 0xfeff:
		return fixed, c.unit
	case 0xfffe, 0xfffe0000:
		fixed.big = false
		return fixed, c.unit
	}
	return fixed, 0
}

// Whole is how many of the bytes of b can be decoded before more have come.
func (c *Charset) Whole(b []byte) int {
	n := len(b) - len(b)%c.unit
	if c.unit == 2 && n >= 2 {
		if last := c.read(b[n-2:], c.big); last >= 0xd800 && last < 0xdc00 {
			n -= 2
		}
	}
	return n
}
