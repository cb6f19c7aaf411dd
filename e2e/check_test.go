package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// verdict is what became of the lines 0 to sent-1.
type verdict struct {
	sent  int
	lost  []int
	twice []string // id and where it was found again
	wrong []string // a line that nobody sent, and where
	torn  int      // of these, the last of a file, without its end
}

func (v verdict) clean() bool { return len(v.lost)+len(v.twice)+len(v.wrong) == 0 }

func (v verdict) String() string {
	s := fmt.Sprintf("sent %d, lost %d, twice %d, wrong %d", v.sent, len(v.lost), len(v.twice), len(v.wrong))
	if len(v.lost) > 0 {
		s += "\nlost: " + ranges(v.lost)
	}
	for _, few := range [][]string{v.twice, v.wrong} {
		for _, one := range few[:min(10, len(few))] {
			s += "\n" + one
		}
	}
	return s
}

// ranges writes ascending numbers as 3-5 9.
func ranges(ids []int) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		if len(parts) == 20 {
			return strings.Join(append(parts, "..."), " ")
		}
		if i == j {
			parts = append(parts, strconv.Itoa(ids[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", ids[i], ids[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}

// judge reads every file in the directories, each of which must consist of
// whole lines that were sent.
func judge(t *testing.T, sent int, dirs ...string) verdict {
	t.Helper()
	v := verdict{sent: sent}
	first := make([]string, sent) // where each id was seen first
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			return v.read(path, first)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, where := range first {
		if where == "" {
			v.lost = append(v.lost, id)
		}
	}
	return v
}

func (v *verdict) read(path string, first []string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		where := fmt.Sprintf("%s:%d", path, n)
		id, ok := idOf(line)
		switch {
		case !ok || id >= v.sent:
			v.wrong = append(v.wrong, fmt.Sprintf("wrong: %s: %.80q", where, line))
			if line[len(line)-1] != '\n' {
				v.torn++
			}
		case first[id] != "":
			v.twice = append(v.twice, fmt.Sprintf("twice: %d: %s and %s", id, first[id], where))
		default:
			first[id] = where
		}
	}
}

// idOf reads a stamped line, with its line end.
func idOf(line string) (id int, ok bool) {
	const tail = len(" crc=12345678\n")
	if len(line) < 14+tail || line[:4] != "seq=" || line[len(line)-1] != '\n' {
		return 0, false
	}
	body := line[:len(line)-tail]
	if line[len(body):] != fmt.Sprintf(" crc=%08x\n", crc32.ChecksumIEEE([]byte(body))) {
		return 0, false
	}
	id, err := strconv.Atoi(line[4:13])
	return id, err == nil && id >= 0
}

// A checker that passes everything would pass everything.
func TestTheCheckerFindsWhatIsLostTwiceAndWrong(t *testing.T) {
	line := func(id int) string { return string(appendLine(nil, id, 50)) }
	flipped := []byte(line(1))
	flipped[20] ^= 1
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"all there", []string{line(0) + line(1), line(2)}, "sent 3, lost 0, twice 0, wrong 0"},
		{"one lost", []string{line(0), line(2)}, "sent 3, lost 1, twice 0, wrong 0\nlost: 1"},
		{"all lost", []string{""}, "sent 3, lost 3, twice 0, wrong 0\nlost: 0-2"},
		{"one twice", []string{line(0) + line(1), line(1) + line(2)}, "sent 3, lost 0, twice 1, wrong 0\ntwice: 1: DIR/0:2 and DIR/1:1"},
		{"one flipped", []string{line(0) + string(flipped) + line(2)}, "sent 3, lost 1, twice 0, wrong 1\nlost: 1\nwrong: DIR/0:2: " + fmt.Sprintf("%.80q", flipped)},
		{"one cut off", []string{line(0) + line(1) + line(2)[:40]}, "sent 3, lost 1, twice 0, wrong 1\nlost: 2\nwrong: DIR/0:3: " + fmt.Sprintf("%.80q", line(2)[:40])},
		{"one never sent", []string{line(0) + line(1) + line(2) + line(3)}, "sent 3, lost 0, twice 0, wrong 1\nwrong: DIR/0:4: " + fmt.Sprintf("%.80q", line(3))},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for i, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			v := judge(t, 3, dir)
			if got := strings.ReplaceAll(v.String(), dir, "DIR"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if torn := v.torn > 0; torn != (c.name == "one cut off") {
				t.Errorf("torn: %v", torn)
			}
			if v.clean() != (c.name == "all there") {
				t.Errorf("clean: %v", v.clean())
			}
		})
	}
}
