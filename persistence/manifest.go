package persistence

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Badger cuts its MANIFEST at the first damage, deletes the tables that it
// then does not know, and opens without a word. So the witness says how far
// the file went and with which checksum: it only ever grows, but for a rare
// rewrite, which is another file.
type manifest struct {
	size  uint32
	crc   uint32
	inode uint64
}

func inodeOf(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}

// follow brings m up to date with the file in dir, reading what is new.
func (m manifest) follow(dir string) (manifest, error) {
	path := filepath.Join(dir, "MANIFEST")
	st, err := os.Stat(path)
	if os.IsNotExist(err) {
		return manifest{}, nil
	}
	if err != nil {
		return m, err
	}
	if inodeOf(st) == m.inode && st.Size() == int64(m.size) {
		return m, nil
	}
	if inodeOf(st) != m.inode || st.Size() < int64(m.size) {
		m = manifest{inode: inodeOf(st)}
	}
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	added, err := io.ReadAll(io.NewSectionReader(f, int64(m.size), st.Size()-int64(m.size)))
	if err != nil {
		return m, err
	}
	m.crc = crc32.Update(m.crc, segment.Table, added)
	m.size += uint32(len(added))
	return m, nil
}

// check says what is wrong with the file in dir, which m has seen earlier.
func (m manifest) check(dir string) error {
	path := filepath.Join(dir, "MANIFEST")
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("its MANIFEST is missing")
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() >= int64(m.size) {
		sum := crc32.New(segment.Table)
		if _, err := io.CopyN(sum, f, int64(m.size)); err != nil {
			return err
		}
		if sum.Sum32() == m.crc {
			return nil
		}
	}
	if inodeOf(st) != m.inode && st.Size() > 0 {
		// Rewritten just before the stop: then it is whole.
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil)); err == nil && end == st.Size() {
			return nil
		}
	}
	return fmt.Errorf("its MANIFEST is not what it was")
}
