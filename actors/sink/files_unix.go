//go:build unix

package sink

import (
	"os"
	"syscall"
)

// writable says whether files can be made in dir.
func writable(dir string) error {
	const writeAndSearch = 2 | 1
	if err := syscall.Access(dir, writeAndSearch); err != nil {
		return &os.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}

// identity is what tells a file from another that takes its name.
func identity(f *os.File) (device, inode uint64, err error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return uint64(st.Dev), uint64(st.Ino), nil
}

// lockFile marks f as being written, for lockedElsewhere. Where the file
// system knows no locks it has no effect.
func lockFile(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// lockedElsewhere says whether somebody is writing f.
func lockedElsewhere(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
