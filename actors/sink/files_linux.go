package sink

import (
	"os"
	"syscall"
)

// syncData makes the bytes and the length of f durable.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) {
		for {
			if done = syscall.Fdatasync(int(fd)); done != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return done
}
