package interceptor

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// set is a set of runes as rising, disjoint [low, high] pairs.
type set []rune

// Java's predefined classes and POSIX names; ASCII only, as there.
var classes = map[string]set{
	"d": {'0', '9'}, "s": {'\t', '\r', ' ', ' '},
	"w": {'0', '9', 'A', 'Z', '_', '_', 'a', 'z'},
	"h": {'\t', '\t', ' ', ' ', 0xa0, 0xa0, 0x1680, 0x1680, 0x180e, 0x180e, 0x2000, 0x200a, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000},
	"v": {'\n', '\r', 0x85, 0x85, 0x2028, 0x2029},

	"Lower": {'a', 'z'}, "Upper": {'A', 'Z'}, "ASCII": {0, 0x7f},
	"Alpha": {'A', 'Z', 'a', 'z'}, "Digit": {'0', '9'},
	"Alnum": {'0', '9', 'A', 'Z', 'a', 'z'},
	"Punct": {'!', '/', ':', '@', '[', '`', '{', '~'},
	"Graph": {'!', '~'}, "Print": {' ', '~'}, "Blank": {'\t', '\t', ' ', ' '},
	"Cntrl": {0, 0x1f, 0x7f, 0x7f}, "Space": {'\t', '\r', ' ', ' '},
	"XDigit": {'0', '9', 'A', 'F', 'a', 'f'},
}

// javaNames are Java's own words for Unicode categories.
var javaNames = map[string]string{
	"javaLowerCase": "Ll", "javaUpperCase": "Lu", "javaDigit": "Nd", "javaLetter": "L",
	"IsAlphabetic": "L", "IsLetter": "L", "IsDigit": "Nd", "IsLowercase": "Ll", "IsUppercase": "Lu",
	"IsPunctuation": "P", "IsWhite_Space": "Z", "javaWhitespace": "Z", "javaSpaceChar": "Z",
}

// class reads a [...] with nested classes and intersections.
func (t *translator) class() error {
	negated := strings.HasPrefix(t.in[t.at:], "[^")
	if t.at++; negated {
		t.at++
	}
	s, err := t.classBody()
	if err != nil {
		return err
	}
	t.atom = len(t.out)
	t.out = t.appendClass(t.out, s, negated)
	return nil
}

func (t *translator) appendClass(b []byte, s set, negated bool) []byte {
	if len(s) == 0 {
		s, negated = set{0, unicode.MaxRune}, !negated
	}
	b = append(b, '[')
	if negated {
		b = append(b, '^')
	}
	for i := 0; i < len(s); i += 2 {
		b = t.appendRune(b, s[i])
		if s[i+1] > s[i] {
			b = t.appendRune(append(b, '-'), s[i+1])
		}
	}
	return append(b, ']')
}

// classBody reads up to and with the closing bracket.
func (t *translator) classBody() (set, error) {
	var s set
	for first := true; ; first = false {
		if t.at >= len(t.in) {
			return nil, t.errorf("missing closing ]")
		}
		rest := t.in[t.at:]
		switch {
		case rest[0] == ']' && !first:
			t.at++
			return s, nil
		case strings.HasPrefix(rest, "&&"):
			t.at += 2
			right, err := t.classBody()
			return s.and(right), err
		case rest[0] == '[':
			negated := strings.HasPrefix(rest, "[^")
			if t.at++; negated {
				t.at++
			}
			inner, err := t.classBody()
			if err != nil {
				return nil, err
			}
			if negated {
				inner = inner.not()
			}
			s = s.or(inner)
		case t.flags.comments && strings.IndexByte(" \t\n\r\f\v", rest[0]) >= 0:
			t.at++
		default:
			item, err := t.classItem()
			if err != nil {
				return nil, err
			}
			s = s.or(item)
		}
	}
}

// classItem reads a character, a range or an escaped class.
func (t *translator) classItem() (set, error) {
	low, s, err := t.classRune()
	if err != nil || s != nil {
		return s, err
	}
	rest := t.in[t.at:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' || rest[1] == '[' {
		return set{low, low}, nil
	}
	t.at++
	high, s, err := t.classRune()
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s.or(set{low, low, '-', '-'}), nil
	case high < low:
		return nil, t.errorf("the range %c-%c runs backwards", low, high)
	}
	return set{low, high}, nil
}

// classRune reads one character, or an escape that stands for a set.
func (t *translator) classRune() (rune, set, error) {
	if t.in[t.at] != '\\' {
		r, n := utf8.DecodeRuneInString(t.in[t.at:])
		t.at += n
		return r, nil, nil
	}
	if rest := t.in[t.at:]; strings.HasPrefix(rest, `\Q`) {
		text, _, ended := strings.Cut(rest[2:], `\E`)
		t.at += 2 + len(text)
		if ended {
			t.at += 2
		}
		s := set{}
		for _, r := range text {
			s = s.or(set{r, r})
		}
		return 0, s, nil
	}
	return t.escaped()
}

