package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// dropGeneration deletes the entries of a generation that does not count, and
// then its segments.
func (s *Store) dropGeneration(l *Log, number uint32) error {
	prefix := generationPrefix(l.gid, number)
	if err := s.tender.deleteKeys(prefix, prefix, func([]byte) bool { return true }); err != nil {
		return err
	}
	return s.removeFolder(l.gid, l.generationDir(number))
}

func (s *Store) removeFolder(gid uint32, dir string) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	if err := segment.Before(s.opt.Faults, segment.OpUnlink, dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	s.files.Forget(gid) // or their space stays taken
	return segment.SyncDir(s.opt.Faults, filepath.Dir(dir))
}

// dropUnfinished removes what a rewriting that came to no end has left, and the
// note that there was one.
func (s *Store) dropUnfinished(l *Log, number uint32) error {
	if err := s.dropGeneration(l, number); err != nil {
		return err
	}
	return s.do(&Write{Deletes: [][]byte{unfinishedKey(l.gid)}})
}

// settleGenerations brings rewritings to an end at start: the one that was not
// finished never was, and of one that was the losers are swept.
func (s *Store) settleGenerations() error {
	for _, l := range s.sortedLogs() {
		v, ok, err := s.get(unfinishedKey(l.gid))
		if err != nil {
			return err
		}
		if ok && len(v) == 4 {
			if err := s.dropUnfinished(l, binary.BigEndian.Uint32(v)); err != nil {
				return fmt.Errorf("log %s: %w", l.name, err)
			}
		}
		if l.gen.Load() != nil {
			s.reclaim(l)
		}
	}
	return nil
}

// sweepGenerations deletes what lies below start in the generation of l that
// counts, and the generations before it.
func (t *tender) sweepGenerations(l *Log, start record.Offset) error {
	g := l.gen.Load()
	if g == nil {
		return nil
	}
	for {
		number, ok, err := t.s.firstGeneration(l)
		if err != nil {
			return err
		}
		if !ok || number >= g.number {
			break
		}
		if err := t.s.dropGeneration(l, number); err != nil {
			return err
		}
	}
	if err := t.s.dropFolders(l, g.number); err != nil {
		return err
	}
	prefix := generationPrefix(l.gid, g.number)
	if err := t.deleteKeys(prefix, prefix, func(k []byte) bool { return offsetOf(k) < start }); err != nil {
		return err
	}
	_, err := g.segs.Unlink(start)
	return err
}

// firstGeneration is the lowest number of a generation that has entries.
func (s *Store) firstGeneration(l *Log) (number uint32, ok bool, err error) {
	prefix := logKey(l.gid, 'w')
	err = s.scan(prefix, prefix, func(k, _ []byte) error {
		number, ok = binary.BigEndian.Uint32(k[len(prefix):]), true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return number, ok, err
}

// dropFolders removes the segments of generations below number.
func (s *Store) dropFolders(l *Log, number uint32) error {
	numbers, err := generationsIn(l.segs.Folder())
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n >= number {
			continue
		}
		if err := s.removeFolder(l.gid, l.generationDir(n)); err != nil {
			return err
		}
	}
	return nil
}

// generationsIn lists the generations that have segments in the folder of a log,
// ascending.
func generationsIn(dir string) (numbers []uint32, err error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, e := range entries {
		name, ok := bytes.CutPrefix([]byte(e.Name()), []byte("g"))
		if n, err := strconv.ParseUint(string(name), 16, 32); ok && err == nil && len(name) == 8 && e.IsDir() {
			numbers = append(numbers, uint32(n))
		}
	}
	return numbers, err
}
