package persistence_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/persistence"
)

// held takes the lock of the store in dir in the name of the process pid.
func held(t *testing.T, dir string, pid int) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, "%d sluice\n", pid); err != nil {
		t.Fatal(err)
	}
	return f
}

// The child that looks at Badger may end a moment after a parent that was
// killed. The next start waits for it: that is no other user of the store.
func TestOpenWaitsForWhatAKilledProcessLeftBehind(t *testing.T) {
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	orphan := held(t, dir, gone.Process.Pid)
	time.AfterFunc(50*time.Millisecond, func() { orphan.Close() })
	closeStore(t, open(t, dir))
}

func TestOpenRefusesAStoreThatALivingProcessHas(t *testing.T) {
	dir := t.TempDir()
	other := held(t, dir, os.Getppid())
	defer other.Close()
	s, err := persistence.Open(dir, persistence.Options{Log: quiet})
	if !errors.Is(err, persistence.ErrInUse) {
		t.Fatalf("open a store in use: %v, %v, want %v", s, err, persistence.ErrInUse)
	}
}
