package sinktest

import (
	"os/signal"
	"syscall"
	"testing"
)

// LimitFiles makes writes beyond byte limit of any file fail, those that cross
// it after a part: a full disk in small. lift ends that. The limit holds for
// the whole process: use it only where Apart answers true.
func LimitFiles(t *testing.T, limit int64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatalf("read the limit of file sizes: %v", err)
	}
	set := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatalf("set the limit of file sizes: %v", err)
		}
	}
	set(syscall.Rlimit{Cur: uint64(limit), Max: before.Max})
	return func() { set(before) }
}