// escaped reads a \x that is a character or a set of characters.
func (t *translator) escaped() (rune, set, error) {
	if t.at+1 >= len(t.in) {
		return 0, nil, t.errorf("a backslash at the end")
	}
	c, n := utf8.DecodeRuneInString(t.in[t.at+1:])
	t.at += 1 + n
	switch c {
	case 't':
		return '\t', nil, nil
	case 'n':
		return '\n', nil, nil
	case 'r':
		return '\r', nil, nil
	case 'f':
		return '\f', nil, nil
	case 'a':
		return 7, nil, nil
	case 'e':
		return 0x1b, nil, nil
	case 'c':
		if t.at < len(t.in) {
			t.at++
			return rune(t.in[t.at-1]) ^ 64, nil, nil
		}
	case 'x', 'u':
		r, err := t.hex(map[rune]int{'x': 2, 'u': 4}[c])
		return r, nil, err
	case '0':
		return t.octal()
	case 'd', 's', 'w', 'h', 'v':
		return 0, classes[string(c)], nil
	case 'D', 'S', 'W', 'H', 'V':
		return 0, classes[strings.ToLower(string(c))].not(), nil
	case 'p', 'P':
		s, err := t.property()
		if c == 'P' {
			s = s.not()
		}
		return 0, s, err
	}
	if c < utf8.RuneSelf && isWord(byte(c)) && c != '_' {
		t.at -= n + 1
		return 0, nil, t.errorf(`\%c is not supported here`, c)
	}
	return c, nil, nil
}

func (t *translator) hex(digits int) (rune, error) {
	rest := t.in[t.at:]
	text, used := "", 0
	if strings.HasPrefix(rest, "{") {
		text, _, _ = strings.Cut(rest[1:], "}")
		used = len(text) + 2
	} else if len(rest) >= digits {
		text, used = rest[:digits], digits
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || n > unicode.MaxRune || used > len(rest) {
		return 0, t.errorf("wants %d hexadecimal digits", digits)
	}
	t.at += used
	return rune(n), nil
}

func (t *translator) octal() (rune, set, error) {
	n, digits := rune(0), 0
	for t.at < len(t.in) && digits < 3 && '0' <= t.in[t.at] && t.in[t.at] <= '7' && n*8+rune(t.in[t.at]-'0') <= 0o377 {
		n = n*8 + rune(t.in[t.at]-'0')
		t.at++
		digits++
	}
	if digits == 0 {
		return 0, nil, t.errorf(`\0 wants octal digits`)
	}
	return n, nil, nil
}

// property reads what follows \p.
func (t *translator) property() (set, error) {
	rest := t.in[t.at:]
	if rest == "" {
		return nil, t.errorf(`\p wants a name`)
	}
	name, used := rest[:1], 1
	if rest[0] == '{' {
		inner, _, ok := strings.Cut(rest[1:], "}")
		if !ok {
			return nil, t.errorf(`\p{ is not closed`)
		}
		name, used = inner, len(inner)+2
	}
	if s, ok := classes[name]; ok && len(name) > 1 {
		t.at += used
		return s, nil
	}
	plain := name
	if n, ok := javaNames[name]; ok {
		plain = n
	}
	for _, prefix := range []string{"general_category=", "gc=", "script=", "sc=", "Is"} {
		plain = strings.TrimPrefix(plain, prefix)
	}
	table := unicode.Categories[plain]
	if table == nil {
		table = unicode.Scripts[plain]
	}
	if table == nil {
		return nil, t.errorf(`\p{%s} is not known`, name)
	}
	t.at += used
	return tableSet(table), nil
}

func tableSet(table *unicode.RangeTable) set {
	var s set
	add := func(low, high, stride rune) {
		if stride == 1 {
			s = append(s, low, high)
			return
		}
		for r := low; r <= high; r += stride {
			s = append(s, r, r)
		}
	}
	for _, r := range table.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range table.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return s.or(nil)
}

// or is every rune of s and o.
func (s set) or(o set) set {
	pairs := make([][2]rune, 0, (len(s)+len(o))/2)
	for _, x := range []set{s, o} {
		for i := 0; i < len(x); i += 2 {
			pairs = append(pairs, [2]rune{x[i], x[i+1]})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0]) - int(b[0]) })
	all := set{}
	for _, p := range pairs {
		if n := len(all); n > 0 && p[0] <= all[n-1]+1 {
			all[n-1] = max(all[n-1], p[1])
			continue
		}
		all = append(all, p[0], p[1])
	}
	return all
}

// not is every rune outside s.
func (s set) not() set {
	out, next := set{}, rune(0)
	for i := 0; i < len(s); i += 2 {
		if s[i] > next {
			out = append(out, next, s[i]-1)
		}
		next = s[i+1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, next, unicode.MaxRune)
	}
	return out
}

// and is every rune of both s and o.
func (s set) and(o set) set { return s.not().or(o.not()).not() }
