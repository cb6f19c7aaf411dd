package persistence

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Figures are the sizes of a store at one moment, in bytes of its volume.
type Figures struct {
	Free   int64 // what the volume has left
	Badger BadgerFigures
}

// BadgerFigures are the files of Badger. Those of memtables and value logs are
// sparse: what counts is what they take.
type BadgerFigures struct {
	Tables, Memtables                        int
	TableBytes, MemtableBytes, ValueLogBytes int64
}

// Figures are read from the volume; a file that goes away meanwhile counts for
// nothing.
func (s *Store) Figures() (Figures, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return Figures{}, &os.PathError{Op: "statfs", Path: s.dir, Err: err}
	}
	f := Figures{Free: int64(st.Bavail) * int64(st.Bsize)}
	files, err := os.ReadDir(s.badgerDir())
	if err != nil {
		return f, err
	}
	for _, file := range files {
		f.Badger.add(s.badgerDir(), file.Name())
	}
	return f, nil
}

func (b *BadgerFigures) add(dir, name string) {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(dir, name), &st) != nil {
		return
	}
	const block = 512 // bytes, whatever the file system's own are
	size := st.Blocks * block
	switch {
	case strings.HasSuffix(name, ".sst"):
		b.Tables++
		b.TableBytes += size
	case strings.HasSuffix(name, ".mem"):
		b.Memtables++
		b.MemtableBytes += size
	case strings.HasSuffix(name, ".vlog"):
		b.ValueLogBytes += size
	}
}
