package persistence_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

// Rule 26, for real: a volume that fills up refuses writes long before Badger
// would die of it, keeps everything, and goes on when there is space again.
func TestAFullVolumeRefusesAndResumes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small volume can be mounted by root only")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs here: %v: %s", err, out)
	}
	var s *persistence.Store
	t.Cleanup(func() {
		if s != nil {
			s.Close() // after a failure: an open store holds the volume
		}
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	store := filepath.Join(dir, "store")
	s = open(t, store, func(o *persistence.Options) { o.MinFree = 0 })
	l := openLog(t, s, "a", persistence.LogOptions{})
	n := 0
	fill := func(most int) (err error) {
		for range most {
			if err = try(s, appendOf(l, n, mixedMany(n), 1)); err != nil {
				return err
			}
			n++
		}
		return nil
	}
	// Another program takes most of what is free.
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 100<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// Badger may give much back right after the refusal: then writes go on.
	told := false
	for round := 0; round < 20 && !told; round++ {
		if err := fill(4000); !errors.Is(err, persistence.ErrNoSpace) {
			t.Fatalf("a full volume answers %v", err)
		}
		told = errors.Is(s.Writable(), persistence.ErrNoSpace)
	}
	if !told {
		t.Fatal("writes are refused, and whoever asks is told that they are not")
	}
	expect(t, l, seeds(n), mixedMany)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(); err != nil {
		t.Fatalf("writable after there is space again: %v", err)
	}
	if err := fill(20); err != nil {
		t.Fatalf("write after there is space again: %v", err)
	}
	closeStore(t, s)
	s = open(t, store, func(o *persistence.Options) { o.MinFree = 0 })
	expect(t, openLog(t, s, "a", persistence.LogOptions{}), seeds(n), mixedMany)
}

func mixedMany(n int) int {
	if n%4 == 0 {
		return 60 << 10
	}
	return 4 << 10
}
