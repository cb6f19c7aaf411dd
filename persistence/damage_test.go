package persistence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

// tap reports every step of one name.
type tap struct {
	op string
	ch chan struct{}
}

func (w *tap) Before(op, _ string) error {
	if op == w.op {
		select {
		case w.ch <- struct{}{}:
		default:
		}
	}
	return nil
}

// history makes a store that has lived a little: tables, memtable logs,
// sealed segments. With clean it was closed; without, the directory is as a
// power cut would leave it, after the witness has heard of everything.
func history(t testing.TB, clean bool) (dir string, acks []ack) {
	t.Helper()
	dir = t.TempDir()
	n := 0
	fill := func(s *persistence.Store, puts int) {
		a := openLog(t, s, "a", persistence.LogOptions{})
		b := openLog(t, s, "b", persistence.LogOptions{})
		for range puts {
			w := appendOf(a, n, sizeOf(n), 2)
			if n%3 == 0 {
				w.Appends = append(w.Appends, persistence.Append{Log: b, Count: 1, Payload: batch(n, sizeOf(n))})
			}
			w.Sets = []persistence.KV{{Key: checkpoint("a", 0), Value: binary.BigEndian.AppendUint64(nil, uint64(n))}}
			submit(t, s, w)
			for _, x := range w.Appends {
				acks = append(acks, ack{x.Log.Name(), n, int64(x.Base)})
			}
			n++
		}
	}
	segments := func(o *persistence.Options) { o.SegmentBytes = 256 << 10 }
	for range 2 {
		s := open(t, dir, segments)
		fill(s, 60)
		closeStore(t, s)
	}
	if clean {
		return dir, acks
	}
	heard := &tap{op: persistence.OpWitness, ch: make(chan struct{})}
	s := open(t, dir, segments, func(o *persistence.Options) { o.Faults = heard })
	fill(s, 60)
	// The first that is heard may have begun before the last write, the second
	// did not, and when the third begins the second is on disk.
	for range 3 {
		submit(t, s, &persistence.Write{Sets: []persistence.KV{{Key: []byte{0x20, 1}, Value: []byte{1}}}})
		<-heard.ch
	}
	to := t.TempDir()
	copyTree(t, dir, to)
	closeStore(t, s)
	return to, acks
}

