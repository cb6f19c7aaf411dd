package sink

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence/record"
)

// letters are n lines for the dead letters.
func letters(n int) [][]byte {
	s := record.NewSlab(64)
	defer s.Release()
	s.Append([]byte("body"))
	s.SetCommon("k", []byte("v"))
	var lines [][]byte
	for range n {
		lines = append(lines, newDeadLetter("k1", s, 0, "serialize", "no schema"))
	}
	return lines
}

func linesIn(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		t.Errorf("the file ends inside of a line: %q", text)
	}
	return bytes.Count(text, []byte("\n"))
}

// A folder that was missing, or a full disk, is the world: the next batch may
// find it better.
func TestDeadLettersAreWrittenAgainAfterAFailure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "letters")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the folder should be
		t.Fatal(err)
	}
	d := &deadLetters{path: filepath.Join(dir, "k1.jsonl")}
	defer d.close()
	if err := d.add(letters(1)); err == nil {
		t.Fatal("written into a folder that is none")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.add(letters(2)); err != nil {
		t.Fatalf("with the folder in order: %v", err)
	}
	_ = d.file.Close() // so that the next write fails
	if err := d.add(letters(1)); err == nil {
		t.Fatal("written into a closed file")
	}
	if err := d.add(letters(3)); err != nil {
		t.Fatalf("after a failed write: %v", err)
	}
	if err := d.sync(); err != nil {
		t.Fatal(err)
	}
	if got := linesIn(t, d.path); got != 5 {
		t.Errorf("%d lines, want 5", got)
	}
}

func TestALineThatAProcessLeftUnfinishedSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k1.jsonl")
	if err := os.WriteFile(path, []byte(`{"time":`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &deadLetters{path: path}
	defer d.close()
	if err := d.add(letters(1)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 3 || !strings.HasPrefix(lines[1], `{"time":"`) {
		t.Errorf("got %q %v, want the letter on a line of its own", text, err)
	}
}

// What a failed sync has left on disk is not known: nothing counts as done for
// lying there before the run is made anew.
func TestDeadLettersThatWereNotSyncedStayUnsynced(t *testing.T) {
	d := &deadLetters{path: filepath.Join(t.TempDir(), "k1.jsonl")}
	defer d.close()
	if err := d.add(letters(1)); err != nil {
		t.Fatal(err)
	}
	_ = d.file.Close()
	for range 2 {
		if err := d.sync(); err == nil {
			t.Fatal("synced, want the error of the failed sync")
		}
	}
}
