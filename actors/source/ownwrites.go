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
	// damaged: there are hashes, but not readable ones. Then nothing is taken
	// for somebody else's: what we know ourselves is never behind.
	damaged bool
}

func openOwnWrites(dir, name string) *ownWrites {
	w := &ownWrites{path: filepath.Join(dir, name)}
	if text, err := os.ReadFile(w.path); err == nil {
		w.hashes = slices.DeleteFunc(strings.Fields(string(text)), func(hash string) bool {
			sum, err := hex.DecodeString(hash)
			w.damaged = w.damaged || err != nil || len(sum) != sha256.Size
			return err != nil || len(sum) != sha256.Size
		})
		w.damaged = w.damaged || len(w.hashes) == 0
	}
	return w
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
		if err := replaceFile(w.path, []byte(strings.Join(w.hashes, "\n")+"\n")); err != nil {
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
