package source

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// A directory that has vanished is nothing to speak of; one that cannot be read
// hides files, so it is counted every time and named once.
func TestTaildirSpeaksOfDirectoriesBelowThatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "good"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "good", "a.log"), []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	env := Env{Log: slog.New(slog.NewTextHandler(&log, nil)), Counters: new(Counters)}
	g, err := newTailGroup(topologies.SettingsOf(kinds.Source, "taildir", map[string]string{
		"filegroups.g": dir + `/.*\.log`, "recursive": "true",
	}), "g", env)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	// No file system takes such a name, whoever asks.
	bad := filepath.Join(dir, strings.Repeat("x", 300))
	g.listings[dir] = &listing{mtime: info.ModTime(), read: info.ModTime().Add(time.Minute),
		dirs: []string{filepath.Join(dir, "vanished"), bad, filepath.Join(dir, "good")}}
	for range 3 {
		all, err := g.list(nil, true)
		if err != nil || len(all) != 1 {
			t.Fatalf("got %v and %v, want the one file", all, err)
		}
	}
	if got := env.Counters.EventReadFail.Load(); got != 3 {
		t.Errorf("counted %d failures, want one of each look", got)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, bad) {
		t.Errorf("log %q, want one line that names %s", got, bad)
	}
}
