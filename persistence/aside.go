package persistence

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
)

// exists says whether dir holds a store that was ever written to.
func exists(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "badger", "MANIFEST")); err == nil {
		return true
	}
	logs, _ := os.ReadDir(filepath.Join(dir, "segments"))
	return len(logs) > 0
}

// removeEmpty deletes memtable logs and value logs of no bytes: a stop between
// their creation and their first extension leaves them, they hold nothing, and
// Badger refuses to open beside them.
func removeEmpty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if st, err := os.Stat(path); err == nil && st.Size() == 0 {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// setAside keeps what Badger's opening may destroy: it cuts memtable logs at
// the first damage and deletes tables its manifest does not name, both without
// a word. The copies go when the store turns out to be whole.
func (s *Store) setAside() error {
	to := s.asideDir()
	if _, err := os.Stat(to); err == nil {
		return nil // of an opening before that was refused: they are nearer to the truth
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	return copyBadger(s.badgerDir(), to, true)
}

func (s *Store) asideDir() string { return filepath.Join(s.dir, "aside") }

// copyBadger copies Badger's files; tables, which never change, may be linked.
func copyBadger(from, to string, link bool) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		if !f.Type().IsRegular() || name == "LOCK" {
			continue
		}
		src, dst := filepath.Join(from, name), filepath.Join(to, name)
		if link && filepath.Ext(name) == ".sst" && os.Link(src, dst) == nil {
			continue
		}
		if err := copyFile(src, dst); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies; zeros, of which a memtable's log has its full length from
// the start, stay a hole.
func copyFile(src, dst string) (err error) {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := to.Close(); err == nil {
			err = e
		}
	}()
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(from, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := to.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return to.Truncate(at)
		default:
			return err
		}
	}
}
