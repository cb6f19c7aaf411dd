package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/persistence/record"
)

// lineFiles are the lines of all files below dir, by path: the files that are
// in use last.
func lineFiles(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(paths, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, ".tmp"), strings.TrimSuffix(b, ".tmp"))
	})
	var all []string
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
	}
	return all
}

func TestFilesHoldEveryRecordOnceWhateverHappens(t *testing.T) {
	for _, suffix := range []string{"", ".tmp"} {
		t.Run("suffix "+suffix, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				dir := filepath.Join(t.TempDir(), "below", "it")
				return sinktest.Target{
					New: func(env sink.Env) (sink.Sink, error) { return sink.NewLines(env, dir, suffix, 25) },
					Read: func(t *testing.T) []string {
						if _, err := os.Stat(dir); err != nil {
							return nil
						}
						return lineFiles(t, dir)
					},
					Break: func(t *testing.T) func() { return sinktest.LimitFiles(t, 1000) },
				}
			})
		})
	}
}

// world is a store for one sink's state.
type world struct {
	state sink.State
	log   bytes.Buffer
}

func (w *world) env(replays bool) sink.Env {
	state := sink.State{}
	for k, v := range w.state {
		state[k] = v
	}
	return sink.Env{
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Name: "k1", State: state, Replays: replays, Counters: &sink.Counters{},
		Keep: func(_ context.Context, s sink.State) error { w.merge(s); return nil },
	}
}

func (w *world) merge(s sink.State) {
	if w.state == nil {
		w.state = sink.State{}
	}
	for k, v := range s {
		if w.state[k] = v; v == nil {
			delete(w.state, k)
		}
	}
}

// commit makes what s has pending durable.
func (w *world) commit(t *testing.T, s sink.Sink) {
	t.Helper()
	p := s.(sink.Durable).Pending()
	if p == nil {
		t.Fatal("nothing is pending")
	}
	state, err := p.Sync()
	if err != nil {
		t.Fatal(err)
	}
	w.merge(state)
	p.Committed()
}

func deliver(t *testing.T, s sink.Sink, bodies ...string) {
	t.Helper()
	if err := s.Deliver(t.Context(), batchOf(bodies...)); err != nil {
		t.Fatalf("deliver %q: %v", bodies, err)
	}
}

func batchOf(bodies ...string) *sink.Batch {
	slab := record.NewSlab(0)
	for _, b := range bodies {
		slab.Append([]byte(b))
	}
	return &sink.Batch{Views: []record.View{slab.View()}}
}

func lineSink(t *testing.T, env sink.Env, dir, suffix string) sink.Sink {
	t.Helper()
	s, err := sink.NewLines(env, dir, suffix, 1000)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// crashed is a directory with a file of which "committed\n" counts, left by a
// crash.
func crashed(t *testing.T) (*world, string) {
	t.Helper()
	w, dir := &world{}, t.TempDir()
	s := lineSink(t, w.env(true), dir, ".tmp")
	deliver(t, s, "committed")
	w.commit(t, s)
	deliver(t, s, "lost")
	return &world{state: w.state}, dir // what s does from now on changes another state
}

func TestAFileIsCutToItsCommittedLengthOnlyWhenTheRestComesAgain(t *testing.T) {
	for replays, want := range map[bool][]string{true: {"committed"}, false: {"committed", "lost"}} {
		w, dir := crashed(t)
		s := lineSink(t, w.env(replays), dir, ".tmp")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := lineFiles(t, dir); !slices.Equal(got, want) {
			t.Errorf("replays %v: the file holds %q, want %q", replays, got, want)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"lines-0000"}) || len(w.state) != 0 {
			t.Errorf("replays %v: files %v and state %v after the close", replays, got, w.state)
		}
	}
}

func TestAnotherFileInTheOldPlaceIsNeverCut(t *testing.T) {
	w, dir := crashed(t)
	path := filepath.Join(dir, "lines-0000.tmp")
	keep := filepath.Join(dir, "kept") // so that the inode is not given out again
	if err := os.Rename(path, keep); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("somebody else's, and long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := lineSink(t, w.env(true), dir, ".tmp")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "somebody else's, and long enough" {
		t.Fatalf("the other file now holds %q", b)
	}
	if !strings.Contains(w.log.String(), "another stands in its place") {
		t.Fatalf("the log says nothing of it: %s", w.log.String())
	}
}

func TestAFileShorterThanCommittedIsNamed(t *testing.T) {
	w, dir := crashed(t)
	if err := os.Truncate(filepath.Join(dir, "lines-0000.tmp"), 3); err != nil {
		t.Fatal(err)
	}
	s := lineSink(t, w.env(true), dir, ".tmp")
	_ = s.Close()
	if log := w.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "lines-0000.tmp") || !strings.Contains(log, "size=3") {
		t.Fatalf("log: %s", log)
	}
}

