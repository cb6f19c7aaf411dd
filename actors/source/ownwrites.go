package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ownWrites tells what we wrote into a file that others write too from what
// they wrote. It keeps the hashes of our last two versions, and writes them
// before the file: whichever version a crash leaves behind is known as ours.
type ownWrites struct {
	path   string // of the hashes
	hashes []string
	known  bool // the hashes could be read; else nobody can tell
	// damaged: there are hashes, but not readable ones. Then nothing is taken
	// for somebody else's: what we know ourselves is never behind.
	damaged bool
}

func openOwnWrites(dir, name string) *ownWrites {
	w := &ownWrites{path: filepath.Join(dir, name)}
	text, err := os.ReadFile(w.path)
	if err != nil {
		return w
	}
	if lines := strings.Fields(string(text)); len(lines) > 1 && sealed(lines[:len(lines)-1]) == string(text) {
		w.hashes, w.known = lines[:len(lines)-1], true
	}
	w.damaged = !w.known
	return w
}

// sealed is the text of the file of hashes: a line each, and a hash of them all.
func sealed(hashes []string) string {
	text := strings.Join(hashes, "\n") + "\n"
	return text + hashOf([]byte(text)) + "\n"
}

// has says whether text is one of our last versions.
func (w *ownWrites) has(text []byte) bool {
	return w.damaged || slices.Contains(w.hashes, hashOf(text))
}

// write replaces the file at path by text.
func (w *ownWrites) write(path string, text []byte) error {
	if hash := hashOf(text); !slices.Contains(w.hashes, hash) {
		if len(w.hashes) > 0 {
			w.hashes = w.hashes[len(w.hashes)-1:]
		}
		w.hashes = append(w.hashes, hash)
		if err := replaceFile(w.path, []byte(sealed(w.hashes))); err != nil {
			return err
		}
	}
	return replaceFile(path, text)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// replaceFile makes text the content of path at once: readers and a crash meet
// the old or the new content, never a part.
func replaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
