package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/runtime/admin"
)

func TestExitCodesAreThoseThatScriptsRelyOn(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.conf")
	if err := os.WriteFile(bad, []byte("a1.sources = r1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want int
	}{
		{"version", 0},
		{"", 0},
		{"--help", 0},
		{"nonsense", 2},
		{"actor nonsense", 2},
		{"deploy", 2},
		{"version surplus", 2},
		{"version --nonsense", 2},
		{"topology list --server ftp://x", 2},
		{"topology list --server http://127.0.0.1:1", 69},
		{"validate " + bad, 78},
		{"validate /does/not/exist", 78},
	} {
		var out, errs bytes.Buffer
		if got := run(strings.Fields(c.args), &out, &errs); got != c.want {
			t.Errorf("sluice %s: exit %d, want %d; stderr: %s", c.args, got, c.want, &errs)
		}
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("anything"), 1},
		{fmt.Errorf("x: %w", admin.ErrBadConfig), 78},
		{fmt.Errorf("x: %w", context.Canceled), 130},
		{fmt.Errorf("x: %w", syscall.ENOSPC), 74},
		{fmt.Errorf("x: %w", persistence.ErrNoSpace), 74},
		{fmt.Errorf("x: %w", &persistence.ErrDamaged{}), 74},
		{&exitError{exitInterrupted, nil}, 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.want)
		}
	}
}
