package flume

import (
	"sort"
	"strings"

	"github.com/sluicehq/sluice/topologies"
)

// text is a decoded piece of a file that still knows where each byte stood,
// through escapes and continued lines.
type text struct {
	s    string
	file string
	runs []run
	lead int // bytes at the beginning that do not stand in the file
}

// run says that the bytes of the text from at on, up to the next run, stand
// side by side in the file from line:column on.
type run struct{ at, line, column int }

// add appends what stood at line:column.
func (t *text) add(b *strings.Builder, s string, line, column int) {
	at := b.Len()
	if n := len(t.runs); n == 0 || t.runs[n-1].line != line || t.runs[n-1].column+at-t.runs[n-1].at != column {
		t.runs = append(t.runs, run{at, line, column})
	}
	b.WriteString(s)
}

// pos is the place of byte i; of the first for an i that is not there.
func (t text) pos(i int) topologies.Pos {
	if len(t.runs) == 0 {
		return topologies.Pos{File: t.file}
	}
	i = max(i-t.lead, 0)
	n := sort.Search(len(t.runs), func(n int) bool { return t.runs[n].at > i })
	r := t.runs[max(n-1, 0)]
	return topologies.Pos{File: t.file, Line: r.line, Column: r.column + max(i-r.at, 0)}
}

// end is the column after the bytes [from, to) when they stand in one line,
// else 0.
func (t text) end(from, to int) int {
	first, last := t.pos(from), t.pos(max(from, to-1))
	if first.Line != last.Line || len(t.runs) == 0 {
		return 0
	}
	return last.Column + 1
}

// cut is the text of the bytes [from, to).
func (t text) cut(from, to int) text {
	out := text{s: t.s[from:to], file: t.file}
	if len(t.runs) == 0 || from >= to {
		return out
	}
	p := t.pos(from)
	out.runs = append(out.runs, run{0, p.Line, p.Column})
	out.lead = max(t.lead-from, 0)
	from, to = max(from-t.lead, 0), max(to-t.lead, 0)
	for _, r := range t.runs {
		if r.at > from && r.at < to {
			out.runs = append(out.runs, run{r.at - from, r.line, r.column})
		}
	}
	return out
}

// trim is the text without what Java's String.trim takes away.
func (t text) trim() text {
	from, to := trimmed(t.s)
	if from == 0 && to == len(t.s) {
		return t
	}
	return t.cut(from, to)
}

// trimmed says which bytes of s are left when all up to the blank go at both
// ends, as in Java's String.trim.
func trimmed(s string) (from, to int) {
	to = len(s)
	for from < to && s[from] <= ' ' {
		from++
	}
	for to > from && s[to-1] <= ' ' {
		to--
	}
	return from, to
}

// trimJava is s as Java's String.trim leaves it.
func trimJava(s string) string {
	from, to := trimmed(s)
	return s[from:to]
}

// words splits the text where separators has a byte.
func (t text) words(separators string) []text {
	var out []text
	for from := 0; from < len(t.s); {
		if strings.IndexByte(separators, t.s[from]) >= 0 {
			from++
			continue
		}
		to := from
		for to < len(t.s) && strings.IndexByte(separators, t.s[to]) < 0 {
			to++
		}
		out = append(out, t.cut(from, to))
		from = to
	}
	return out
}

// javaSpace is what \s matches in a Java pattern.
const javaSpace = " \t\n\x0b\f\r"
