package source

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string, with or without quotes, a number or a word, and says
// where its content lies now. It is none for null.
func (j *jsonEvents) text() (piece, error) {
	if j.at >= len(j.b) {
		return none, j.errorf("the text ends too early")
	}
	if c := j.b[j.at]; c == '"' || c == '\'' {
		j.at++
		return j.quoted(c)
	}
	if j.literalIs("null") {
		return none, nil
	}
	start := j.at
	for j.at < len(j.b) && !endsLiteral(j.b[j.at]) {
		j.at++
	}
	if j.at == start {
		return none, j.errorf("a text or a number should be here")
	}
	return piece{start, j.at}, nil
}

// quoted reads up to the closing quote.
func (j *jsonEvents) quoted(quote byte) (piece, error) {
	start := j.at
	end := bytes.IndexByte(j.b[start:], quote)
	if end < 0 {
		return none, j.errorf("the string is not closed")
	}
	if escape := bytes.IndexByte(j.b[start:start+end], '\\'); escape >= 0 {
		return j.unescape(start, start+escape, quote)
	}
	j.at = start + end + 1
	return piece{start, start + end}, nil
}

// unescape goes on at the first backslash, at, and moves what follows up.
func (j *jsonEvents) unescape(start, at int, quote byte) (piece, error) {
	to, b := at, j.b
	for at < len(b) {
		c := b[at]
		switch {
		case c == quote:
			j.at = at + 1
			return piece{start, to}, nil
		case c != '\\':
			b[to] = c
			to++
			at++
			continue
		case at+1 == len(b):
			j.at = at
			return none, j.errorf("the string is not closed")
		}
		r, used := escaped(b[at+1:])
		if used == 0 {
			j.at = at
			return none, j.errorf("an escape that is none")
		}
		at += 1 + used
		to += utf8.EncodeRune(b[to:at], r)
	}
	j.at = at
	return none, j.errorf("the string is not closed")
}

// escaped reads what follows a backslash.
func escaped(b []byte) (r rune, used int) {
	switch b[0] {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n', '\n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case '"', '\'', '\\', '/':
		return rune(b[0]), 1
	case 'u':
		high, ok := hex4(b[1:])
		if !ok {
			return 0, 0
		}
		if utf16.IsSurrogate(high) && len(b) >= 11 && b[5] == '\\' && b[6] == 'u' {
			if low, ok := hex4(b[7:]); ok {
				if pair := utf16.DecodeRune(high, low); pair != utf8.RuneError {
					return pair, 11
				}
			}
		}
		return high, 5 // EncodeRune writes U+FFFD for half a pair
	}
	return 0, 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n := rune(0)
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
