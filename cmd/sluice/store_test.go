package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

// storeWith is a store that was closed with one log in it.
func storeWith(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := persistence.Open(dir, persistence.Options{Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	s.Submit(&persistence.Write{Sets: []persistence.KV{{Key: persistence.SinkKey("a1", "k1", "x"), Value: []byte("v")}}, Done: func(err error) { done <- err }})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckTellsAWholeStoreFromADamagedOneAndRepairNeedsConsent(t *testing.T) {
	dir := storeWith(t)
	var out, errs bytes.Buffer
	if code := run([]string{"check", dir}, &out, &errs); code != 0 || !strings.Contains(out.String(), "whole") {
		t.Fatalf("a whole store: exit %d, %s%s", code, &out, &errs)
	}
	if code := run([]string{"repair", dir}, &out, &errs); code != 0 || !strings.Contains(errs.String(), "nothing to repair") {
		t.Fatalf("repair of a whole store: exit %d, %s", code, &errs)
	}
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("scribble"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	out.Reset()
	if code := run([]string{"check", dir, "-o", "json"}, &out, &errs); code != exitDisk {
		t.Fatalf("a damaged store: exit %d, want %d; %s", code, exitDisk, &errs)
	}
	var r reportJSON
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Doubts) == 0 {
		t.Errorf("got %s, %v; want what is in doubt", &out, err)
	}
	if code := run([]string{"repair", dir}, &out, &errs); code != exitDisk {
		t.Errorf("repair without consent: exit %d, want %d", code, exitDisk)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("without consent the store was changed:\n%s\n%s", before, after)
	}
	if code := run([]string{"repair", dir, "--accept-loss"}, &out, &errs); code != 0 {
		t.Fatalf("repair: exit %d; %s", code, &errs)
	}
	if code := run([]string{"check", dir}, &out, &errs); code != 0 {
		t.Errorf("after the repair: exit %d; %s%s", code, &out, &errs)
	}
}

// listing names every file of dir with its length, but for the lock.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() == "lock" {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheckOfNothingIsAnError(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"check", filepath.Join(t.TempDir(), "none")}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "none") {
		t.Errorf("exit %d, %s; want 1 and the name", code, &errs)
	}
}
