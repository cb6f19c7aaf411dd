package interceptor

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Replacement is the second argument of Java's replaceAll, for the pattern it
// was parsed for: $1 and ${name} are groups, a backslash takes the next
// character as it is. It belongs to one goroutine.
type Replacement struct {
	matcher Matcher
	parts   []replacementPart
	loc     []int // scratch
}

// replacementPart is a text, or a group when text is nil.
type replacementPart struct {
	text  []byte
	group int
}

// ParseReplacement reads text for the groups of m.
func ParseReplacement(text string, m Matcher) (*Replacement, error) {
	r := &Replacement{matcher: m}
	var plain []byte
	flush := func() {
		if len(plain) > 0 {
			r.parts = append(r.parts, replacementPart{text: plain})
			plain = nil
		}
	}
	for text != "" {
		switch {
		case text[0] == '\\' && len(text) == 1:
			return nil, errors.New("ends in a backslash")
		case text[0] == '\\':
			_, n := utf8.DecodeRuneInString(text[1:])
			plain = append(plain, text[1:1+n]...)
			text = text[1+n:]
		case text[0] == '$':
			group, rest, err := groupReference(text[1:], m)
			if err != nil {
				return nil, err
			}
			flush()
			r.parts = append(r.parts, replacementPart{group: group})
			text = rest
		default:
			plain = append(plain, text[0])
			text = text[1:]
		}
	}
	flush()
	return r, nil
}

// groupReference reads what follows a dollar sign. As in Java a number goes on
// as long as there is such a group.
func groupReference(text string, m Matcher) (group int, rest string, err error) {
	if strings.HasPrefix(text, "{") {
		name, rest, ok := strings.Cut(text[1:], "}")
		group, known := m.Group(name)
		if !ok || !known {
			return 0, "", fmt.Errorf("${%s}: the pattern has no such group", name)
		}
		return group, rest, nil
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, "", errors.New(`a dollar sign that is no group is written \$`)
	}
	group, rest = int(text[0]-'0'), text[1:]
	if group > m.Groups() {
		return 0, "", fmt.Errorf("$%d: the pattern has %d groups", group, m.Groups())
	}
	for rest != "" && '0' <= rest[0] && rest[0] <= '9' && group*10+int(rest[0]-'0') <= m.Groups() {
		group, rest = group*10+int(rest[0]-'0'), rest[1:]
	}
	return group, rest, nil
}

// Apply appends text with every match replaced to dst, and says whether there
// was one.
func (r *Replacement) Apply(dst, text []byte) (out []byte, changed bool, err error) {
	from, at := 0, 0
	for at <= len(text) {
		if r.loc, err = r.matcher.Find(text, at, r.loc); err != nil {
			return dst, false, err
		}
		if len(r.loc) == 0 {
			break
		}
		changed = true
		dst = append(dst, text[from:r.loc[0]]...)
		dst = r.expand(dst, text)
		from, at = r.loc[1], r.loc[1]
		if r.loc[1] == r.loc[0] {
			_, n := utf8.DecodeRune(text[at:])
			at += max(n, 1)
		}
	}
	return append(dst, text[from:]...), changed, nil
}

func (r *Replacement) expand(dst, text []byte) []byte {
	for _, p := range r.parts {
		if p.text != nil {
			dst = append(dst, p.text...)
		} else if start := r.loc[2*p.group]; start >= 0 {
			dst = append(dst, text[start:r.loc[2*p.group+1]]...)
		}
	}
	return dst
}
