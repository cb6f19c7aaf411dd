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
	"regexp"
	"strconv"
)

// tally counts how often each line number (seq=%09d) stands in files.
type tally struct {
	seen    []uint8        // by number, as far as any was seen; stops at 255
	foreign int            // lines that have no number, and halves of lines
	keep    *regexp.Regexp // lines that it does not match are passed over; nil: none
}

// tallyFile counts the lines of one file that hold what the expression keep
// describes.
func tallyFile(path, keep string) (*tally, error) {
	t := &tally{}
	if keep != "" {
		t.keep = regexp.MustCompile(keep)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return t, t.read(f)
}

// tallyDir counts in all files below dir.
func tallyDir(dir string) (*tally, error) {
	t := &tally{}
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
	if t.keep != nil && !t.keep.Match(line) {
		return
	}
	_, rest, ok := bytes.Cut(line, []byte("seq="))
	if !ok || len(rest) < 9 || line[len(line)-1] != '\n' {
		t.foreign++
		return
	}
	id, err := strconv.ParseUint(string(rest[:9]), 10, 32)
	if err != nil {
		t.foreign++
		return
	}
	if missing := int(id) + 1 - len(t.seen); missing > 0 {
		t.seen = append(t.seen, make([]uint8, missing)...)
	}
	if t.seen[id] < 255 {
		t.seen[id]++
	}
}

// lost is how many of the numbers below written were never seen.
func (t *tally) lost(written int) int {
	sum := max(written-len(t.seen), 0)
	for _, n := range t.seen[:min(written, len(t.seen))] {
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
