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

	badger "github.com/dgraph-io/badger/v4"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// The sums are the checksums of Badger's files at a clean stop. Badger itself
// answers damage of a table by a crash or by "not found". Of segments only the
// sizes are noted: their frames have checksums of their own. And of every log
// the end is, as the store knew it: a compaction of Badger that comes to a block
// it cannot read leaves out the rest of the table, and says nothing.

// writeSums notes the checksum of every file of Badger.
func (s *Store) writeSums() error {
	sums, err := s.sumFiles()
	if err != nil {
		return err
	}
	for _, l := range s.sortedLogs() {
		sums[fmt.Sprintf("%s%08x/%d", endName, l.gid, l.Next())] = 0
	}
	var b bytes.Buffer
	for _, name := range sortedKeys(sums) {
		fmt.Fprintf(&b, "%08x %s\n", sums[name], name)
	}
	fmt.Fprintf(&b, "%08x .\n", crc32.Checksum(b.Bytes(), segment.Table))
	return s.writeFile("sums", b.Bytes())
}

// verifyTables says whether a table of Badger was damaged since it was opened:
// its checksum in sums must not be that of the damage. Badger's own check of one
// panics where it finds something.
func verifyTables(db *badger.DB) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a table of Badger: %v", r)
		}
	}()
	return db.VerifyChecksum()
}

// endName begins the lines that say where a log ended: its number, a slash, and
// its next offset follow.
const endName = "end/"

// checkEnds compares the ends of the logs with those of the clean stop.
func (s *Store) checkEnds() (doubts []Doubt, err error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "sums"))
	if err != nil && !os.IsNotExist(err) { // checkSums says that it is missing, or damaged
		return nil, err
	}
	sums, ok := parseSums(b)
	if !ok {
		return nil, nil
	}
	for _, name := range sortedKeys(sums) {
		end, ok := strings.CutPrefix(name, endName)
		if !ok {
			continue
		}
		var gid uint32
		var next record.Offset
		if _, err := fmt.Sscanf(end, "%08x/%d", &gid, &next); err != nil {
			return nil, fmt.Errorf("sums: %q: %w", name, err)
		}
		if l := s.gids[gid]; l != nil && l.Next() < next {
			doubts = append(doubts, Doubt{Log: l.name, First: l.Next(), Next: next, What: "Badger has lost them, and said nothing"})
		} else if l == nil {
			doubts = append(doubts, Doubt{What: fmt.Sprintf("Badger has lost log %08x with offsets up to %d, and said nothing", gid, next)})
		}
	}
	return doubts, nil
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
		if strings.HasPrefix(name, endName) {
			continue // for checkEnds
		}
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
