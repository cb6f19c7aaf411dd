package interceptor

import (
	"bytes"
	"regexp/syntax"
	"unicode/utf8"
)

// machine runs a compiled pattern over bytes and reports groups without
// allocating, which package regexp cannot. It backtracks, but visits each pair
// of instruction and position once, so it is linear in the text. `$` outside
// multi-line mode is compiled as an end of line and means Java's: the end, or
// before the last line terminator.
type machine struct {
	prog     *syntax.Prog
	prefix   []byte
	anchored bool
	multi    bool     // an end of line is what multi-line mode says
	visited  []uint64 // all zero between two searches
	touched  []uint32 // the words of visited that are not
	stack    []job
	caps     []int
}

// job is a state still to be tried; with pc < 0 it sets group -pc-1 back to pos.
type job struct{ pc, pos int }

func (v *machine) init(prog *syntax.Prog, multi bool) {
	v.prog, v.multi = prog, multi
	if prefix, _ := prog.Prefix(); prefix != "" {
		v.prefix = []byte(prefix)
	}
	v.anchored = prog.StartCond()&syntax.EmptyBeginText != 0
	v.caps = make([]int, max(prog.NumCap, 2))
}

// scratch is how many bytes it takes to search a text of n bytes.
func (v *machine) scratch(n int) int { return len(v.prog.Inst) * (n + 1) / 8 }

func (v *machine) find(b []byte, at int, loc []int) []int {
	words := (len(v.prog.Inst)*(len(b)-at+1) + 63) / 64
	if len(v.visited) < words {
		v.visited = make([]uint64, words)
		v.touched = v.touched[:0]
	}
	for _, w := range v.touched {
		v.visited[w] = 0
	}
	v.touched = v.touched[:0]
	for p := at; p <= len(b); {
		if v.anchored && p > 0 {
			return loc
		}
		if v.prefix != nil {
			i := bytes.Index(b[p:], v.prefix)
			if i < 0 {
				return loc
			}
			p += i
		}
		if end := v.try(b, at, p); end >= 0 {
			v.caps[0], v.caps[1] = p, end
			return append(loc, v.caps...)
		}
		if p == len(b) {
			return loc
		}
		_, n := utf8.DecodeRune(b[p:])
		p += n
	}
	return loc
}

// try matches at p and returns the end, or -1.
func (v *machine) try(b []byte, at, p int) int {
	for i := range v.caps {
		v.caps[i] = -1
	}
	width := len(b) - at + 1
	v.stack = append(v.stack[:0], job{v.prog.Start, p})
	for len(v.stack) > 0 {
		j := v.stack[len(v.stack)-1]
		v.stack = v.stack[:len(v.stack)-1]
		if j.pc < 0 {
			v.caps[-j.pc-1] = j.pos
			continue
		}
		if end := v.follow(b, at, width, j.pc, j.pos); end >= 0 {
			return end
		}
	}
	return -1
}

// follow runs one thread until it fails or matches, leaving its alternatives
// on the stack.
func (v *machine) follow(b []byte, at, width, pc, pos int) int {
	for {
		bit := pc*width + pos - at
		word := &v.visited[bit>>6]
		switch {
		case *word&(1<<(bit&63)) != 0:
			return -1
		case *word == 0:
			v.touched = append(v.touched, uint32(bit>>6))
		}
		*word |= 1 << (bit & 63)
		in := &v.prog.Inst[pc]
		switch in.Op {
		case syntax.InstMatch:
			return pos
		case syntax.InstFail:
			return -1
		case syntax.InstAlt, syntax.InstAltMatch:
			v.stack = append(v.stack, job{int(in.Arg), pos})
		case syntax.InstCapture:
			if int(in.Arg) < len(v.caps) {
				v.stack = append(v.stack, job{-int(in.Arg) - 1, v.caps[in.Arg]})
				v.caps[in.Arg] = pos
			}
		case syntax.InstEmptyWidth:
			if !v.holds(syntax.EmptyOp(in.Arg), b, pos) {
				return -1
			}
		case syntax.InstNop:
		default:
			n := step(in, b, pos)
			if n == 0 {
				return -1
			}
			pos += n
		}
		pc = int(in.Out)
	}
}

// step is the length of the rune at pos if in takes it, else 0.
func step(in *syntax.Inst, b []byte, pos int) int {
	if pos == len(b) {
		return 0
	}
	r, n := rune(b[pos]), 1
	if r >= utf8.RuneSelf {
		r, n = utf8.DecodeRune(b[pos:])
	}
	switch in.Op {
	case syntax.InstRune1:
		if r != in.Rune[0] {
			return 0
		}
	case syntax.InstRuneAnyNotNL:
		if r == '\n' {
			return 0
		}
	case syntax.InstRune:
		if !in.MatchRune(r) {
			return 0
		}
	}
	return n
}

// holds says whether all conditions of op are true between b[:pos] and b[pos:].
func (v *machine) holds(op syntax.EmptyOp, b []byte, pos int) bool {
	if op&syntax.EmptyBeginText != 0 && pos != 0 {
		return false
	}
	if op&syntax.EmptyEndText != 0 && pos != len(b) {
		return false
	}
	if op&syntax.EmptyBeginLine != 0 && pos != 0 && b[pos-1] != '\n' {
		return false
	}
	if op&syntax.EmptyEndLine != 0 && !v.endOfLine(b, pos) {
		return false
	}
	if op&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) == 0 {
		return true
	}
	boundary := (pos > 0 && isWord(b[pos-1])) != (pos < len(b) && isWord(b[pos]))
	return boundary == (op&syntax.EmptyWordBoundary != 0)
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func (v *machine) endOfLine(b []byte, pos int) bool {
	if v.multi {
		return pos == len(b) || b[pos] == '\n'
	}
	return lastTerminator(b, pos)
}

// lastTerminator says whether nothing but one line terminator follows pos.
func lastTerminator(b []byte, pos int) bool {
	switch rest := b[pos:]; len(rest) {
	case 0:
		return true
	case 1:
		return rest[0] == '\r' || rest[0] == '\n' && (pos == 0 || b[pos-1] != '\r')
	case 2:
		return string(rest) == "\r\n" || string(rest) == "\u0085"
	case 3:
		return string(rest) == "\u2028" || string(rest) == "\u2029"
	}
	return false
}
