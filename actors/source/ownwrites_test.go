package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDamagedHashesMakeNothingSomebodyElses(t *testing.T) {
	ours, theirs := []byte("[1]"), []byte("[2]")
	for name, c := range map[string]struct {
		damage func(string) string
		has    bool // what we did not write
	}{
		"whole":  {func(s string) string { return s }, false},
		"zeros":  {func(s string) string { return strings.Repeat("\x00", len(s)) }, true},
		"cut":    {func(s string) string { return s[:len(s)/2] }, true},
		"empty":  {func(string) string { return "" }, true},
		"no hex": {func(s string) string { return "x" + s[1:] }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := openOwnWrites(dir, "hashes").write(filepath.Join(dir, "positions"), ours); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "hashes")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.damage(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			w := openOwnWrites(dir, "hashes")
			if !w.has(ours) {
				t.Error("what we wrote is somebody else's")
			}
			if got := w.has(theirs); got != c.has {
				t.Errorf("what we did not write is ours: got %v, want %v", got, c.has)
			}
		})
	}
}
