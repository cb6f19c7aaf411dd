package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/gen"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(n int) []string {
	l := gen.New(gen.Seed)
	var out []string
	for range n {
		out = append(out, string(l.Next(nil)))
	}
	return out
}

func TestTheCheckerFindsWhatIsLostTwiceAndForeign(t *testing.T) {
	all := lines(10)
	for _, c := range []struct {
		name                       string
		a, b                       string // two files
		lost, duplicates, stranger int
	}{
		{"everything once", strings.Join(all[:4], ""), strings.Join(all[4:], ""), 0, 0, 0},
		{"one missing in the middle", strings.Join(all[:4], ""), strings.Join(all[5:], ""), 1, 0, 0},
		{"the end missing", strings.Join(all[:4], ""), strings.Join(all[4:8], ""), 2, 0, 0},
		{"two lines in both files", strings.Join(all[:6], ""), strings.Join(all[4:], ""), 0, 2, 0},
		{"a line cut off", strings.Join(all[:9], "") + all[9][:60], "", 1, 0, 1},
		{"a line of somebody else", strings.Join(all, ""), "hello\n", 0, 0, 1},
		{"nothing", "", "", 10, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "a"), c.a)
			writeFile(t, filepath.Join(dir, "below", "b"), c.b)
			got, err := tallyDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got.lost(10) != c.lost || got.duplicates() != c.duplicates || got.foreign != c.stranger {
				t.Errorf("got lost %d duplicates %d foreign %d, want %d %d %d",
					got.lost(10), got.duplicates(), got.foreign, c.lost, c.duplicates, c.stranger)
			}
		})
	}
}

func TestLinesThatWereNeverWrittenAreSeen(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), strings.Join(lines(12), ""))
	got, err := tallyDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if surplus := len(got.seen) - 10; surplus != 2 {
		t.Errorf("got %d lines beyond the 10 written, want 2", surplus)
	}
}

func TestOnlyLinesThatShouldPassAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	all := lines(200)
	writeFile(t, path, strings.Join(all, ""))
	got, err := tallyFile(path, "status=(200|500)")
	if err != nil {
		t.Fatal(err)
	}
	for id, line := range all {
		want := strings.Contains(line, "status=200") || strings.Contains(line, "status=500")
		if (id < len(got.seen) && got.seen[id] > 0) != want {
			t.Errorf("line %d: counted %v, want %v", id, !want, want)
		}
	}
}
