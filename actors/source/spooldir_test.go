package source_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// spool is a spooldir source under test and its directory.
type spool struct {
	t        *testing.T
	dir      string
	settings map[string]string
	env      source.Env
	src      source.Source
	out      *sourcetest.Out
	run      *sourcetest.Running
	settling func()
}

func newSpool(t *testing.T, more ...string) *spool {
	sp := &spool{t: t, dir: filepath.Join(t.TempDir(), "spool"), env: sourcetest.Env(t), settling: func() {}}
	sp.settings = map[string]string{"spoolDir": sp.dir, "pollDelay": "10"}
	for i := 0; i < len(more); i += 2 {
		sp.settings[more[i]] = more[i+1]
	}
	sp.do(os.MkdirAll(sp.dir, 0o755))
	return sp
}

func (sp *spool) do(err error) {
	sp.t.Helper()
	if err != nil {
		sp.t.Fatal(err)
	}
}

func (sp *spool) path(name string) string { return filepath.Join(sp.dir, name) }

// drop puts a finished file into the directory, as its writers should.
func (sp *spool) drop(name, text string) {
	sp.t.Helper()
	sp.do(os.MkdirAll(filepath.Dir(sp.path(name)), 0o755))
	sp.do(os.WriteFile(sp.dir+".tmp", []byte(text), 0o644))
	sp.do(os.Rename(sp.dir+".tmp", sp.path(name)))
}

// start runs the source; with settle everything settles as it comes.
func (sp *spool) start(settle bool) *spool {
	sp.t.Helper()
	sp.out = new(sourcetest.Out)
	sp.src = sourcetest.New(sp.t, "spooldir", sp.settings, sp.env)
	sp.run = sourcetest.Start(sp.t, sp.src, sp.out)
	if settle {
		ctx, cancel := context.WithCancel(context.Background())
		go sp.out.SettleAlways(ctx, sp.src)
		sp.settling = cancel
		sp.t.Cleanup(cancel)
	}
	return sp
}

// kill stops the source with what was stored after n batches.
func (sp *spool) kill(n int) {
	sp.t.Helper()
	sp.run.Stop()
	sp.settling()
	stored := sp.out.Checkpoints(n)
	for s, at := range sp.env.Checkpoints {
		gone := slices.ContainsFunc(sp.out.Batches()[:n], func(b sourcetest.Batch) bool { return b.At.Stream == s && b.At.Gone })
		if _, ok := stored[s]; !ok && !gone {
			stored[s] = at
		}
	}
	sp.env.Checkpoints = stored
}

func (sp *spool) wants(bodies ...string) {
	sp.t.Helper()
	sp.out.WaitRecords(sp.t, len(bodies))
	if got := sp.out.Bodies(); !slices.Equal(got, bodies) {
		sp.t.Fatalf("got %q, want %q", got, bodies)
	}
}

// names waits until the directory holds exactly these.
func (sp *spool) names(want ...string) {
	sp.t.Helper()
	var got []string
	for range 4000 {
		got = got[:0]
		filepath.WalkDir(sp.dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".meta") {
				rel, _ := filepath.Rel(sp.dir, path)
				got = append(got, rel)
			}
			return nil
		})
		if slices.Equal(got, want) {
			return
		}
		<-time.After(time.Millisecond)
	}
	sp.t.Fatalf("the directory holds %q, want %q", got, want)
}

func TestSpooldirKeepsWhatEverySourcePromises(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Kind:    "spooldir",
		Replays: true,
		Place: func(t *testing.T) sourcetest.Place {
			dir := t.TempDir()
			return sourcetest.Place{
				Settings: map[string]string{"spoolDir": dir, "batchSize": "10", "pollDelay": "10"},
				Feed: func(_ context.Context, _ source.Source, first, n int) error {
					var text strings.Builder
					for i := first; i < first+n; i++ {
						fmt.Fprintln(&text, sourcetest.Line(i))
					}
					tmp := filepath.Join(dir, ".feed")
					if err := os.WriteFile(tmp, []byte(text.String()), 0o644); err != nil {
						return err
					}
					at := fixedTime.Add(time.Duration(first) * time.Second)
					if err := os.Chtimes(tmp, at, at); err != nil {
						return err
					}
					return os.Rename(tmp, filepath.Join(dir, fmt.Sprintf("f%06d", first)))
				},
			}
		},
	})
}

