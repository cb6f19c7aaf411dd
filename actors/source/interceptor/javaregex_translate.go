package interceptor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// form is what a pattern is translated for. They differ in `$`, which in Java
// also matches before a last line terminator.
type form int

const (
	forFind         form = iota // package regexp, the match's end does not matter
	forFull                     // package regexp, anchored at both ends
	forGroups                   // machine
	forBacktracking             // regexp2
)

// errNotLinear says that RE2 has no such construct.
var errNotLinear = errors.New("needs a backtracking engine")

// terminators are Java's line terminators, for a class.
const terminators = `\n\r\x{85}\x{2028}\x{2029}`

// translator rewrites a pattern of java.util.regex: what Java and RE2 write
// differently or understand differently (\s, ., $, \uXXXX, \Q..\E, classes in
// classes, POSIX names, comments) comes out in a form both engines share.
type translator struct {
	in     string
	at     int
	form   form
	out    []byte
	atom   int // where the last atom begins in out; -1 when there is none
	groups int
	names  map[string]int
	flags  flags
	stack  []open
	multi  bool // a `$` of multi-line mode was met
	inside bool // a `$` was met behind which the pattern goes on
}

type flags struct{ dotAll, multiLine, comments, fold bool }

// open is a group not yet closed.
type open struct {
	start int
	flags flags
}

func translate(pattern string, f form) (*translator, error) {
	t := &translator{in: pattern, form: f, atom: -1, names: map[string]int{}}
	for t.at < len(t.in) {
		if err := t.next(); err != nil {
			return nil, err
		}
	}
	if len(t.stack) > 0 {
		return nil, errors.New("missing closing )")
	}
	return t, nil
}

func (t *translator) errorf(format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", utf8.RuneCountInString(t.in[:t.at])+1, fmt.Sprintf(format, args...))
}

func (t *translator) next() error {
	c := t.in[t.at]
	switch c {
	case '\\':
		return t.escape()
	case '(':
		return t.group()
	case ')':
		return t.close()
	case '[':
		return t.class()
	case '*', '+', '?', '{':
		return t.quantifier()
	}
	t.at++
	switch {
	case c == '|':
		t.out, t.atom = append(t.out, '|'), -1
	case c == '.':
		t.dot()
	case c == '^':
		t.emit(map[bool]string{true: `(?m:^)`, false: `\A`}[t.flags.multiLine])
	case c == '$':
		t.dollar()
	case t.flags.comments && strings.IndexByte(" \t\n\r\f\v", c) >= 0:
	case t.flags.comments && c == '#':
		for t.at < len(t.in) && t.in[t.at] != '\n' && t.in[t.at] != '\r' {
			t.at++
		}
	default:
		t.at--
		r, n := utf8.DecodeRuneInString(t.in[t.at:])
		t.at += n
		t.literal(r)
	}
	return nil
}

// emit appends one atom.
func (t *translator) emit(text string) {
	t.atom = len(t.out)
	t.out = append(t.out, text...)
}

func (t *translator) literal(r rune) {
	t.atom = len(t.out)
	t.out = t.appendRune(t.out, r)
}

// appendRune writes r so that it stands for itself, in a class or outside.
func (t *translator) appendRune(b []byte, r rune) []byte {
	switch {
	case r < 0x20 || r == 0x7f:
		return fmt.Appendf(b, `\x%02x`, r)
	case r < utf8.RuneSelf && !isWord(byte(r)):
		return append(b, '\\', byte(r))
	}
	return utf8.AppendRune(b, r)
}

func (t *translator) dot() {
	switch {
	case t.flags.dotAll && t.form == forBacktracking:
		t.emit(`[\s\S]`)
	case t.flags.dotAll:
		t.emit(`(?s:.)`)
	default:
		t.emit("[^" + t.lines() + "]")
	}
}

func (t *translator) lines() string {
	if t.form == forBacktracking {
		return `\n\r\u0085\u2028\u2029`
	}
	return terminators
}

func (t *translator) dollar() {
	rest := strings.TrimLeft(t.in[t.at:], ")")
	if rest != "" && (len(t.stack) > 0 || rest[0] != '|') {
		t.inside = true
	}
	switch {
	case t.flags.multiLine:
		t.multi = true
		t.emit(`(?m:$)`)
	case t.form == forFull:
		t.emit(`\z`)
	case t.form == forGroups:
		t.emit(`(?m:$)`) // machine knows what it means
	case t.form == forFind:
		t.emit(`(?:(?:\r\n|[` + t.lines() + `])?\z)`)
	default:
		t.emit(`(?=(?:\r\n|[` + t.lines() + `])?\z)`)
	}
}

func (t *translator) close() error {
	if len(t.stack) == 0 {
		return t.errorf("unexpected )")
	}
	t.at++
	top := t.stack[len(t.stack)-1]
	t.stack = t.stack[:len(t.stack)-1]
	t.out = append(t.out, ')')
	t.atom, t.flags = top.start, top.flags
	return nil
}

