package main

import (
	"errors"
	"syscall"
)

// isDisk says whether err is the disk's: input/output errors, no space, a
// read-only volume.
func isDisk(err error) bool {
	for _, e := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
