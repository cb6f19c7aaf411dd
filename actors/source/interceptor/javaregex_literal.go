package interceptor

import (
	"bytes"
	"regexp/syntax"
	"strings"
)

// exactMax is how many texts a pattern may stand for to be searched as texts.
const exactMax = 16

// required finds texts of which every match of re contains one, so that a line
// without them need not be tried; nil when there are none.
func required(re *syntax.Regexp) []string {
	if all, ok := texts(re); ok {
		return all
	}
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		return requiredOf(re.Sub)
	}
	return nil
}

// requiredOf joins neighbours that stand for a few texts and takes what says
// most.
func requiredOf(subs []*syntax.Regexp) []string {
	var best []string
	run := []string{""}
	for _, sub := range subs {
		if joined, ok := join(run, sub); ok {
			run = joined
			continue
		}
		best = moreTelling(best, run)
		run = []string{""}
		if joined, ok := join(run, sub); ok {
			run = joined
			continue
		}
		best = moreTelling(best, required(sub))
	}
	return moreTelling(best, run)
}

// join is every text of run followed by every one of re.
func join(run []string, re *syntax.Regexp) ([]string, bool) {
	if re.Op >= syntax.OpBeginLine && re.Op <= syntax.OpNoWordBoundary {
		return run, true // takes no character
	}
	more, ok := texts(re)
	if !ok || len(run)*len(more) > exactMax {
		return nil, false
	}
	var joined []string
	for _, a := range run {
		for _, b := range more {
			joined = append(joined, a+b)
		}
	}
	return joined, true
}

// moreTelling is the set whose shortest text is longer.
func moreTelling(a, b []string) []string {
	if shortest(b) > shortest(a) {
		return b
	}
	return a
}

func shortest(all []string) int {
	n := 0
	for i, s := range all {
		if i == 0 || len(s) < n {
			n = len(s)
		}
	}
	return n
}

// literal is a few texts and what they begin with.
type literal struct {
	prefix []byte
	rests  [][]byte
}

// newLiteral prepares the search for one of texts; nil when that would find
// every line.
func newLiteral(texts []string) *literal {
	if shortest(texts) == 0 {
		return nil
	}
	prefix := texts[0]
	for _, t := range texts[1:] {
		n := 0
		for n < len(prefix) && n < len(t) && prefix[n] == t[n] {
			n++
		}
		prefix = prefix[:n]
	}
	l := &literal{prefix: []byte(prefix)}
	for _, t := range texts {
		l.rests = append(l.rests, []byte(t[len(prefix):]))
	}
	return l
}

func texts(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0 && !strings.ContainsRune(string(re.Rune), '\uFFFD')
	case syntax.OpCapture:
		return texts(re.Sub[0])
	case syntax.OpCharClass:
		return classTexts(re.Rune)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			t, ok := texts(sub)
			if all = append(all, t...); !ok || len(all) > exactMax {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			if _, ok := texts(sub); !ok {
				return nil, false // also what join would skip
			}
			joined, ok := join(all, sub)
			if !ok {
				return nil, false
			}
			all = joined
		}
		return all, true
	}
	return nil, false
}

func classTexts(ranges []rune) ([]string, bool) {
	var all []string
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] >= exactMax || len(all) > exactMax {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			all = append(all, string(r))
			if r == '\uFFFD' {
				return nil, false // stands for broken bytes too
			}
		}
	}
	return all, true
}

func (l *literal) in(b []byte) bool {
	if len(l.prefix) == 0 {
		for _, rest := range l.rests {
			if bytes.Contains(b, rest) {
				return true
			}
		}
		return false
	}
	for {
		i := bytes.Index(b, l.prefix)
		if i < 0 {
			return false
		}
		after := b[i+len(l.prefix):]
		for _, rest := range l.rests {
			if bytes.HasPrefix(after, rest) {
				return true
			}
		}
		b = b[i+1:] // the next occurrence may overlap this one
	}
}
