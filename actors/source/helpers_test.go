package source_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

var fixedTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newSource(kind string, settings map[string]string, env source.Env) (source.Source, error) {
	return source.New(topologies.SettingsOf(kinds.Source, kind, settings), env)
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// setTime makes a file a number of days older than now is to the tests.
func setTime(t *testing.T, path string, day int) {
	t.Helper()
	at := fixedTime.AddDate(0, 0, day)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}