func TestSpooldirRenamesAFileOnlyWhenItsLastBatchIsSettled(t *testing.T) {
	sp := newSpool(t, "batchSize", "1")
	sp.drop("a", "one\ntwo\n")
	sp.drop("b", "three")
	sp.start(false)
	sp.out.WaitRecords(t, 3)
	sp.out.Settle(sp.src, 1)
	sp.names("a", "b")
	sp.out.Settle(sp.src, 1)
	sp.names("a.COMPLETED", "b")
	sp.out.Settle(sp.src, 1)
	sp.names("a.COMPLETED", "b.COMPLETED")
	sp.out.Wait(t, "both streams to end", func() bool {
		gone := 0
		for _, b := range sp.out.Batches() {
			if b.At.Gone {
				gone++
			}
		}
		return gone == 2
	})
}

func TestSpooldirMarksDoneWhatSettlesAfterItWasStopped(t *testing.T) {
	sp := newSpool(t)
	sp.drop("a", "one\n")
	sp.start(false)
	sp.wants("one")
	sp.run.Stop()
	sp.names("a")
	sp.out.Settle(sp.src, -1)
	sp.names("a.COMPLETED")
}

// The crash came between storing and renaming.
func TestSpooldirOnlyRenamesWhatWasWhollyStored(t *testing.T) {
	sp := newSpool(t, "batchSize", "2")
	sp.drop("a", "1\n2\n3\n4\n")
	sp.drop("b", "")
	sp.start(false)
	sp.wants("1", "2", "3", "4", "")
	sp.kill(3)
	sp.names("a", "b")
	sp.start(true)
	sp.names("a.COMPLETED", "b.COMPLETED")
	if got := sp.out.Bodies(); len(got) > 0 {
		t.Errorf("read again: %q", got)
	}
}

func TestSpooldirPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		want     []string
	}{
		"rename":              {nil, []string{"a.COMPLETED", "d/b.COMPLETED"}},
		"other suffix":        {[]string{"fileSuffix", ".done"}, []string{"a.done", "d/b.done"}},
		"delete":              {[]string{"deletePolicy", "IMMEDIATE"}, nil},
		"tracker dir":         {[]string{"trackingPolicy", "TRACKER_DIR"}, []string{".flumespool/a.COMPLETED", ".flumespool/d/b.COMPLETED", "a", "d/b"}},
		"tracked and deleted": {[]string{"trackingPolicy", "tracker_dir", "deletePolicy", "immediate", "trackerDir", ".t"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sp := newSpool(t, append(c.settings, "recursiveDirectorySearch", "true")...)
			sp.drop("a", "one\n")
			sp.drop("d/b", "two\n")
			sp.start(true)
			sp.out.WaitRecords(t, 2)
			sp.names(c.want...)
			sp.kill(len(sp.out.Batches()))
			sp.start(true)
			sp.drop("c", "new\n")
			sp.wants("new")
		})
	}
}

func TestSpooldirChoosesFilesByName(t *testing.T) {
	for _, c := range []struct{ include, ignore, want string }{
		{"^.*$", "^$", "a.log b.txt"},
		{`.*\.log`, "^$", "a.log"},
		{"^.*$", `.*\.log`, "b.txt"},
		{`.*\.log`, `a.*`, ""},
		{"log", "^$", ""}, // the whole name has to match
		{`(?!a).*`, "^$", "b.txt"},
	} {
		sp := newSpool(t, "includePattern", c.include, "ignorePattern", c.ignore)
		for _, name := range []string{"a.log", "b.txt", ".hidden", "old.COMPLETED"} {
			sp.drop(name, name)
		}
		sp.drop("below/c.log", "not recursive")
		sp.start(true)
		if c.want != "" {
			sp.out.WaitRecords(t, len(strings.Fields(c.want)))
		}
		sp.run.Stop()
		got := sp.out.Bodies()
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("include %s ignore %s: got %q, want %s", c.include, c.ignore, got, c.want)
		}
	}
}

func TestSpooldirGoesBelowButNotIntoHiddenOrIgnoredDirectories(t *testing.T) {
	sp := newSpool(t, "recursiveDirectorySearch", "true", "ignorePattern", "skip")
	sp.drop("x/y/a", "deep")
	sp.drop(".x/b", "hidden")
	sp.drop("skip/c", "ignored")
	sp.start(true)
	sp.wants("deep")
	sp.names(".x/b", "skip/c", "x/y/a.COMPLETED")
}

