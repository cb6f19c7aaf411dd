package kafka

import (
	"errors"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/persistence/record"
)

// codes are our errors with the codes that clients know. The first that fits
// wins.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{record.ErrCorrupt, kerr.CorruptMessage},
}

// codeOf is what a client is told about err. What is in no table is our own
// fault.
func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// isReset says that the other side went away without a word.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
