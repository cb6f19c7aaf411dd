package interceptor

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"

	"github.com/dlclark/regexp2"
)

// Matcher is a compiled java.util.regex pattern. It keeps scratch space and
// belongs to one goroutine. An error says that a pattern which only a
// backtracking engine can run took longer than matchTimeout; other patterns run
// in linear time and never fail.
type Matcher interface {
	// Match says whether the pattern occurs in b (Java's find).
	Match(b []byte) (bool, error)
	// Full says whether the pattern matches the whole of b (Java's matches).
	Full(b []byte) (bool, error)
	// Find appends to loc[:0] the start and end of the first match at or after
	// at, then of each group in it, -1 for a group that took no part. The answer
	// is empty when there is none. With at > 0 a search goes on: b is the text
	// that was searched last, as it was then.
	Find(b []byte, at int, loc []int) ([]int, error)
	// Groups is the number of groups.
	Groups() int
	// Group is the number of the group called name.
	Group(name string) (int, bool)
	// String is the pattern as it was written.
	String() string
}

const (
	// matchTimeout bounds all matches in one text of a pattern that can run away.
	matchTimeout = time.Second
	// scratchMax bounds the bytes that Find keeps to stay linear; longer texts
	// are searched by package regexp, which allocates.
	scratchMax = 32 << 20
)

// CompileJava compiles a pattern of java.util.regex: by RE2 where it can, so
// that no input makes it slow, else by a backtracking engine with a time limit.
func CompileJava(pattern string) (Matcher, error) {
	m, err := compileLinear(pattern)
	if err == nil {
		return m, nil
	}
	b, err2 := compileBacktracking(pattern)
	if err2 == nil {
		return b, nil
	}
	if errors.Is(err, errNotLinear) {
		err = err2
	}
	return nil, fmt.Errorf("regex %q: %w", pattern, err)
}

// linear is a pattern that RE2 takes.
type linear struct {
	pattern  string
	names    map[string]int
	find     *regexp.Regexp
	full     *regexp.Regexp
	vm       machine
	required *literal // every match contains one of these; nil when none is known
	exact    bool     // the pattern is nothing but required
	inside   bool     // find does not say what the pattern means: a $ goes on
	loc      []int    // scratch
}

func compileLinear(pattern string) (*linear, error) {
	find, err := translate(pattern, forFind)
	if err != nil {
		return nil, err
	}
	m := &linear{pattern: pattern, names: find.names, inside: find.inside}
	if m.find, err = regexp.Compile(string(find.out)); err != nil {
		return nil, reason(err)
	}
	full, err := translate(pattern, forFull)
	if err != nil {
		return nil, err
	}
	if m.full, err = regexp.Compile(`\A(?:` + string(full.out) + `)\z`); err != nil {
		return nil, reason(err)
	}
	groups, err := translate(pattern, forGroups)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(string(groups.out), syntax.Perl)
	if err != nil {
		return nil, reason(err)
	}
	tree = tree.Simplify()
	m.required = newLiteral(required(tree))
	_, m.exact = texts(tree)
	m.exact = m.exact && m.required != nil
	prog, err := syntax.Compile(tree)
	if err != nil {
		return nil, reason(err)
	}
	m.vm.init(prog, groups.multi)
	return m, nil
}

// reason is the engine's complaint without its own prefix and pattern, which
// is not the one that the user wrote.
func reason(err error) error {
	var e *syntax.Error
	if errors.As(err, &e) {
		return errors.New(e.Code.String())
	}
	return err
}

func (m *linear) Match(b []byte) (bool, error) {
	if m.required != nil {
		if found := m.required.in(b); m.exact || !found {
			return found, nil
		}
	}
	if m.inside {
		var err error
		m.loc, err = m.Find(b, 0, m.loc)
		return len(m.loc) > 0, err
	}
	return m.find.Match(b), nil
}

func (m *linear) Full(b []byte) (bool, error) { return m.full.Match(b), nil }

func (m *linear) Find(b []byte, at int, loc []int) ([]int, error) {
	loc = loc[:0]
	if at > len(b) || (m.required != nil && !m.required.in(b[at:])) {
		return loc, nil
	}
	if m.vm.scratch(len(b)) <= scratchMax {
		return m.vm.find(b, at, loc), nil
	}
	for _, p := range m.find.FindSubmatchIndex(b[at:]) {
		if p >= 0 {
			p += at
		}
		loc = append(loc, p)
	}
	return loc, nil
}

func (m *linear) Groups() int { return m.find.NumSubexp() }

func (m *linear) Group(name string) (int, bool) { n, ok := m.names[name]; return n, ok }

func (m *linear) String() string { return m.pattern }

// backtracking is a pattern with look-around, back references or possessive
// quantifiers.
type backtracking struct {
	pattern string
	names   map[string]int
	find    *regexp2.Regexp
	full    *regexp2.Regexp
	runes   []rune        // of the text last searched
	starts  []int         // byte position of each, and of the end
	spent   time.Duration // on searching it
}

func compileBacktracking(pattern string) (*backtracking, error) {
	t, err := translate(pattern, forBacktracking)
	if err != nil {
		return nil, err
	}
	m := &backtracking{pattern: pattern, names: t.names}
	if m.find, err = regexp2.Compile(string(t.out), regexp2.None); err != nil {
		return nil, err
	}
	if m.full, err = regexp2.Compile(`\A(?:`+string(t.out)+`)\z`, regexp2.None); err != nil {
		return nil, err
	}
	m.full.MatchTimeout = matchTimeout
	return m, nil
}

func (m *backtracking) Match(b []byte) (bool, error) {
	m.find.MatchTimeout = matchTimeout
	return m.find.MatchString(string(b))
}

func (m *backtracking) Full(b []byte) (bool, error) { return m.full.MatchString(string(b)) }

func (m *backtracking) Find(b []byte, at int, loc []int) ([]int, error) {
	loc = loc[:0]
	if at == 0 || len(m.starts) == 0 || m.starts[len(m.starts)-1] != len(b) {
		m.take(b)
	}
	if at > len(b) {
		return loc, nil
	}
	// A text with very many matches takes as long as one that never ends.
	if m.find.MatchTimeout = matchTimeout - m.spent; m.find.MatchTimeout <= 0 {
		return loc, fmt.Errorf("its matches take more than %v", matchTimeout)
	}
	from, _ := slices.BinarySearch(m.starts, at)
	began := time.Now()
	match, err := m.find.FindRunesMatchStartingAt(m.runes, from)
	m.spent += time.Since(began)
	if err != nil || match == nil {
		return loc, err
	}
	for i := range match.GroupCount() {
		g := match.GroupByNumber(i)
		if g == nil || len(g.Captures) == 0 {
			loc = append(loc, -1, -1)
			continue
		}
		loc = append(loc, m.starts[g.Index], m.starts[g.Index+g.Length])
	}
	return loc, nil
}

// take makes b the text that is searched.
func (m *backtracking) take(b []byte) {
	m.runes, m.starts, m.spent = m.runes[:0], m.starts[:0], 0
	for i, r := range string(b) {
		m.runes, m.starts = append(m.runes, r), append(m.starts, i)
	}
	m.starts = append(m.starts, len(b))
}

func (m *backtracking) Groups() int { return len(m.find.GetGroupNumbers()) - 1 }

func (m *backtracking) Group(name string) (int, bool) { n, ok := m.names[name]; return n, ok }

func (m *backtracking) String() string { return m.pattern }
