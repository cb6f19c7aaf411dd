package topologies

import (
	"slices"
	"strings"
)

const (
	editsMax      = 3   // letters that may differ
	candidatesMax = 500 // words that are compared
)

// wordMax bounds what Nearest compares; longer words are no typing errors.
const wordMax = 128 // bytes

// Nearest is the candidate that word was most likely meant to be. Other case,
// other separators (batch-size, batch_size), a missing or added s and a missing
// part before a dot come first; then few letters that differ. The first of
// equally near candidates wins.
func Nearest(word string, candidates []string) (string, bool) {
	if word == "" || len(word) > wordMax {
		return "", false
	}
	plain, last := bare(word), bare(lastPart(word))
	best, bestCost := "", allowed(word)+1
	for _, c := range candidates[:min(len(candidates), candidatesMax)] {
		if c == word || c == "" || len(c) > wordMax {
			continue
		}
		if cost := distance(word, plain, last, c); cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best, best != ""
}

// allowed is how far away a word may be, in the units of distance.
func allowed(word string) int {
	switch n := len(word); {
	case n <= 2:
		return 3
	case n <= 4:
		return 10
	case n <= 8:
		return 20
	}
	return 30
}

// distance is 1 to 4 for words that mean the same, else ten for each letter
// that differs. x and last are the bare forms of a and of its last part.
func distance(a, x, last, b string) int {
	if strings.EqualFold(a, b) {
		return 1
	}
	y := bare(b)
	switch {
	case x == y:
		return 2
	case x+"s" == y, y+"s" == x:
		return 3
	case len(last) > 2 && strings.HasSuffix(y, last) && bare(lastPart(b)) == last:
		return 4
	}
	return 10 * edits(x, y) // above editsMax it is too far in any case
}

func lastPart(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }

// bare is s in lower case without the marks that separate words.
func bare(s string) string {
	if !strings.ContainsAny(s, "-_ ") {
		return strings.ToLower(s)
	}
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// edits counts how many letters must be put in, taken out, changed or swapped
// with their neighbour to get from a to b. It stops counting above editsMax.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > editsMax || len(y)-len(x) > editsMax {
		return editsMax + 1
	}
	before, last, this := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		this[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		if slices.Min(this) > editsMax {
			return editsMax + 1
		}
		before, last, this = last, this, before
	}
	return last[len(y)]
}
