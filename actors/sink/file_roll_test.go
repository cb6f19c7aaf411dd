package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/actors/sink"
	"github.com/sluicehq/sluice/actors/sink/sinktest"
	"github.com/sluicehq/sluice/persistence/record"
)

// rollTarget is a directory that file_roll writes to.
func rollTarget(t *testing.T, texts map[string]string) sinktest.Target {
	dir := t.TempDir()
	texts["sink.directory"] = dir
	return sinktest.Target{
		New:  maker("file_roll", texts),
		Read: func(t *testing.T) []string { return linesOf(t, dir) },
		Break: func(t *testing.T) func() {
			return sinktest.LimitFiles(t, 10)
		},
	}
}

func TestFileRollKeepsThePromisesOfASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		return rollTarget(t, map[string]string{"sink.rollInterval": "0", "lazyOpen": "true"})
	})
}

func TestFileRollThatOpensEarlyKeepsThePromisesOfASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		return rollTarget(t, map[string]string{"sink.rollInterval": "0"})
	})
}

// files are the names in dir in the order in which file_roll made them: by time
// and by number.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

func linesOf(t *testing.T, dir string) []string {
	t.Helper()
	var text []byte
	for _, name := range files(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// envOf is an Env with a store that takes everything.
func envOf(t testing.TB) sink.Env {
	return sink.Env{
		Log: slog.New(slog.DiscardHandler), Agent: "a1", Name: "k1", State: sink.State{}, Replays: true, Counters: &sink.Counters{},
		Keep:       func(context.Context, sink.State) error { return nil },
		DeadLetter: func(_ *record.Slab, i int, code, reason string) { t.Errorf("record %d: %s: %s", i, code, reason) },
	}
}

func rolling(t *testing.T, env sink.Env, texts map[string]string) (sink.Durable, string) {
	t.Helper()
	if texts["sink.directory"] == "" {
		texts["sink.directory"] = t.TempDir()
	}
	s, err := maker("file_roll", texts)(env)
	if err != nil {
		t.Fatal(err)
	}
	return s.(sink.Durable), texts["sink.directory"]
}

// put writes one record and commits it.
func put(t *testing.T, s sink.Durable, body string) {
	t.Helper()
	slab := record.NewSlab(64)
	defer slab.Release()
	slab.Append([]byte(body))
	slab.SetCommon("k", []byte("v"))
	slab.SetCommon("k2", []byte("v2"))
	if err := s.Deliver(t.Context(), &sink.Batch{Views: []record.View{{Slab: slab, Count: 1}}}); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
}

func settle(t *testing.T, s sink.Durable) {
	t.Helper()
	if p := s.Pending(); p != nil {
		if _, err := p.Sync(); err != nil {
			t.Fatal(err)
		}
		p.Committed()
	}
}

func sizes(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(info.Size()))
	}
	return strings.Join(all, " ")
}

// As Flume does: a file at the start and one at every roll, with or without
// events.
func TestFileRollBeginsAFileAtEveryRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := rolling(t, envOf(t), map[string]string{"sink.rollInterval": "30"})
		synctest.Wait()
		put(t, s, "one")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		put(t, s, "two")
		put(t, s, "three")
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := sizes(t, dir), "4 10 0 0"; got != want {
			t.Fatalf("sizes of the files: got %s, want %s", got, want)
		}
	})
}

func TestFileRollWithLazyOpenLeavesNoEmptyFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := rolling(t, envOf(t), map[string]string{"sink.rollInterval": "30", "lazyOpen": "true"})
		time.Sleep(100 * time.Second)
		put(t, s, "one")
		time.Sleep(100 * time.Second)
		put(t, s, "two")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := sizes(t, dir), "4 4"; got != want {
			t.Fatalf("sizes of the files: got %s, want %s", got, want)
		}
	})
}

// An idle sink that rolls for a day must not keep what it has rolled.
func TestFileRollClosesWhatItHasRolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := envOf(t)
		s, _ := rolling(t, env, map[string]string{"sink.rollInterval": "1"})
		put(t, s, "one")
		time.Sleep(50*time.Second + 500*time.Millisecond)
		synctest.Wait()
		open := env.Counters.ConnectionCreated.Load() - env.Counters.ConnectionClosed.Load()
		if open > 1 {
			t.Errorf("%d files are open, want one", open)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFileRollNamesFilesAsFlumesPathManagers(t *testing.T) {
	for _, c := range []struct {
		texts map[string]string
		want  string
	}{
		{map[string]string{}, `^\d{12}-1 \d{12}-2 \d{12}-3$`},
		{map[string]string{"sink.pathManager": "default", "sink.pathManager.prefix": "p-", "sink.pathManager.extension": "log"}, `^p-\d{12}-1.log p-\d{12}-2.log p-\d{12}-3.log$`},
		{map[string]string{"sink.pathManager": "ROLLTIME", "sink.pathManager.prefix": "p", "sink.pathManager.extension": "log"}, `^p2000010\d\d{6}-1.log p2000010\d\d{6}-1.log p2000010\d\d{6}-1.log$`},
		{map[string]string{"sink.pathManager": "org.apache.flume.formatter.output.RollTimePathManager"}, `^2000010\d\d{6}-1 2000010\d\d{6}-1 2000010\d\d{6}-1$`},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.texts["sink.rollInterval"] = "1"
			s, dir := rolling(t, envOf(t), c.texts)
			time.Sleep(2500 * time.Millisecond)
			synctest.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(files(t, dir), " "); !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("%v: got files %s, want %s", c.texts, got, c.want)
			}
		})
	}
}

func TestFileRollPassesOverNamesThatAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		taken := filepath.Join(dir, fmt.Sprintf("%d-1", time.Now().UnixMilli()))
		if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := rolling(t, envOf(t), map[string]string{"sink.directory": dir, "sink.rollInterval": "0", "lazyOpen": "true"})
		put(t, s, "one")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(taken); string(got) != "mine" || sizes(t, dir) != "4 4" {
			t.Fatalf("the file that was there holds %q, sizes %s", got, sizes(t, dir))
		}
	})
}

func TestFileRollWritesWithTheSerializerItIsTold(t *testing.T) {
	for serializer, want := range map[string]string{
		"TEXT": "^one\ntwo\n$", "header_and_text": "^{k=v, k2=v2} one\n{k=v, k2=v2} two\n$", "avro_event": "^(?s)Obj\x01.*avro.schema.*one.*two",
	} {
		s, dir := rolling(t, envOf(t), map[string]string{"sink.serializer": serializer, "sink.rollInterval": "0"})
		put(t, s, "one")
		put(t, s, "two")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(linesOf(t, dir), "\n") + "\n"
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s: got %q, want %s", serializer, text, want)
		}
	}
	s, dir := rolling(t, envOf(t), map[string]string{"sink.serializer.appendNewline": "false", "sink.rollInterval": "0"})
	put(t, s, "one")
	put(t, s, "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := sizes(t, dir), "6"; got != want {
		t.Errorf("without newlines: got sizes %s, want %s", got, want)
	}
}

// The directory is the user's to make: a missing one may be a volume that is
// not mounted.
func TestFileRollWaitsForItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	env := envOf(t)
	texts := map[string]string{"sink.directory": dir, "sink.rollInterval": "0"}
	if _, err := maker("file_roll", texts)(env); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("start without the directory: got %v, want an error that names it", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	texts["lazyOpen"] = "true"
	s, _ := rolling(t, env, texts)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	slab := record.NewSlab(64)
	defer slab.Release()
	slab.Append([]byte("one"))
	batch := &sink.Batch{Views: []record.View{{Slab: slab, Count: 1}}}
	for range 2 {
		if err := s.Deliver(t.Context(), batch); err == nil || !strings.Contains(err.Error(), dir) {
			t.Fatalf("deliver without the directory: got %v, want an error that names it", err)
		}
	}
	if got := env.Counters.ConnectionFailed.Load(); got < 2 {
		t.Errorf("counted %d files that failed, want at least 2", got)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := linesOf(t, dir); len(got) != 1 {
		t.Fatalf("with the directory there: got %q, want one line", got)
	}
}

func TestFileRollWritesAgainWhenItsDirectoryIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, _ := rolling(t, envOf(t), map[string]string{"sink.directory": dir, "sink.rollInterval": "1", "lazyOpen": "true"})
		for range 3 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, s, "one")
			if got := linesOf(t, dir); len(got) != 1 {
				t.Fatalf("got %q, want one line", got)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFileRollRefusesSettingsThatCannotWork(t *testing.T) {
	for _, texts := range []map[string]string{
		{"sink.directory": ""},
		{"sink.rollInterval": "-1"},
		{"sink.rollInterval": "soon"},
		{"sink.serializer": "org.example.Mine"},
		{"sink.pathManager": "org.example.Mine"},
		{"sink.pathManager.prefix": "../x"},
		{"sink.pathManager.prefix": "/x"},
	} {
		if _, ok := texts["sink.directory"]; !ok {
			texts["sink.directory"] = t.TempDir()
		}
		if _, err := maker("file_roll", texts)(envOf(t)); err == nil {
			t.Errorf("%v: accepted, want an error", texts)
		}
	}
}

// BenchmarkFileRoll delivers batches of 1000 log lines of 207 bytes and takes
// what is pending, without the sync.
func BenchmarkFileRoll(b *testing.B) {
	const lines, length = 1000, 207
	s, err := maker("file_roll", map[string]string{"sink.directory": b.TempDir(), "sink.rollInterval": "0"})(envOf(b))
	if err != nil {
		b.Fatal(err)
	}
	slab := record.NewSlab(lines * length)
	for range lines {
		slab.Append(bytes.Repeat([]byte("x"), length-1))
	}
	batch := &sink.Batch{Views: []record.View{{Slab: slab, Count: lines}}}
	b.SetBytes(lines * length)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Deliver(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		s.(sink.Durable).Pending().Committed()
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