// copyTree copies a store; long zeros at the end of files stay holes.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, trimZeros(b), 0o600); err != nil {
			return err
		}
		return os.Truncate(dst, int64(len(b)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trimZeros is bytes.TrimRight for very many zeros.
func trimZeros(b []byte) []byte {
	zeros := make([]byte, 4<<10)
	for len(b) > len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

// filesOf lists the files of a store by kind.
func filesOf(t testing.TB, dir string) map[string][]string {
	kinds := map[string][]string{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" || d.Name() == "LOCK" {
			return err
		}
		kind := filepath.Ext(d.Name())
		if kind == "" {
			kind = d.Name()
		}
		kinds[kind] = append(kinds[kind], path)
		return nil
	})
	return kinds
}

var harms = []struct {
	name string
	do   func(r *rand.Rand, path string) error
}{
	{"a flipped bit", func(r *rand.Rand, path string) error {
		return rewrite(path, func(b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b })
	}},
	{"cut off", func(r *rand.Rand, path string) error {
		return rewrite(path, func(b []byte) []byte { return b[:r.IntN(len(b))] })
	}},
	{"zeros", func(r *rand.Rand, path string) error {
		return rewrite(path, func(b []byte) []byte {
			at := r.IntN(len(b))
			clear(b[at:min(len(b), at+4096)])
			return b
		})
	}},
	{"deleted", func(_ *rand.Rand, path string) error { return os.Remove(path) }},
}

// rewrite changes the content of a file, not the zeros reserved behind it.
func rewrite(path string, change func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	used := trimZeros(b)
	if len(used) == 0 {
		return nil
	}
	out := change(used)
	if len(out) == len(used) {
		out = b
	}
	return os.WriteFile(path, out, 0o600)
}

// present returns what a store holds: log and base offset to seed.
func present(t testing.TB, s *persistence.Store) (at map[string]int, doubts []persistence.Doubt) {
	t.Helper()
	at = map[string]int{}
	for _, name := range []string{"a", "b"} {
		l := openLog(t, s, name, persistence.LogOptions{})
		var entries []persistence.Entry
		err := l.Entries(0, func(e persistence.Entry) bool { entries = append(entries, e); return true })
		for _, e := range entries {
			b, rerr := l.Read(e, nil)
			if rerr != nil {
				err = errors.Join(err, rerr)
				var d *persistence.ErrDamaged
				if errors.As(rerr, &d) {
					doubts = append(doubts, d.Doubts...)
				}
				continue
			}
			n := int(binary.BigEndian.Uint64(b[8:]))
			if !bytes.Equal(b[8:], batch(n, sizeOf(n))[8:]) {
				t.Errorf("log %s at %d: a wrong batch, and no error", name, e.Base)
			}
			at[fmt.Sprint(name, e.Base)] = n
		}
		var d *persistence.ErrDamaged
		if err != nil && !errors.As(err, &d) {
			t.Errorf("log %s: %v is no damage", name, err)
		}
		if errors.As(err, &d) {
			doubts = append(doubts, d.Doubts...)
		}
	}
	return at, doubts
}

// unnamed are the acknowledged batches that are neither there nor in doubt.
func unnamed(at map[string]int, acks []ack, doubts []persistence.Doubt) (lost []ack) {
	for _, a := range acks {
		if n, ok := at[fmt.Sprint(a.log, a.base)]; ok && n == a.n {
			continue
		}
		named := false
		for _, d := range doubts {
			named = named || d.Log == a.log && int64(d.First) <= a.base && a.base < int64(d.Next)
		}
		if !named {
			lost = append(lost, a)
		}
	}
	return lost
}

// Badger itself says nothing of damage in some of its files.
func TestAfterACleanStopEveryFileOfBadgerIsWhatItWas(t *testing.T) {
	dir, _ := history(t, true)
	rnd := random(t)
	files, err := filepath.Glob(filepath.Join(dir, "badger", "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("files %v %v", files, err)
	}
	for _, path := range files {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() == 0 || filepath.Base(path) == "LOCK" {
			continue
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		harmed := bytes.Clone(whole)
		harmed[rnd.IntN(len(harmed))] ^= 4
		if err := os.WriteFile(path, harmed, 0o600); err != nil {
			t.Fatal(err)
		}
		var d *persistence.ErrDamaged
		if _, err := tryOpen(t, dir); !errors.As(err, &d) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: open: %v", path, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, open(t, dir))
}

func TestDamageIsNeverSilent(t *testing.T) {
	rnd := random(t)
	outcomes := map[string]int{}
	defer func() {
		for _, how := range slices.Sorted(maps.Keys(outcomes)) {
			t.Logf("%s: %d", how, outcomes[how])
		}
	}()
	for _, clean := range []bool{false, true} {
		dir, acks := history(t, clean)
		kinds := filesOf(t, dir)
		var names []string
		for k := range kinds {
			names = append(names, k)
		}
		sort.Strings(names)
		t.Logf("clean %t: %v", clean, names)
		for _, kind := range names {
			for _, harm := range harms {
				for range count(1, 12) {
					if !full() && rnd.IntN(4) > 0 && (testing.Short() || kind != ".mem" && kind != ".seg") {
						continue // a sample
					}
					paths := kinds[kind]
					path := paths[rnd.IntN(len(paths))]
					rel, _ := filepath.Rel(dir, path)
					how := damageOnce(t, dir, rel, acks, fmt.Sprintf("clean %t, %s, %s", clean, rel, harm.name), func(p string) error { return harm.do(rnd, p) })
					outcomes[fmt.Sprintf("clean %t %s %s", clean, kind, how)]++
				}
			}
		}
	}
}

// damageOnce answers how it went.
func damageOnce(t *testing.T, from, rel string, acks []ack, what string, harm func(path string) error) (how string) {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	copyTree(t, from, dir)
	if err := harm(filepath.Join(dir, rel)); err != nil {
		t.Fatal(err)
	}
	before, err := persistence.Check(dir, persistence.Options{Log: quiet})
	if err != nil {
		t.Errorf("%s: check: %v", what, err)
		return "wrong"
	}
	s, err := tryOpen(t, dir)
	if err == nil {
		at, doubts := present(t, s)
		if lost := unnamed(at, acks, doubts); len(lost) > 0 {
			t.Errorf("%s: opened, %d acknowledged batches are silently gone, first %v", what, len(lost), lost[0])
		}
		if len(doubts) > 0 && len(before.Doubts) == 0 {
			t.Errorf("%s: check found nothing, reading did: %v", what, doubts)
		}
		closeStore(t, s)
		if len(doubts) > 0 {
			return "named when read"
		}
		return "harmless"
	}
	var d *persistence.ErrDamaged
	if !errors.As(err, &d) || len(d.Doubts) == 0 {
		t.Errorf("%s: refused without saying what is in doubt: %v", what, err)
		return "wrong"
	}
	if _, err := persistence.Repair(dir, false, persistence.Options{Log: quiet}); !errors.As(err, &d) {
		t.Errorf("%s: repair without accepting the loss: %v", what, err)
	}
	report, err := persistence.Repair(dir, true, persistence.Options{Log: quiet, MinFree: 1 << 20})
	if err != nil {
		t.Errorf("%s: repair: %v", what, err)
		return "wrong"
	}
	s, err = tryOpen(t, dir)
	if err != nil {
		t.Errorf("%s: open after repair: %v", what, err)
		return "wrong"
	}
	defer closeStore(t, s)
	at, doubts := present(t, s)
	if len(doubts) > 0 {
		t.Errorf("%s: in doubt after repair: %v", what, doubts)
	}
	if lost := unnamed(at, acks, report.Doubts); len(lost) > 0 {
		t.Errorf("%s: %d acknowledged batches are gone and not named, first %v; named: %v", what, len(lost), lost[0], report.Doubts)
	}
	for _, name := range []string{"a", "b"} {
		l := openLog(t, s, name, persistence.LogOptions{})
		w := appendOf(l, 1, 100, 1)
		submit(t, s, w)
		for _, a := range acks {
			if a.log == name && a.base >= int64(w.Appends[0].Base) {
				t.Errorf("%s: log %s gives offset %d out again, for %d", what, name, a.base, w.Appends[0].Base)
				break
			}
		}
	}
	if strings.HasSuffix(rel, ".seg") && len(at) == 0 {
		t.Errorf("%s: nothing is left", what)
	}
	return "refused"
}
