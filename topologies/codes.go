package topologies

import (
	"maps"
	"slices"
	"strings"
)

// Explain is the long text on a code ("SL0104", in any case): what it means, why
// it matters, what to do.
func Explain(code string) (string, bool) {
	text, ok := explanations[strings.ToUpper(code)]
	return strings.TrimSpace(text), ok
}

// Codes lists all codes, sorted.
func Codes() []string { return slices.Sorted(maps.Keys(explanations)) }

// explanations holds every code in use. SL01xx are about the file and how its
// components are wired, SL03xx about values. A number is never used again.
var explanations = map[string]string{}
