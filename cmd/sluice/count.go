package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// tally counts how often each line number (seq=%09d) stands in files.
type tally struct {
	seen    []uint8 // by number; stops at 255
	foreign int     // lines that have no number, or one never written
}

// tallyDir counts in all files below dir.
func tallyDir(dir string, written int) (*tally, error) {
	t := &tally{seen: make([]uint8, written)}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := t.read(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	return t, err
}

func (t *tally) read(r io.Reader) error {
	b := bufio.NewReaderSize(r, 256<<10)
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errors.New("a line longer than any that was written")
		}
		if len(line) > 0 {
			t.count(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) count(line []byte) {
	_, rest, ok := bytes.Cut(line, []byte("seq="))
	if !ok || len(rest) < 9 || line[len(line)-1] != '\n' {
		t.foreign++
		return
	}
	id, err := strconv.Atoi(string(rest[:9]))
	if err != nil || id < 0 || id >= len(t.seen) {
		t.foreign++
		return
	}
	if t.seen[id] < 255 {
		t.seen[id]++
	}
}

// lost is how many numbers were never seen.
func (t *tally) lost() int {
	sum := 0
	for _, n := range t.seen {
		if n == 0 {
			sum++
		}
	}
	return sum
}

// duplicates is how many sightings there were beyond the first.
func (t *tally) duplicates() int {
	sum := 0
	for _, n := range t.seen {
		sum += max(int(n)-1, 0)
	}
	return sum
}
