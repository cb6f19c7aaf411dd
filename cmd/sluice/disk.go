package main

import (
	"errors"
	"syscall"

	"github.com/sluicehq/sluice/persistence"
)

// isDisk says whether err is the disk's: damage, input/output errors, no space,
// a read-only volume.
func isDisk(err error) bool {
	var damaged *persistence.ErrDamaged
	if errors.As(err, &damaged) || errors.Is(err, persistence.ErrNoSpace) {
		return true
	}
	for _, e := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
