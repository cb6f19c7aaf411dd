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

	"github.com/sluicehq/sluice/actors/source"
	"github.com/sluicehq/sluice/actors/source/sourcetest"
)

// tail is a taildir source under test and the directory it follows.
type tail struct {
	t        *testing.T
	dir      string
	settings map[string]string
	env      source.Env
	src      source.Source
	out      *sourcetest.Out
	run      *sourcetest.Running
}

// newTail follows the files of a new directory whose names match pattern.
func newTail(t *testing.T, pattern string, more ...string) *tail {
	dir := t.TempDir()
	tl := &tail{t: t, dir: filepath.Join(dir, "logs"), env: sourcetest.Env(t)}
	tl.settings = map[string]string{
		"filegroups":      "g",
		"filegroups.g":    filepath.Join(tl.dir, pattern),
		"positionFile":    filepath.Join(dir, "position.json"),
		"maxBackoffSleep": "20", "backoffSleepIncrement": "10",
	}
	for i := 0; i < len(more); i += 2 {
		tl.settings[more[i]] = more[i+1]
	}
	if err := os.MkdirAll(tl.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return tl
}

func (tl *tail) start() *tail {
	tl.t.Helper()
	tl.out = new(sourcetest.Out)
	tl.src = sourcetest.New(tl.t, "taildir", tl.settings, tl.env)
	tl.run = sourcetest.Start(tl.t, tl.src, tl.out)
	return tl
}

// restart stops the source, with everything settled, and starts it on what was
// stored.
func (tl *tail) restart() *tail {
	tl.t.Helper()
	tl.stop()
	return tl.start()
}

func (tl *tail) stop() {
	tl.t.Helper()
	tl.run.Stop()
	tl.out.Settle(tl.src, -1)
	stored := tl.out.Checkpoints(len(tl.out.Batches()))
	for stream, at := range tl.env.Checkpoints {
		gone := slices.ContainsFunc(tl.out.Batches(), func(b sourcetest.Batch) bool {
			return b.At.Stream == stream && b.At.Gone
		})
		if _, ok := stored[stream]; !ok && !gone {
			stored[stream] = at
		}
	}
	tl.env.Checkpoints = stored
}

func (tl *tail) path(name string) string { return filepath.Join(tl.dir, name) }

func (tl *tail) write(name, text string) {
	tl.t.Helper()
	f, err := os.OpenFile(tl.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		tl.t.Fatal(err)
	}
}

func (tl *tail) do(err error) {
	tl.t.Helper()
	if err != nil {
		tl.t.Fatal(err)
	}
}

// wants waits for as many records as there are bodies and compares them.
func (tl *tail) wants(bodies ...string) {
	tl.t.Helper()
	tl.out.WaitRecords(tl.t, len(bodies))
	if got := tl.out.Bodies(); !slices.Equal(got, bodies) {
		tl.t.Fatalf("got %q, want %q", got, bodies)
	}
}

// wantsNothingBefore writes a marker to another file and waits for it: had
// there been anything else to read, it would have come before.
func (tl *tail) wantsNoMore(bodies ...string) {
	tl.t.Helper()
	tl.write("zz-last.log", "the end\n")
	tl.wants(append(bodies, "the end")...)
}

func TestTaildirKeepsWhatEverySourcePromises(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Kind:    "taildir",
		Replays: true,
		Place: func(t *testing.T) sourcetest.Place {
			dir := t.TempDir()
			return sourcetest.Place{
				Settings: map[string]string{
					"filegroups":   "g",
					"filegroups.g": filepath.Join(dir, `.*\.log`),
					"positionFile": filepath.Join(dir, "position.json"),
					"batchSize":    "10",
				},
				Feed: func(_ context.Context, _ source.Source, first, n int) error {
					f, err := os.OpenFile(filepath.Join(dir, "a.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
					if err != nil {
						return err
					}
					defer f.Close()
					for i := first; i < first+n; i++ {
						if _, err := fmt.Fprintln(f, sourcetest.Line(i)); err != nil {
							return err
						}
					}
					return nil
				},
			}
		},
	})
}

func TestTaildirReadsLinesAndKeepsTheirBytes(t *testing.T) {
	tl := newTail(t, ".*log")
	tl.write("a.log", "one\ntwo\r\n\n\r\n\xff\xfe \t\nthr\ree\n")
	tl.start()
	tl.wants("one", "two", "", "", "\xff\xfe \t", "thr\ree")
}

func TestTaildirSeesALineAtOnce(t *testing.T) {
	tl := newTail(t, ".*log", "backoffSleepIncrement", "600000", "maxBackoffSleep", "600000").start()
	tl.write("a.log", "first\n") // a poll would come in ten minutes
	tl.wants("first")
	tl.write("a.log", "second\n")
	tl.wants("first", "second")
}

// \r and \n may lie on either side of any border inside.
func TestTaildirCutsLinesWhereverBlocksEnd(t *testing.T) {
	for _, length := range []int{8190, 8191, 8192, 65534, 65535, 65536, 253950, 253951, 253952, 262143, 262144} {
		tl := newTail(t, ".*log")
		long := strings.Repeat("x", length)
		tl.write("a.log", long+"\r\n"+"short\r\n"+long+"\n\r\n")
		tl.start()
		tl.wants(long, "short", long, "")
		tl.stop()
	}
}

func TestTaildirHoldsALineBackUntilItsNewlineComes(t *testing.T) {
	tl := newTail(t, ".*log").start()
	tl.write("a.log", "one\npar")
	tl.wantsNoMore("one")
	tl.write("a.log", "tial\n")
	tl.wants("one", "the end", "partial")
}

// Its rest becomes a line of its own, as in Flume.
func TestTaildirEmitsALineWithoutNewlineOnceTheFileIsIdle(t *testing.T) {
	tl := newTail(t, ".*log", "idleTimeout", "50").start()
	tl.write("a.log", "one\npar")
	tl.wants("one", "par")
	tl.write("a.log", "tial\n")
	tl.wants("one", "par", "tial")
	tl.restart()
	tl.wantsNoMore()
}

func TestTaildirReadsALineLongerThanAnyBuffer(t *testing.T) {
	tl := newTail(t, ".*log").start()
	long := strings.Repeat("0123456789abcdef", 300_000) // 4.8 MB
	for part := range slices.Chunk([]byte(long), 1_000_000) {
		tl.write("a.log", string(part))
	}
	tl.write("a.log", "\nshort\n")
	tl.wants(long, "short")
}

func TestTaildirFollowsARenamedFileAndReadsNothingTwice(t *testing.T) {
	tl := newTail(t, `app\.log.*`).start()
	tl.write("app.log", "one\n")
	tl.wants("one")
	tl.do(os.Rename(tl.path("app.log"), tl.path("app.log.1")))
	tl.write("app.log.1", "two\n")
	tl.write("app.log", "three\n")
	tl.out.WaitRecords(t, 3)
	tl.restart()
	tl.write("app.log", "four\n")
	tl.wants("four")
}

func TestTaildirReadsARenamedFileAgainWithFlumesDefects(t *testing.T) {
	tl := newTail(t, `.*log.*`)
	tl.env.Compat = true
	tl.start()
	tl.write("app.log", "one\ntwo\n")
	tl.wants("one", "two")
	tl.do(os.Rename(tl.path("app.log"), tl.path("app.log.1")))
	tl.wants("one", "two", "one", "two")
}

func TestTaildirReadsAFileRenamedAwayToItsEnd(t *testing.T) {
	tl := newTail(t, `.*\.log`).start()
	tl.write("app.log", "one\n")
	tl.wants("one")
	tl.do(os.Rename(tl.path("app.log"), tl.path("app.old")))
	tl.write("app.old", "late\n")
	tl.wants("one", "late")
}

func TestTaildirReadsAFileThatWasRenamedAwayWhileItWasDown(t *testing.T) {
	tl := newTail(t, `.*\.log`).start()
	tl.write("app.log", "one\n")
	tl.wants("one")
	tl.stop()
	tl.write("app.log", "two\n")
	tl.do(os.Rename(tl.path("app.log"), tl.path("app.log.1")))
	tl.write("app.log", "three\n")
	tl.start()
	tl.out.WaitRecords(t, 2)
	got := tl.out.Bodies()
	slices.Sort(got)
	if !slices.Equal(got, []string{"three", "two"}) {
		t.Fatalf("got %q, want two and three", got)
	}
}

func TestTaildirReadsADeletedFileToItsEnd(t *testing.T) {
	tl := newTail(t, ".*log", "batchSize", "1")
	tl.start()
	tl.out.SetFull(true)
	tl.write("a.log", "one\ntwo\nthree\nfour\n")
	tl.out.WaitBlocked(t)
	tl.do(os.Remove(tl.path("a.log")))
	tl.out.SetFull(false)
	tl.wants("one", "two", "three", "four")
}

func TestTaildirBeginsATruncatedFileAtItsStart(t *testing.T) {
	tl := newTail(t, ".*log").start()
	tl.write("a.log", "one\ntwo\n")
	tl.wants("one", "two")
	tl.do(os.Truncate(tl.path("a.log"), 0))
	tl.write("a.log", "3\n")
	tl.wants("one", "two", "3")
	tl.restart()
	tl.write("a.log", "4\n")
	tl.wants("4")
}

// The file is longer than it was when it is looked at again: only its
// beginning tells.
func TestTaildirNoticesACopytruncatedFileThatHasGrownAgain(t *testing.T) {
	for _, down := range []bool{false, true} {
		tl := newTail(t, ".*log").start()
		tl.write("a.log", "old one\n")
		tl.wants("old one")
		before := []string{"old one"}
		if down {
			tl.stop()
			before = nil
		}
		tl.do(os.WriteFile(tl.path("a.log"), []byte("new one\nnew two\nnew three\n"), 0o644))
		if down {
			tl.start()
		}
		tl.wants(append(before, "new one", "new two", "new three")...)
		tl.stop()
	}
}

// A file system gives a freed inode to the next file.
func TestTaildirTellsAFileFromAnotherThatHasItsInode(t *testing.T) {
	tl := newTail(t, ".*log").start()
	tl.write("a.log", "one\n")
	tl.wants("one")
	tl.stop()
	for stream, at := range tl.env.Checkpoints {
		// What an earlier file under this inode would have left.
		at[0].Data = []byte(strings.Replace(string(at[0].Data), `"sum":"`, `"sum":"1`, 1))
		at[0].Pos = 2
		tl.env.Checkpoints = map[string][]source.Checkpoint{stream: at}
	}
	tl.start()
	tl.wants("one")
	if got := tl.out.Batches()[0].At.Stream; tl.env.Checkpoints[got] != nil {
		t.Errorf("the new file goes on in the stream %s of the old one", got)
	}
}

func TestTaildirFollowsMoreThanAThousandFiles(t *testing.T) {
	tl := newTail(t, ".*log")
	want := map[string]bool{}
	for i := range 1200 {
		tl.write(fmt.Sprintf("f%d.log", i), sourcetest.Line(i)+"\n")
		want[sourcetest.Line(i)] = true
	}
	tl.start()
	for _, r := range tl.out.WaitRecords(t, 1200) {
		if !want[r.Body] {
			t.Fatalf("%q came twice, or was never written", r.Body)
		}
		delete(want, r.Body)
	}
}

// Sockets and the store need descriptors as well.
func TestTaildirFollowsMoreFilesThanItMayOpen(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	low := limit
	low.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	tl := newTail(t, ".*log")
	for i := range 300 {
		tl.write(fmt.Sprintf("f%d.log", i), "first\n")
	}
	tl.start()
	tl.out.WaitRecords(t, 300)
	for i := range 300 {
		tl.write(fmt.Sprintf("f%d.log", i), "second\n")
	}
	tl.out.WaitRecords(t, 600)
	if n := tl.env.Counters.EventReadFail.Load(); n != 0 {
		t.Errorf("%d files could not be read at first", n)
	}
}

func TestTaildirCutsALineThatIsTooLongForARecord(t *testing.T) {
	tl := newTail(t, ".*log")
	long := strings.Repeat("x", 64<<20)
	tl.write("a.log", "first\n"+long+"rest\nlast\n")
	tl.start()
	tl.wants("first", long, "rest", "last")
	if n := tl.env.Counters.Truncated.Load(); n != 1 {
		t.Errorf("counted %d cuts, want 1", n)
	}
}

// What comes under a stored stream counts as stored up to its position.
func TestTaildirNeverUsesAStoredStreamForAnotherFile(t *testing.T) {
	tl := newTail(t, `.*\.log`, "idleTimeout", "30").start()
	tl.write("a.log", "one\n")
	tl.wants("one")
	tl.restart()
	tl.do(os.Rename(tl.path("a.log"), tl.path("a.old")))
	tl.out.Wait(t, "the stream's end", func() bool {
		return slices.ContainsFunc(tl.out.Batches(), func(b sourcetest.Batch) bool { return b.At.Gone })
	})
	tl.do(os.Rename(tl.path("a.old"), tl.path("a.log")))
	tl.wants("one") // Flume, too, reads it again
	for _, b := range tl.out.Batches() {
		if len(b.Records) > 0 && tl.env.Checkpoints[b.At.Stream] != nil {
			t.Errorf("the file came again in the stored stream %s", b.At.Stream)
		}
	}
}

func TestTaildirReadsTheOldestFileFirst(t *testing.T) {
	tl := newTail(t, ".*log")
	for i, name := range []string{"c.log", "a.log", "b.log"} {
		tl.write(name, name+"\n")
		at := fixedTime.AddDate(0, 0, i)
		tl.do(os.Chtimes(tl.path(name), at, at))
	}
	tl.start()
	tl.wants("c.log", "a.log", "b.log")
}

func TestTaildirGivesEachFileItsTurnAfterMaxBatchCount(t *testing.T) {
	tl := newTail(t, ".*log", "batchSize", "2", "maxBatchCount", "1")
	for i, name := range []string{"a", "b"} {
		tl.write(name+".log", name+"1\n"+name+"2\n"+name+"3\n"+name+"4\n")
		at := fixedTime.AddDate(0, 0, i)
		tl.do(os.Chtimes(tl.path(name+".log"), at, at))
	}
	tl.start()
	tl.wants("a1", "a2", "b1", "b2", "a3", "a4", "b3", "b4")
}

func TestTaildirSkipsToTheEndOfFilesThatAreThereAtItsFirstStart(t *testing.T) {
	tl := newTail(t, ".*log", "skipToEnd", "true")
	tl.write("a.log", "old\n")
	tl.write("empty.log", "")
	tl.start()
	tl.out.Wait(t, "the checkpoint at the end", func() bool { return len(tl.out.Batches()) > 0 })
	tl.write("b.log", "from its start\n")
	tl.wants("from its start")
	tl.stop()
	tl.write("a.log", "while down\n")
	tl.write("empty.log", "also while down\n")
	tl.start()
	tl.out.WaitRecords(t, 2)
	got := tl.out.Bodies()
	slices.Sort(got)
	if !slices.Equal(got, []string{"also while down", "while down"}) {
		t.Errorf("got %q", got)
	}
}

func TestTaildirSetsTheHeadersOfTheGroupTheFileAndTheOffset(t *testing.T) {
	tl := newTail(t, `.*\.log`, "headers.g.kind", "web", "headers.g.a.b", "dotted",
		"fileHeader", "true", "fileHeaderKey", "path", "byteOffsetHeader", "true")
	tl.write("a.log", "one\r\n\nthree\n")
	tl.start()
	for i, r := range tl.out.WaitRecords(t, 3) {
		want := map[string]string{"kind": "web", "a.b": "dotted", "path": tl.path("a.log"), "byteoffset": []string{"0", "5", "6"}[i]}
		if fmt.Sprint(r.Headers) != fmt.Sprint(want) {
			t.Errorf("line %d: headers %v, want %v", i, r.Headers, want)
		}
	}
}

func TestTaildirMatchesTheLastElementOnlyAndFilesOnly(t *testing.T) {
	tl := newTail(t, `a[0-9]+(?!x)\.log`) // RE2 has no look-ahead
	tl.do(os.Mkdir(tl.path("a1.log"), 0o755))
	tl.write("a1.log/a2.log", "in a directory below\n")
	tl.write("ba2.log", "matches in part\n")
	tl.write("a2.log.gz", "matches in part\n")
	tl.write("a2.log", "yes\n")
	tl.do(os.Symlink(tl.path("ba2.log"), tl.path("a9.log")))
	tl.start()
	tl.out.WaitRecords(t, 2)
	got := tl.out.Bodies()
	slices.Sort(got)
	if !slices.Equal(got, []string{"matches in part", "yes"}) {
		t.Errorf("got %q, want the file and the link's target", got)
	}
}

func TestTaildirGoesIntoDirectoriesBelowWhenAskedTo(t *testing.T) {
	tl := newTail(t, `.*\.log`, "recursive", "true").start()
	tl.do(os.MkdirAll(tl.path("x/y"), 0o755))
	tl.write("x/y/a.log", "deep\n")
	tl.wants("deep")
	tl.write("x/y/a.log", "deeper\n")
	tl.wants("deep", "deeper")
}

func TestTaildirSaysThatTheDirectoryIsMissing(t *testing.T) {
	tl := newTail(t, ".*log")
	tl.do(os.Remove(tl.dir))
	err := tl.start().run.Wait()
	if err == nil || !strings.Contains(err.Error(), tl.dir+" does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestTaildirRefusesSettingsItCannotUse(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"no groups":     {"filegroups", "", "names no group"},
		"no pattern":    {"filegroups", "g h", "set filegroups.h"},
		"relative path": {"filegroups.g", "logs/.*", "no absolute path"},
		"bad pattern":   {"filegroups.g", "/tmp/(", "file name's pattern"},
		"no number":     {"batchSize", "many", "not a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			tl := newTail(t, ".*log", c.key, c.value)
			if _, err := newSource("taildir", tl.settings, tl.env); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestTaildirTriesAFileItMayNotReadLater(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	tl := newTail(t, ".*log")
	tl.write("a.log", "one\n")
	tl.do(os.Chmod(tl.path("a.log"), 0))
	tl.start()
	tl.wantsNoMore()
	tl.do(os.Chmod(tl.path("a.log"), 0o644))
	tl.wants("the end", "one")
	if tl.env.Counters.EventReadFail.Load() == 0 {
		t.Error("the failed open was not counted")
	}
}

type entry struct {
	Inode int64  `json:"inode"`
	Pos   int    `json:"pos"`
	File  string `json:"file"`
}

func (tl *tail) positions() (text string, entries []entry) {
	tl.t.Helper()
	raw, err := os.ReadFile(tl.settings["positionFile"])
	tl.do(err)
	tl.do(json.Unmarshal(raw, &entries))
	return string(raw), entries
}

func TestTaildirWritesThePositionFileInFlumesFormWithSettledPositionsOnly(t *testing.T) {
	tl := newTail(t, ".*log", "batchSize", "1").start()
	tl.write("a.log", "one\ntwo\n")
	tl.wants("one", "two")
	tl.out.Settle(tl.src, 1)
	tl.run.Stop()
	text, got := tl.positions()
	want := fmt.Sprintf(`[{"inode":%d,"pos":4,"file":"%s"}]`, got[0].Inode, tl.path("a.log"))
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	tl.out.Settle(tl.src, 1) // the last settles after the source has stopped
	if _, got := tl.positions(); got[0].Pos != 8 {
		t.Errorf("after everything settled the position is %d, want 8", got[0].Pos)
	}
}

func TestTaildirGoesOnFromFlumesPositionFile(t *testing.T) {
	tl := newTail(t, ".*log")
	tl.write("a.log", "one\ntwo\n")
	tl.write("b.log", "path differs\n")
	tl.write("c.log", "inode differs\n")
	text := fmt.Sprintf(`[{"inode":%d,"pos":4,"file":%q},{"inode":%d,"pos":5,"file":"/elsewhere"},{"inode":1,"pos":5,"file":%q}]`,
		inode(t, tl.path("a.log")), tl.path("a.log"), inode(t, tl.path("b.log")), tl.path("c.log"))
	tl.do(os.WriteFile(tl.settings["positionFile"], []byte(text), 0o644))
	tl.start()
	tl.out.WaitRecords(t, 3)
	got := tl.out.Bodies()
	slices.Sort(got)
	if !slices.Equal(got, []string{"inode differs", "path differs", "two"}) {
		t.Errorf("got %q", got)
	}
}

// Somebody ran Flume in between, or wants lines again.
func TestTaildirsPositionFileWinsOnlyWhenSomebodyElseWroteIt(t *testing.T) {
	tl := newTail(t, ".*log").start()
	tl.write("a.log", "one\ntwo\nthree\n")
	tl.wants("one", "two", "three")
	tl.restart()
	tl.wantsNoMore()
	tl.stop()
	text, _ := tl.positions()
	tl.do(os.WriteFile(tl.settings["positionFile"], []byte(strings.Replace(text, `"pos":14`, `"pos":4`, 1)), 0o644))
	tl.start()
	tl.wants("two", "three")
	tl.restart()
	tl.write("a.log", "four\n")
	tl.wants("four")
}

func TestTaildirKeepsADamagedPositionFileAside(t *testing.T) {
	tl := newTail(t, ".*log")
	tl.write("a.log", "one\n")
	tl.do(os.WriteFile(tl.settings["positionFile"], []byte(`[{"inode":1,"pos":`), 0o644))
	tl.start()
	tl.wants("one")
	if _, err := os.Stat(tl.settings["positionFile"] + ".damaged"); err != nil {
		t.Error(err)
	}
}