func TestARenameThatWasDoneIsNotMissed(t *testing.T) {
	w, dir := crashed(t)
	for key, value := range w.state {
		w.state[key] = bytes.Replace(value, []byte(`"len":10`), []byte(`"len":10,"renaming":true`), 1)
	}
	if err := os.Rename(filepath.Join(dir, "lines-0000.tmp"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	s := lineSink(t, w.env(true), dir, ".tmp")
	if err := s.Close(); err != nil || len(w.state) != 0 || strings.Contains(w.log.String(), "ERROR") {
		t.Fatalf("close %v, state %v, log %s", err, w.state, w.log.String())
	}
}

func TestAFinalNameThatIsTakenIsNotOverwritten(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	s := lineSink(t, w.env(true), dir, ".tmp")
	deliver(t, s, "mine")
	if err := os.WriteFile(filepath.Join(dir, "lines-0000"), []byte("theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.commit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"lines-0000", "lines-0000.1"}) {
		t.Fatalf("files %v", got)
	}
	if got := lineFiles(t, dir); !slices.Equal(got, []string{"theirs", "mine"}) {
		t.Fatalf("they hold %q", got)
	}
}

func TestAFileInUseKeepsItsNameUntilItsRecordsAreCommitted(t *testing.T) {
	w, dir := &world{}, t.TempDir()
	s, err := sink.NewLines(w.env(true), dir, ".tmp", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	deliver(t, s, "a", "b", "c")
	if got := names(t, dir); !slices.Equal(got, []string{"lines-0000.tmp", "lines-0001.tmp"}) {
		t.Fatalf("before the commit: %v", got)
	}
	w.commit(t, s)
	if got := names(t, dir); !slices.Equal(got, []string{"lines-0000", "lines-0001.tmp"}) {
		t.Fatalf("after the commit: %v", got)
	}
}

func TestAStateThatCannotBeReadIsRefused(t *testing.T) {
	w := &world{state: sink.State{"file/0": []byte("{")}}
	if _, err := sink.NewLines(w.env(true), t.TempDir(), "", 1); err == nil || !strings.Contains(err.Error(), "state file/0 of sink k1") {
		t.Fatalf("%v", err)
	}
}

func BenchmarkLinesDeliver(b *testing.B) {
	w := &world{}
	s, err := sink.NewLines(w.env(true), b.TempDir(), "", 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var bodies []string
	for i := range 1000 {
		bodies = append(bodies, fmt.Sprintf("%0207d", i))
	}
	batch := batchOf(bodies...)
	b.SetBytes(1000 * 208)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Deliver(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// listing is the files in dir with their sizes.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s:%d", e.Name(), info.Size()))
	}
	return list
}

// giveUp tells s that what it has pending will not be committed.
func giveUp(t *testing.T, s sink.Sink) {
	t.Helper()
	p := s.(sink.Durable).Pending()
	if _, err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	p.(sink.Revocable).GivenUp()
}

// What a channel offers again to somebody else must not stay in the files of a
// sink that stops; there may be no next start that would cut them.
func TestAStopCutsOffWhatWasGivenUp(t *testing.T) {
	for _, suffix := range []string{"", ".tmp"} {
		t.Run("suffix "+suffix, func(t *testing.T) {
			dir, w := t.TempDir(), &world{}
			s := lineSink(t, w.env(true), dir, suffix)
			deliver(t, s, "one", "two")
			w.commit(t, s)
			deliver(t, s, "three")
			giveUp(t, s)
			deliver(t, s, "four")
			giveUp(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := listing(t, dir); !slices.Equal(got, []string{"lines-0000:8"}) || len(w.state) != 0 {
				t.Errorf("left behind: %v, keys %v; want one file with two lines", got, w.state)
			}
		})
	}
}

func TestAStopLeavesNoEmptyFileInUse(t *testing.T) {
	dir, w := t.TempDir(), &world{}
	s := lineSink(t, w.env(true), dir, ".tmp")
	deliver(t, s, "one")
	giveUp(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, dir); len(got) != 0 || len(w.state) != 0 {
		t.Errorf("left behind: %v, keys %v", got, w.state)
	}
}

// What does not come again is never cut off, whoever gave it up.
func TestAStopCutsOffNothingThatDoesNotComeAgain(t *testing.T) {
	dir, w := t.TempDir(), &world{}
	s := lineSink(t, w.env(false), dir, ".tmp")
	deliver(t, s, "one")
	giveUp(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, dir); !slices.Equal(got, []string{"lines-0000.tmp:4"}) {
		t.Errorf("left behind: %v", got)
	}
	s = lineSink(t, w.env(false), dir, ".tmp")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, dir); !slices.Equal(got, []string{"lines-0000:4"}) {
		t.Errorf("after the next start: %v", got)
	}
}
