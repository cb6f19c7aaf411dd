package sink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// recover brings the files of an earlier run to what was committed of them and
// hands those that are still in use to the closer.
func (s *files) recover() error {
	var keys []string
	for key := range s.env.State {
		if n, ok := keyNumber(key); ok {
			keys = append(keys, key)
			s.next = max(s.next, n+1)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		rec, err := decodeFileRecord(s.env.State[key])
		if err != nil {
			return fmt.Errorf("state %s of sink %s: %w", key, s.env.Name, err)
		}
		if err := s.recoverFile(key, rec); err != nil {
			return fmt.Errorf("recover file %s: %w", path.Join(rec.Dir, rec.Path), err)
		}
	}
	return nil
}

func decodeFileRecord(b []byte) (rec fileRecord, err error) {
	err = json.Unmarshal(b, &rec)
	return rec, err
}

func (s *files) recoverFile(key string, rec fileRecord) error {
	log := s.env.Log.With("file", path.Join(rec.Dir, rec.Path), "committed", rec.Length)
	root, err := s.rootOf(rec.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		if rec.Length > 0 && !rec.Renaming {
			log.Error("a file with committed records is gone, with its directory")
		}
		s.gone = append(s.gone, key)
		return nil
	}
	if err != nil {
		return err
	}
	name, err := findFile(root, rec)
	switch {
	case err != nil:
		return err
	case name == "" && (rec.Renaming || rec.Length == 0):
		s.gone = append(s.gone, key)
		return nil
	case name == "":
		log.Error("a file with committed records is gone, or another stands in its place")
		s.gone = append(s.gone, key)
		return nil
	}
	size, err := s.cut(root, name, rec)
	if err != nil {
		return err
	}
	if size < rec.Length {
		log.Error("a file is shorter than what was committed of it: records are missing", "size", size)
	}
	if size == 0 && name != rec.Final {
		s.gone = append(s.gone, key)
		return root.Remove(name)
	}
	if name == rec.Final {
		s.gone = append(s.gone, key)
		return nil
	}
	log.Info("file of an earlier run is closed", "size", size)
	s.ready = append(s.ready, &file{set: s, key: key, rec: rec, committed: rec.Length, finished: true, renaming: rec.Renaming})
	return nil
}

// findFile is the name under which the file of rec stands: its own, or its
// final one where somebody has renamed it; "" where it is gone.
func findFile(root *os.Root, rec fileRecord) (string, error) {
	for _, name := range []string{rec.Path, rec.Final} {
		f, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		device, inode, err := identity(f)
		_ = f.Close()
		if err != nil {
			return "", err
		}
		if device == rec.Device && inode == rec.Inode {
			return name, nil
		}
	}
	return "", nil
}

// cut makes the file as long as was committed, where what goes away comes
// again, and answers with its size.
func (s *files) cut(root *os.Root, name string, rec fileRecord) (int64, error) {
	info, err := root.Stat(name)
	if err != nil || info.Size() <= rec.Length || !s.env.Replays {
		return sizeOf(info), err
	}
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	err = f.Truncate(rec.Length)
	if err == nil {
		err = syncData(f)
	}
	s.env.Log.Info("file cut to what was committed", "file", path.Join(rec.Dir, name), "size", info.Size(), "committed", rec.Length)
	return rec.Length, errors.Join(err, f.Close())
}

func sizeOf(info fs.FileInfo) int64 {
	if info == nil {
		return 0
	}
	return info.Size()
}