func TestSpooldirConsumesInTheOrderAskedFor(t *testing.T) {
	for order, want := range map[string][]string{
		"oldest":   {"c", "a", "b", "d"},
		"youngest": {"d", "a", "b", "c"},
	} {
		sp := newSpool(t, "consumeOrder", order)
		for name, day := range map[string]int{"a": 1, "b": 1, "c": 0, "d": 2} { // a and b tie
			sp.drop(name, name)
			at := fixedTime.AddDate(0, 0, day)
			sp.do(os.Chtimes(sp.path(name), at, at))
		}
		sp.start(true)
		sp.wants(want...)
	}
	sp := newSpool(t, "consumeOrder", "random")
	for i := range 20 {
		sp.drop(fmt.Sprint(i), fmt.Sprint(i))
	}
	sp.start(true)
	sp.out.WaitRecords(t, 20)
	got := sp.out.Bodies()
	slices.Sort(got)
	if len(slices.Compact(got)) != 20 {
		t.Errorf("got %q", got)
	}
}

func TestSpooldirNamesTheFileInHeaders(t *testing.T) {
	sp := newSpool(t, "fileHeader", "true", "fileHeaderKey", "path", "basenameHeader", "true")
	sp.drop("a", "one\n")
	sp.start(true)
	got := sp.out.WaitRecords(t, 1)[0].Headers
	if got["path"] != sp.path("a") || got["basename"] != "a" || len(got) != 2 {
		t.Errorf("headers %v", got)
	}
}

func TestSpooldirMakesOneEmptyRecordOfAnEmptyFile(t *testing.T) {
	sp := newSpool(t)
	sp.drop("a", "")
	sp.start(true)
	sp.wants("")
	sp.names("a.COMPLETED")
}

// Flume stops for good at each of these.
func TestSpooldirMovesAsideWhatBreaksTheRulesAndGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		prepare  func(sp *spool) // before the last batch of a settles
	}{
		"changed": {nil, func(sp *spool) {
			f, err := os.OpenFile(sp.path("a"), os.O_APPEND|os.O_WRONLY, 0)
			sp.do(err)
			_, err = f.WriteString("more\n")
			sp.do(err)
			sp.do(f.Close())
		}},
		"touched":         {nil, func(sp *spool) { sp.do(os.Chtimes(sp.path("a"), fixedTime, fixedTime)) }},
		"name used again": {nil, func(sp *spool) { sp.drop("a.COMPLETED", "an older a") }},
	} {
		for _, compat := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, compat %v", name, compat), func(t *testing.T) {
				sp := newSpool(t, c.settings...)
				sp.env.Compat = compat
				sp.drop("a", "one\n")
				sp.start(false)
				sp.wants("one")
				c.prepare(sp)
				sp.out.Settle(sp.src, -1)
				if compat {
					if err := sp.run.Wait(); err == nil || !strings.HasPrefix(err.Error(), "a: ") {
						t.Fatalf("got %v, want an error that names the file", err)
					}
					return
				}
				sp.drop("b", "two\n")
				sp.wants("one", "two")
				if _, err := os.Stat(sp.path(".flumespool/aside/a")); err != nil {
					t.Error(err)
				}
				if n := sp.env.Counters.GenericProcessingFail.Load(); n != 1 {
					t.Errorf("%d errors counted, want 1", n)
				}
			})
		}
	}
}

func TestSpooldirLeavesAloneWhatIsNoRegularFile(t *testing.T) {
	sp := newSpool(t)
	sp.drop("target/x", "secret\n")
	sp.do(os.Symlink(sp.path("target/x"), sp.path("link")))
	sp.do(syscall.Mkfifo(sp.path("pipe"), 0o644))
	sp.drop("bad name \xff", "odd names are fine\n")
	sp.start(true)
	sp.wants("odd names are fine")
	sp.names("bad name \xff.COMPLETED", "link", "pipe", "target/x")
}

func TestSpooldirSaysAtItsStartWhatItCannotUse(t *testing.T) {
	sp := newSpool(t)
	sp.do(os.Remove(sp.dir))
	if err := sp.start(false).run.Wait(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without a directory: %v", err)
	}
	for key, value := range map[string]string{
		"spoolDir": "", "deletePolicy": "later", "trackingPolicy": "x", "consumeOrder": "best", "includePattern": "(",
		"inputCharset": "EBCDIC", "decodeErrorPolicy": "GUESS", "deserializer": "xml", "deserializer.maxLineLength": "0",
		"batchSize": "many", "deserializer.outputCharset": "no",
	} {
		sp := newSpool(t, key, value)
		if _, err := newSource("spooldir", sp.settings, sp.env); err == nil || !strings.Contains(err.Error(), key[strings.LastIndex(key, ".")+1:]) {
			t.Errorf("%s = %q: got %v, want an error that names the property", key, value, err)
		}
	}
}

