package persistence_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shutdownNow makes the file system forget everything that was not synced, as
// if the power had gone: _IOR('X', 125, __u32), flag 2 (do not flush the log).
func shutdownNow(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(2)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0x8004587D, uintptr(unsafe.Pointer(&flags)))
	if errno != 0 {
		return errno
	}
	return nil
}

// mounted returns a directory on an ext4 of its own, and what remounts it; the
// test is skipped where that cannot be had.
func mounted(t *testing.T) (dir string, remount func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the plug can be pulled by root only")
	}
	work := t.TempDir()
	img, dir := filepath.Join(work, "disk.img"), filepath.Join(work, "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"truncate", "-s", "768M", img},
		{"mkfs.ext4", "-q", "-F", img},
		{"mount", "-o", "loop", img, dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no loop device with ext4 here: %v: %v: %s", args, err, out)
		}
	}
	unmount := func() error {
		var err error
		for range 100 {
			var out []byte
			if out, err = exec.Command("umount", dir).CombinedOutput(); err == nil {
				return nil
			}
			err = fmt.Errorf("umount: %w: %s", err, out)
		}
		return err
	}
	t.Cleanup(func() { unmount() })
	return dir, func() {
		if err := unmount(); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mount", "-o", "loop", img, dir).CombinedOutput(); err != nil {
			t.Fatalf("mount again: %v: %s", err, out)
		}
	}
}

func TestNothingAcknowledgedIsLostWhenThePlugIsPulled(t *testing.T) {
	dir, remount := mounted(t)
	rnd := random(t)
	store := filepath.Join(dir, "store")
	var all []ack
	for round := range count(3, 15) {
		after := 200 + rnd.IntN(1500)
		pulled := false
		acks, _ := startWriter(t, childSettings{dir: store, first: round * 5000, writes: 5000}, func(n int, p *os.Process) {
			if n == after {
				pulled = true
				if err := shutdownNow(dir); err != nil {
					t.Errorf("pull the plug: %v", err)
				}
				p.Kill()
			}
		})
		if !pulled {
			t.Fatal("the writer was done before the plug was pulled")
		}
		remount()
		// What was heard after the plug may have been acknowledged by a disk
		// that was gone already: the file system refuses, so there is none.
		all = append(all, acks...)
		s := open(t, store)
		verify(t, s, all)
		closeStore(t, s)
		if t.Failed() {
			t.Fatalf("round %d, plug pulled after %d acknowledgements", round, after)
		}
	}
	t.Logf("%d acknowledgements, none lost", len(all))
}
