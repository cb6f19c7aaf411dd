package persistence_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/persistence"
)

func TestTheFiguresAreThoseOfTheVolume(t *testing.T) {
	dir := t.TempDir()
	s, err := persistence.Open(dir, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := s.Figures()
	if err != nil {
		t.Fatal(err)
	}
	var volume unix.Statfs_t
	if err := unix.Statfs(dir, &volume); err != nil {
		t.Fatal(err)
	}
	if size := int64(volume.Blocks) * int64(volume.Bsize); f.Free <= 0 || f.Free > size {
		t.Errorf("free: got %d bytes, want more than none and at most the volume's %d", f.Free, size)
	}
	if b := f.Badger; b.Memtables == 0 || b.MemtableBytes == 0 {
		t.Errorf("an open store has a memtable on disk; got %+v", b)
	}
}