func TestSpooldirFailsAtOnceWhereItCouldNotRename(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	sp := newSpool(t)
	sp.do(os.Mkdir(sp.path(".flumespool"), 0o755))
	sp.do(os.Chmod(sp.dir, 0o555))
	if err := sp.start(false).run.Wait(); err == nil || !strings.Contains(err.Error(), "cannot be made and deleted") {
		t.Errorf("got %v", err)
	}
}

func TestSpooldirReadsAndWritesFlumesFileOfProgress(t *testing.T) {
	sp := newSpool(t, "batchSize", "1")
	sp.drop("a", "one\ntwo\nthree\n")
	sp.start(false)
	sp.wants("one", "two", "three")
	sp.out.Settle(sp.src, 2)
	sp.run.Stop()
	meta, err := os.ReadFile(sp.path(".flumespool/.flumespool-main.meta"))
	sp.do(err)
	file, offset, err := source.ParseFlumeMeta(meta)
	if file != sp.path("a") || offset != 8 || err != nil {
		t.Fatalf("it says %s %d (%v), want %s 8", file, offset, err, sp.path("a"))
	}

	// Another sluice, which knows nothing of a, takes the directory over.
	next := newSpool(t, "batchSize", "1", "spoolDir", sp.dir)
	next.dir = sp.dir
	next.start(true)
	next.wants("three")
	next.names("a.COMPLETED")
	if _, err := os.Stat(sp.path(".flumespool/.flumespool-main.meta")); err == nil {
		t.Error("the file of progress outlives its file")
	}
}

// Our own file of progress lags behind what the channel has.
func TestSpooldirTrustsItsOwnPositionsBeforeItsFileOfProgress(t *testing.T) {
	sp := newSpool(t, "batchSize", "1")
	sp.drop("a", "one\ntwo\nthree\n")
	sp.start(false)
	sp.wants("one", "two", "three")
	sp.out.Settle(sp.src, 1)
	sp.kill(2)
	sp.start(true)
	sp.wants("three")
}

func TestSpooldirStartsWithAnEmptyOrDamagedFileOfProgress(t *testing.T) {
	for _, text := range []string{"", "Obj\x01garbage"} {
		sp := newSpool(t)
		sp.do(os.Mkdir(sp.path(".flumespool"), 0o755))
		sp.do(os.WriteFile(sp.path(".flumespool/.flumespool-main.meta"), []byte(text), 0o644))
		sp.drop("a", "one\n")
		sp.start(true)
		sp.wants("one")
	}
}

func TestSpooldirCheckpointsSayWhenAFileIsDone(t *testing.T) {
	sp := newSpool(t, "batchSize", "1")
	sp.drop("a", "one\ntwo\n")
	sp.start(false)
	sp.wants("one", "two")
	last := sp.out.Batches()[1].At
	var d struct{ Done bool }
	sp.do(json.Unmarshal(last.Data, &d))
	if !d.Done || last.Pos != 9 || last.Gone {
		t.Errorf("the last batch of 8 bytes comes with %+v", last)
	}
}

// Two channels, one of which has everything: the data of the furthest stand
// beside the lowest position.
func TestSpooldirReadsOnForTheChannelThatLagsBehind(t *testing.T) {
	sp := newSpool(t, "batchSize", "1")
	sp.drop("a", "one\ntwo\nthree\n")
	sp.start(false)
	sp.wants("one", "two", "three")
	sp.kill(3)
	for stream, at := range sp.env.Checkpoints {
		sp.env.Checkpoints[stream] = []source.Checkpoint{{Stream: stream, Pos: 4, Data: at[0].Data}, at[0]}
	}
	sp.start(true)
	sp.wants("two", "three")
	sp.names("a.COMPLETED")
}

func TestSpooldirReadsAFileAgainThatGotItsOldNameBack(t *testing.T) {
	sp := newSpool(t)
	sp.drop("a", "one\n")
	sp.start(false)
	sp.wants("one")
	sp.kill(1)
	sp.start(true)
	sp.names("a.COMPLETED")
	sp.do(os.Rename(sp.path("a.COMPLETED"), sp.path("a")))
	sp.wants("one")
	if stream := sp.out.Batches()[len(sp.out.Batches())-1].At.Stream; sp.env.Checkpoints[stream] != nil {
		t.Errorf("it comes in the stream %s, of which everything is stored", stream)
	}
}
