package main

import (
	"strings"
	"testing"
)

func TestTheStatusLineIsNeverCutWithinAField(t *testing.T) {
	fields := []field{{"in 12345/s", 3}, {"out 12345/s", 3}, {"received 1234567", 1}, {"held 17", 4}, {"delivered 1234550", 2},
		{"lost 0", 6}, {"duplicates 0", 5}, {"kills 12", 4}}
	for _, c := range []struct {
		width int
		want  string
	}{
		{200, "  in 12345/s   out 12345/s   received 1234567   held 17   delivered 1234550   lost 0   duplicates 0   kills 12"},
		{105, " in 12345/s  out 12345/s  received 1234567  held 17  delivered 1234550  lost 0  duplicates 0  kills 12"},
		{90, " in 12345/s  out 12345/s  held 17  delivered 1234550  lost 0  duplicates 0  kills 12"},
		{69, " in 12345/s  out 12345/s  held 17  lost 0  duplicates 0  kills 12"},
		{40, " held 17  lost 0  duplicates 0  kills 12"},
		{10, " lost 0"},
		{3, ""},
	} {
		if got := fit(fields, c.width); got != c.want {
			t.Errorf("%d columns:\ngot  %q\nwant %q", c.width, got, c.want)
		}
	}
}

func TestOnePartIsNotSeveral(t *testing.T) {
	for kills, want := range map[int]string{0: "; 0 parts killed,", 1: "; 1 part killed,", 2: "; 2 parts killed,"} {
		if got := (verdict{Kills: kills}).String(); !strings.Contains(got, want) {
			t.Errorf("%d kills: %q, want %q in it", kills, got, want)
		}
	}
}