// group reads "(" and what says of which sort the group is.
func (t *translator) group() error {
	start, outer := len(t.out), t.flags
	rest := t.in[t.at+1:]
	opening, used := "(", 1
	switch {
	case !strings.HasPrefix(rest, "?"):
		t.groups++
	case strings.HasPrefix(rest, "?:"):
		opening, used = "(?:", 3
	case strings.HasPrefix(rest, "?=") || strings.HasPrefix(rest, "?!") || strings.HasPrefix(rest, "?>"):
		opening, used = "("+rest[:2], 3
	case strings.HasPrefix(rest, "?<=") || strings.HasPrefix(rest, "?<!"):
		opening, used = "("+rest[:3], 4
	case strings.HasPrefix(rest, "?<"):
		name, _, ok := strings.Cut(rest[2:], ">")
		if !ok || !isName(name) {
			return t.errorf("a group's name is letters and digits between < and >")
		}
		if _, twice := t.names[name]; twice {
			return t.errorf("group <%s> is defined twice", name)
		}
		t.groups++
		t.names[name] = t.groups
		used = len("(?<>") + len(name)
	default:
		return t.inlineFlags()
	}
	if strings.HasPrefix(opening, "(?") && opening != "(?:" && t.form != forBacktracking {
		return errNotLinear
	}
	t.at += used
	t.out = append(t.out, opening...)
	t.stack, t.atom = append(t.stack, open{start, outer}), -1
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) || s[i] == '_' || i == 0 && s[i] <= '9' {
			return false
		}
	}
	return s != ""
}

// inlineFlags reads (?i) and (?i:...); only case folding is left to the engine.
func (t *translator) inlineFlags() error {
	start, outer, on, end := len(t.out), t.flags, true, t.at+2
	for ; end < len(t.in) && t.in[end] != ')' && t.in[end] != ':'; end++ {
		switch t.in[end] {
		case '-':
			on = false
		case 'i':
			t.flags.fold = on
		case 's':
			t.flags.dotAll = on
		case 'm':
			t.flags.multiLine = on
		case 'x':
			t.flags.comments = on
		case 'u', 'd': // how letters fold and which lines end: as far as RE2 goes
		default:
			t.at = end
			return t.errorf("flag %q is not supported", t.in[end])
		}
	}
	if end == len(t.in) {
		return t.errorf("missing closing )")
	}
	set := "-i"
	if t.flags.fold {
		set = "i"
	}
	t.out = append(append(append(t.out, "(?"...), set...), t.in[end])
	if t.in[end] == ':' {
		t.stack = append(t.stack, open{start, outer})
	}
	t.at, t.atom = end+1, -1
	return nil
}

// quantifier reads *, +, ?, {n,m} with a ? (reluctant) or + (possessive).
func (t *translator) quantifier() error {
	end := t.at + 1
	if t.in[t.at] == '{' {
		n := strings.IndexByte(t.in[t.at:], '}')
		if n < 0 || !isRepetition(t.in[t.at+1:t.at+n]) {
			return t.errorf("a { that is no repetition is written \\{")
		}
		end = t.at + n + 1
	}
	if t.atom < 0 {
		return t.errorf("nothing to repeat before %s", t.in[t.at:end])
	}
	t.out = append(t.out, t.in[t.at:end]...)
	t.at = end
	if end < len(t.in) && t.in[end] == '?' {
		t.out = append(t.out, '?')
		t.at++
	} else if end < len(t.in) && t.in[end] == '+' {
		if t.form != forBacktracking {
			return errNotLinear
		}
		t.at++
		t.out = append(t.out, ')')
		t.out = append(t.out[:t.atom], append([]byte("(?>"), t.out[t.atom:]...)...)
	}
	t.atom = -1
	return nil
}

func isRepetition(s string) bool {
	low, high, _ := strings.Cut(s, ",")
	if _, err := strconv.ParseUint(low, 10, 31); err != nil {
		return false
	}
	if high != "" {
		_, err := strconv.ParseUint(high, 10, 31)
		return err == nil
	}
	return true
}

// escape reads a backslash outside of classes.
func (t *translator) escape() error {
	rest := t.in[t.at+1:]
	if rest == "" {
		return t.errorf("a backslash at the end")
	}
	switch c := rest[0]; {
	case c == 'Q':
		text, _, ended := strings.Cut(rest[1:], `\E`)
		for _, r := range text {
			t.literal(r)
		}
		t.at += 2 + len(text)
		if ended {
			t.at += 2
		}
		return nil
	case c == 'A' || c == 'z' || c == 'b' || c == 'B':
		t.emit(`\` + rest[:1])
		t.at += 2
		return nil
	case c == 'Z':
		multi := t.flags.multiLine
		t.flags.multiLine = false
		t.dollar()
		t.flags.multiLine = multi
		t.at += 2
		return nil
	case c == 'R':
		t.emit(`(?:\r\n|[` + t.lines() + `\x0b\x0c])`)
		t.at += 2
		return nil
	case '1' <= c && c <= '9' || c == 'k' || c == 'G':
		return t.backReference(rest)
	}
	r, s, err := t.escaped()
	if err != nil {
		return err
	}
	if s == nil {
		t.literal(r)
		return nil
	}
	t.atom = len(t.out)
	t.out = t.appendClass(t.out, s, false)
	return nil
}

// backReference reads \1, \k<name> and \G. As in Java a number goes on as long
// as there is such a group.
func (t *translator) backReference(rest string) error {
	if t.form != forBacktracking {
		return errNotLinear
	}
	if rest[0] == 'G' {
		t.emit(`\G`)
		t.at += 2
		return nil
	}
	if rest[0] == 'k' {
		name, _, ok := strings.Cut(strings.TrimPrefix(rest[1:], "<"), ">")
		n, known := t.names[name]
		if !ok || !known {
			return t.errorf("there is no group <%s> before this", name)
		}
		t.at += len(`\k<>`) + len(name)
		t.emit(`(?:\` + strconv.Itoa(n) + `)`)
		return nil
	}
	n, used := int(rest[0]-'0'), 1
	for used < len(rest) && '0' <= rest[used] && rest[used] <= '9' && n*10+int(rest[used]-'0') <= t.groups {
		n = n*10 + int(rest[used]-'0')
		used++
	}
	if n > t.groups {
		return t.errorf(`\%d: there is no such group before this`, n)
	}
	t.at += 1 + used
	t.emit(`(?:\` + strconv.Itoa(n) + `)`)
	return nil
}
