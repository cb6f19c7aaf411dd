package persistence

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/segment"
	"golang.org/x/sys/unix"
)

// ErrInUse answers who opens a store that another process has open.
var ErrInUse = errors.New("the store is in use")

// lock takes the directory for this process alone. The file says by whom.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for until := time.Now().Add(orphanMax); errors.Is(err, unix.EWOULDBLOCK) && ownerIsGone(f.Name()) && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %s\n", os.Getpid(), filepath.Base(os.Args[0]))
		if err == nil {
			return f, nil
		}
	}
	defer f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, name := owner(f.Name())
		return nil, fmt.Errorf("%w: %s (pid %s) has it open", ErrInUse, name, pid)
	}
	return nil, fmt.Errorf("lock: %w", err)
}

// orphanMax is how long lock waits for the child of a process that was killed
// while the child looked at Badger: it holds the lock too, and ends at once.
const orphanMax = 10 * time.Second

// owner is who wrote the lock file.
func owner(path string) (pid, name string) {
	b, _ := os.ReadFile(path)
	pid, name, _ = strings.Cut(strings.TrimSpace(string(b)), " ")
	return pid, name
}

// ownerIsGone says that whoever took the lock has ended.
func ownerIsGone(path string) bool {
	pid, _ := owner(path)
	n, err := strconv.Atoi(pid)
	return err == nil && errors.Is(unix.Kill(n, 0), unix.ESRCH)
}

// formatVersion is the version of everything FORMAT.md describes.
const formatVersion = 1

// formatLine is what the file format says in version v. The checksum tells
// another version from this one with a flipped bit: only the first is none of
// our business.
func formatLine(v int) string {
	line := fmt.Sprintf("sluice store %d", v)
	return fmt.Sprintf("%s %08x\n", line, crc32.Checksum([]byte(line), segment.Table))
}

// checkFormat reads the version; a new store gets it.
func (s *Store) checkFormat(exists bool) error {
	path := filepath.Join(s.dir, "format")
	b, err := os.ReadFile(path)
	switch {
	case os.IsNotExist(err) && !exists:
		return s.writeFile("format", []byte(formatLine(formatVersion)))
	case os.IsNotExist(err):
		return s.doubtAll("the file format is missing")
	case err != nil:
		return err
	}
	var v int
	if _, err := fmt.Sscanf(string(b), "sluice store %d", &v); err != nil || string(b) != formatLine(v) {
		return s.doubtAll(fmt.Sprintf("the file format says %.40q", b))
	}
	if v != formatVersion {
		return fmt.Errorf("the store has format %d, this program reads %d", v, formatVersion)
	}
	return nil
}

// writeFile replaces a small file: the old content or the new, never a mix.
func (s *Store) writeFile(name string, content []byte) error {
	path := filepath.Join(s.dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = segment.SyncDir(s.opt.Faults, s.dir)
	}
	return err
}
