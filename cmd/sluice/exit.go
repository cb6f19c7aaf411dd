package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

// Exit codes that scripts rely on.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 69
	exitDisk        = 74
	exitConfig      = 78
	exitInterrupted = 130
)

// usageError is a command line that cannot be read.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// exitError ends the program with a code of its own. A nil error is one that
// has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func isQuiet(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.err == nil
}

func exitCode(err error) int {
	var usage *usageError
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.Is(err, admin.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, admin.ErrBadConfig):
		return exitConfig
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case isDisk(err):
		return exitDisk
	}
	return exitFailed
}

// complain tells err on w: faults with their lines, everything else in one.
func complain(w io.Writer, err error) {
	var bad *admin.ConfigError
	if errors.As(err, &bad) && len(bad.Faults) > 0 {
		if bad.Why != "" {
			fmt.Fprintf(w, "error: %s\n\n", bad.Why)
		}
		topologies.RenderFaults(w, bad.Faults, fileText)
		return
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "interrupted")
		return
	}
	fmt.Fprintf(w, "error: %v\n", err)
}

// fileText is the text of a file for a snippet; nil when it cannot be read.
func fileText(name string) []byte {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 8<<20 {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return text
}
