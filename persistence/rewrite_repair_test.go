package persistence_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/record"
)

// Rule 16, and what a repair for another reason must not give up: what was
// rewritten is found in the segments of its generation.
func TestWhatWasRewrittenSurvivesARepair(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"Badger is lost": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "badger")); err != nil {
				t.Fatal(err)
			}
		},
		"the witness is lost": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "witness")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, smallSegments)
			l := openLog(t, s, "a", persistence.LogOptions{})
			for n := range 20 {
				submit(t, s, appendOf(l, n, 4*large, 3))
			}
			for _, to := range []record.Offset{21, 30} {
				if err := rewriteBelow(l, to); err != nil {
					t.Fatal(err)
				}
				if err := s.TendForTest(); err != nil {
					t.Fatal(err)
				}
			}
			want := mustWalk(t, l)
			closeStore(t, s)
			harm(t, dir)
			var d *persistence.ErrDamaged
			if _, err := tryOpen(t, dir, smallSegments); !errors.As(err, &d) {
				t.Fatalf("open: %v", err)
			}
			if _, err := persistence.Repair(dir, true, persistence.Options{Log: quiet, MinFree: 1 << 20, SkipChild: true}); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, smallSegments)
			defer closeStore(t, s)
			l = openLog(t, s, "a", persistence.LogOptions{})
			if got := mustWalk(t, l); !slices.Equal(got, want) {
				t.Fatalf("repaired\n%v, was\n%v", got, want)
			}
			if err := rewriteBelow(l, 45); err != nil {
				t.Fatal(err)
			}
			if err := s.TendForTest(); err != nil {
				t.Fatal(err)
			}
			if got := mustWalk(t, l); !slices.Equal(got, after(want, 45)) {
				t.Fatalf("rewritten again\n%v, want\n%v", got, after(want, 45))
			}
		})
	}
}
