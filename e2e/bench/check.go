package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A check compares output with input.
type check struct {
	// Form is what the output has to be: "equal" bytes, all "ids", or the ids
	// of the "matching" lines.
	form string
	// split is over how many connections the input went: order holds within
	// each part of it. 0 is any order.
	split int
}

// verdict is what a check found.
type verdict struct {
	want, got                      int // ids
	missing, duplicate, outOfOrder int
	unknown                        int // ids that were never sent
	different                      bool
}

func (v verdict) ok() bool {
	return v.missing == 0 && v.duplicate == 0 && v.outOfOrder == 0 && v.unknown == 0 && !v.different
}

func (v verdict) String() string {
	if v.different {
		return fmt.Sprintf("the output differs from the input; ids: want %d, got %d, missing %d, duplicate %d, out of order %d, unknown %d", v.want, v.got, v.missing, v.duplicate, v.outOfOrder, v.unknown)
	}
	return fmt.Sprintf("want %d, got %d, missing %d, duplicate %d, out of order %d, unknown %d", v.want, v.got, v.missing, v.duplicate, v.outOfOrder, v.unknown)
}

func runCheck(args []string) error {
	f := flags("check")
	form := f.String("form", "ids", "what the output has to be: equal, ids, or matching")
	split := f.Int("split", 1, "connections; 0: any order")
	_ = f.Parse(args)
	if f.NArg() != 2 {
		return errors.New("want the input and the output (a file or a directory)")
	}
	v, err := check{*form, *split}.files(f.Arg(0), f.Arg(1))
	if err != nil {
		return err
	}
	fmt.Println(v)
	if !v.ok() {
		return errors.New("the output is wrong")
	}
	return nil
}

// files compares the file input with output, a file or the files of a
// directory in the order of their names.
func (c check) files(input, output string) (verdict, error) {
	var v verdict
	expected, err := c.expected(input)
	if err != nil {
		return v, err
	}
	names, err := outputFiles(output)
	if err != nil {
		return v, err
	}
	if c.form == "equal" {
		if v.different, err = differ(input, names); err != nil {
			return v, err
		}
	}
	parts, err := c.parts(input)
	if err != nil {
		return v, err
	}
	return v, compareIDs(&v, expected, parts, names)
}

// expected marks the ids that the output has to hold.
func (c check) expected(input string) ([]bool, error) {
	var expected []bool
	err := eachLine(input, func(line []byte) {
		id, ok := firstID(line)
		if !ok {
			return
		}
		for len(expected) <= id {
			expected = append(expected, false)
		}
		expected[id] = c.form != "matching" || matches(line)
	})
	return expected, err
}

// matches is the filter of workload e: status=(200|500) and a blank.
func matches(line []byte) bool {
	return bytes.Contains(line, []byte("status=200 ")) || bytes.Contains(line, []byte("status=500 "))
}

// parts are the first ids of the parts that the input was split in.
func (c check) parts(input string) ([]int, error) {
	switch c.split {
	case 0:
		return nil, nil
	case 1:
		return []int{0}, nil
	}
	text, err := os.ReadFile(input)
	if err != nil {
		return nil, err
	}
	var firsts []int
	for _, part := range split(text, c.split) {
		if id, ok := firstID(part[:min(len(part), 4096)]); ok {
			firsts = append(firsts, id)
		}
	}
	return firsts, nil
}

var idMark = []byte("seq=")

const idDigits = 9

// firstID is the first seq=%09d in text.
func firstID(text []byte) (int, bool) {
	at := bytes.Index(text, idMark)
	if at < 0 || len(text) < at+len(idMark)+idDigits {
		return 0, false
	}
	id := 0
	for _, c := range text[at+len(idMark) : at+len(idMark)+idDigits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = 10*id + int(c-'0')
	}
	return id, true
}

// compareIDs reads the ids of files. Without parts any order will do.
func compareIDs(v *verdict, expected []bool, parts []int, names []string) error {
	ordered := len(parts) > 0
	if !ordered {
		parts = []int{0}
	}
	for _, e := range expected {
		if e {
			v.want++
		}
	}
	seen := make([]bool, len(expected))
	last := make([]int, len(parts))
	for i := range last {
		last[i] = -1
	}
	for _, name := range names {
		err := eachID(name, func(id int) {
			v.got++
			switch {
			case id >= len(expected) || !expected[id]:
				v.unknown++
				return
			case seen[id]:
				v.duplicate++
				return
			}
			seen[id] = true
			part, found := slices.BinarySearch(parts, id)
			if !found {
				part--
			}
			if ordered && id < last[part] {
				v.outOfOrder++
			}
			last[part] = id
		})
		if err != nil {
			return err
		}
	}
	for id, e := range expected {
		if e && !seen[id] {
			v.missing++
		}
	}
	return nil
}

// eachID finds every id of a file, whatever stands around it: a tool may write
// many records into one line.
func eachID(name string, found func(id int)) error {
	return eachLine(name, func(line []byte) {
		for {
			at := bytes.Index(line, idMark)
			if at < 0 {
				return
			}
			line = line[at:]
			if id, ok := firstID(line); ok {
				found(id)
			}
			line = line[len(idMark):]
		}
	})
}

func eachLine(name string, fn func(line []byte)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	var long []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if len(line) > 0 {
			fn(line)
		}
		long = long[:0]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// outputFiles are the files of a directory, in the order in which a tool that
// numbers them wrote them, or the one file.
func outputFiles(output string) ([]string, error) {
	info, err := os.Stat(output)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{output}, nil
	}
	entries, err := os.ReadDir(output)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, filepath.Join(output, e.Name()))
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b) // 1700000000000-9 before 1700000000000-10
		}
		return strings.Compare(a, b)
	})
	return names, nil
}

// differ says whether the files, one after the other, differ from input.
func differ(input string, names []string) (bool, error) {
	want, err := os.Open(input)
	if err != nil {
		return false, err
	}
	defer want.Close()
	var readers []io.Reader
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return false, err
		}
		defer f.Close()
		readers = append(readers, f)
	}
	got := io.MultiReader(readers...)
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, errA := io.ReadFull(want, a)
		m, errB := io.ReadFull(got, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return true, nil
		}
		if errA != nil || errB != nil {
			return false, nil
		}
	}
}
