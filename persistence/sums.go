package persistence

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/persistence/segment"
)

// The sums are the checksums of Badger's files at a clean stop. Badger itself
// answers damage of a table by a crash or by "not found". Of segments only the
// sizes are noted: their frames have checksums of their own.

// writeSums notes the checksum of every file of Badger.
func (s *Store) writeSums() error {
	sums, err := s.sumFiles()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, name := range sortedKeys(sums) {
		fmt.Fprintf(&b, "%08x %s\n", sums[name], name)
	}
	fmt.Fprintf(&b, "%08x .\n", crc32.Checksum(b.Bytes(), segment.Table))
	return s.writeFile("sums", b.Bytes())
}

func sortedKeys(m map[string]uint32) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *Store) sumFiles() (map[string]uint32, error) {
	sums := map[string]uint32{}
	sum := crc32.New(segment.Table)
	for _, folder := range []string{"badger", "segments"} {
		err := filepath.WalkDir(filepath.Join(s.dir, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "LOCK" {
				return err
			}
			name, err := filepath.Rel(s.dir, path)
			if err != nil {
				return err
			}
			if folder == "segments" {
				st, err := d.Info()
				if err == nil {
					sums[name] = uint32(st.Size())
				}
				return err
			}
			h, err := os.Open(path)
			if err != nil {
				return err
			}
			defer h.Close()
			sum.Reset()
			_, err = io.Copy(sum, h)
			sums[name] = sum.Sum32()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// checkSums compares Badger's files with those of the clean stop.
func (s *Store) checkSums() ([]Doubt, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "sums"))
	if os.IsNotExist(err) {
		return []Doubt{{What: "the file sums is missing after a clean stop"}}, nil
	}
	if err != nil {
		return nil, err
	}
	want, ok := parseSums(b)
	if !ok {
		return []Doubt{{What: "the file sums is damaged"}}, nil
	}
	got, err := s.sumFiles()
	if err != nil {
		return nil, err
	}
	var doubts []Doubt
	for _, name := range sortedKeys(want) {
		path := filepath.Join(s.dir, name)
		if sum, there := got[name]; !there {
			doubts = append(doubts, Doubt{What: path + " is missing"})
		} else if sum != want[name] {
			doubts = append(doubts, Doubt{What: path + " is not what the last stop left"})
		}
	}
	return doubts, nil
}

func parseSums(b []byte) (map[string]uint32, bool) {
	sums := map[string]uint32{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	size := 0
	for lines.Scan() {
		var sum uint32
		hex, name, ok := strings.Cut(lines.Text(), " ")
		if _, err := fmt.Sscanf(hex, "%08x", &sum); err != nil || !ok {
			return nil, false
		}
		if name == "." {
			return sums, sum == crc32.Checksum(b[:size], segment.Table) && size+len(lines.Text())+1 == len(b)
		}
		sums[name] = sum
		size += len(lines.Text()) + 1
	}
	return nil, false
}
