package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
)

// spooldir takes finished files out of a directory, one at a time. Run's
// goroutine reads; the keeper marks files as done once their last batch is
// settled, and keeps Flume's file of progress up to date.
type spooldir struct {
	log      *slog.Logger
	counters *Counters
	compat   bool

	dir        string
	trackerDir string // absolute
	suffix     string
	include    interceptor.Matcher
	ignore     interceptor.Matcher
	delete     bool // files that are done
	track      bool // by a marker in trackerDir, not by a name
	recursive  bool
	order      string
	pollDelay  time.Duration
	batchSize  int
	fileHeader string // "" for none
	baseHeader string
	read       *deserializing

	stored map[string][]Checkpoint
	begun  map[string]bool // the streams that were stored when the source was made
	ended  map[string]int  // those of them that came to an end, and how often
	meta   flumeMeta       // what Flume has written since
	wrote  *ownWrites
	root   *os.Root
	list   spoolList

	metaWritten flumeMeta // the keeper's

	mu      sync.Mutex
	files   map[string]*spoolFile // by stream: read, and not yet done with
	done    []*spoolFile          // settled, to be marked
	at      flumeMeta             // settled progress
	emitted int                   // batches
	settled int
	stopped bool
	kick    chan struct{}
	odd     map[string]bool // what has been said once
	fatal   chan error      // with Flume's defects: the source ends
}

// spoolFile is a file in the directory. Its stream names exactly this content:
// another under the same name is another stream.
type spoolFile struct {
	rel    string // below the directory
	id     fileID
	size   int64
	mtime  time.Time
	stream string
	last   Checkpoint // emitted
	aside  error      // why it cannot be done with
}

// spoolData is what a checkpoint remembers besides the position.
type spoolData struct {
	Flume int64 `json:"flume,omitempty"` // where Flume would go on, unless it is the position
	Done  bool  `json:"done,omitempty"`  // everything was read
	Aside bool  `json:"aside,omitempty"` // it could not be read, or not be moved
}

func newSpooldir(settings topologies.Settings, env Env) (Source, error) {
	s := &spooldir{
		log:       env.Log,
		counters:  env.Counters,
		compat:    env.Compat,
		dir:       settings.String("spoolDir"),
		suffix:    settings.String("fileSuffix"),
		recursive: settings.Bool("recursiveDirectorySearch"),
		order:     strings.ToLower(settings.String("consumeOrder")),
		pollDelay: settings.Duration("pollDelay"),
		batchSize: max(1, settings.Int("batchSize")),
		stored:    map[string][]Checkpoint{},
		begun:     map[string]bool{},
		ended:     map[string]int{},
		odd:       map[string]bool{},
		files:     map[string]*spoolFile{},
		kick:      make(chan struct{}, 1),
		fatal:     make(chan error, 1),
	}
	if s.dir == "" {
		settings.Fail("spoolDir", "a directory has to be named")
	}
	if s.suffix == "" {
		settings.Fail("fileSuffix", "a file that is done needs another name")
	}
	s.trackerDir = settings.String("trackerDir")
	if !filepath.IsAbs(s.trackerDir) {
		s.trackerDir = filepath.Join(s.dir, s.trackerDir)
	}
	s.delete = oneOf(settings, "deletePolicy", "never", "immediate") == "immediate"
	s.track = oneOf(settings, "trackingPolicy", "rename", "tracker_dir") == "tracker_dir"
	oneOf(settings, "consumeOrder", "oldest", "youngest", "random")
	if settings.Bool("fileHeader") {
		s.fileHeader = settings.String("fileHeaderKey")
	}
	if settings.Bool("basenameHeader") {
		s.baseHeader = settings.String("basenameHeaderKey")
	}
	s.include = pattern(settings, "includePattern")
	s.ignore = pattern(settings, "ignorePattern")
	var err error
	if s.read, err = newDeserializing(settings); err != nil {
		return nil, err
	}
	if err := settings.Err(); err != nil {
		return nil, err
	}
	for stream, at := range env.Checkpoints {
		if len(at) > 0 {
			s.stored[stream], s.begun[stream] = at, true
		}
	}
	s.wrote = openOwnWrites(env.Dir, "spooldir-meta.sha256")
	return s, nil
}

// oneOf reads a property that has to be one of some words, in any case.
func oneOf(settings topologies.Settings, name string, words ...string) string {
	text := settings.String(name)
	for _, w := range words {
		if strings.EqualFold(text, w) {
			return w
		}
	}
	settings.Fail(name, fmt.Sprintf("%q is none of %s", text, strings.Join(words, ", ")))
	return words[0]
}

func pattern(settings topologies.Settings, name string) interceptor.Matcher {
	m, err := interceptor.CompileJava(settings.String(name))
	if err != nil {
		settings.Fail(name, err.Error())
	}
	return m
}

func (s *spooldir) Run(ctx context.Context, out Out) error {
	if err := s.prepare(); err != nil {
		return err
	}
	stop, done := make(chan struct{}), make(chan struct{})
	keeping, cancel := context.WithCancel(ctx)
	go func() { s.keep(keeping, out, stop); close(done) }()
	err := s.readFiles(ctx, out)
	cancel()
	close(stop)
	<-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// prepare sees that the directory can be used.
func (s *spooldir) prepare() (err error) {
	if s.root, err = os.OpenRoot(s.dir); err != nil {
		return fmt.Errorf("spoolDir: %w", missingDir(s.dir, err))
	}
	defer func() {
		if err != nil {
			s.root.Close()
		}
	}()
	if err := os.MkdirAll(s.trackerDir, 0o755); err != nil {
		return fmt.Errorf("trackerDir: %w", err)
	}
	if !s.track {
		if err := s.canary(); err != nil {
			return fmt.Errorf("files cannot be made and deleted in spoolDir: %w", err)
		}
	}
	meta, foreign := loadFlumeMeta(s.metaPath(), s.wrote, s.log)
	if foreign {
		s.meta = meta
	}
	return nil
}

func (s *spooldir) metaPath() string { return filepath.Join(s.trackerDir, flumeMetaName) }

// canary tries what will have to be done with files.
func (s *spooldir) canary() error {
	f, err := os.CreateTemp(s.dir, "flume-spooldir-perm-check-*.canary")
	if err != nil {
		return err
	}
	_, err = f.WriteString("may files be made and deleted here?\n")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// readFiles reads one file after the other until ctx ends.
func (s *spooldir) readFiles(ctx context.Context, out Out) error {
	for first := true; ; first = false {
		select {
		case err := <-s.fatal:
			return err
		default:
		}
		f, err := s.nextFile()
		if err != nil {
			return err
		}
		if first {
			if err := s.forgetMissing(ctx, out); err != nil {
				return err
			}
		}
		if f == nil {
			select {
			case err := <-s.fatal:
				return err
			case <-ctx.Done():
				return nil
			case <-time.After(max(s.pollDelay, time.Millisecond)):
			}
			continue
		}
		if err := s.readFile(ctx, out, f); err != nil {
			return err
		}
	}
}

// forgetMissing drops what is stored of files that are not there any more:
// they were marked as done, or somebody took them away.
func (s *spooldir) forgetMissing(ctx context.Context, out Out) error {
	for stream := range s.stored {
		if s.list.streams[stream] {
			continue
		}
		delete(s.stored, stream)
		if err := s.emit(ctx, out, record.NewSlab(0), Checkpoint{Stream: stream, Gone: true}); err != nil {
			return err
		}
	}
	return nil
}

// readFile emits a file from where it was settled. What is wrong with the file
// ends nothing but the file.
func (s *spooldir) readFile(ctx context.Context, out Out, f *spoolFile) error {
	s.mu.Lock()
	s.files[f.stream] = f
	s.mu.Unlock()
	stored := s.stored[f.stream]
	delete(s.stored, f.stream)
	if len(stored) > 0 {
		f.last = stored[0]
		var d spoolData
		// While the channels differ, the lowest is not at the end, whatever the
		// data say.
		if len(stored) == 1 && json.Unmarshal(f.last.Data, &d) == nil && (d.Done || d.Aside) {
			if d.Aside {
				f.aside = errors.New("it was so already when the source last ran")
			}
			s.finished(f)
			return nil
		}
	}
	err := s.readRecords(ctx, out, f, stored)
	if err == nil || ctx.Err() != nil {
		return err
	}
	s.counters.EventReadFail.Add(1)
	if bad := (*malformedError)(nil); errors.As(err, &bad) {
		s.counters.Malformed.Add(1)
	}
	if s.compat {
		return fmt.Errorf("%s: %w", f.rel, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("file was taken away before it was read", "file", f.rel)
		return s.drop(ctx, out, f)
	}
	return s.putAside(ctx, out, f, err)
}

// putAside says durably that a file cannot be read to its end; the keeper then
// moves it away, when everything before is settled.
func (s *spooldir) putAside(ctx context.Context, out Out, f *spoolFile, err error) error {
	f.aside = err
	data, _ := json.Marshal(spoolData{Aside: true})
	return s.emit(ctx, out, record.NewSlab(0), Checkpoint{Stream: f.stream, Pos: f.last.Pos + 1, Data: data})
}

// drop forgets a file that is not there.
func (s *spooldir) drop(ctx context.Context, out Out, f *spoolFile) error {
	s.mu.Lock()
	delete(s.files, f.stream)
	s.mu.Unlock()
	return s.emit(ctx, out, record.NewSlab(0), Checkpoint{Stream: f.stream, Gone: true})
}

func (s *spooldir) readRecords(ctx context.Context, out Out, f *spoolFile, stored []Checkpoint) error {
	file, err := s.open(f)
	if err != nil {
		return err
	}
	defer file.Close()
	if f.size == 0 {
		return s.emitEmpty(ctx, out, f)
	}
	d, err := s.read.make(s.read, spooledFile{r: file, size: f.size, compat: s.compat, truncated: func(pos int64) {
		s.counters.Truncated.Add(1)
		s.once("long "+f.stream, "a line is longer than maxLineLength and becomes several records", "file", f.rel, "at", pos)
	}})
	if err != nil {
		return err
	}
	next, ahead := resume(stored)
	if err := d.seek(next); err != nil {
		return err
	}
	if err := s.seekFlume(d, f, next); err != nil {
		return err
	}
	for {
		pos, _ := d.place()
		batch, err := d.next(s.batchSize, ahead.limit(pos, ^uint64(0)))
		if err != nil {
			return err
		}
		if batch == nil && !d.atEnd() {
			return errChanged // shorter than it was
		}
		if batch == nil {
			batch = record.NewSlab(0)
		}
		if err := s.emitBatch(ctx, out, f, d, batch); err != nil || d.atEnd() {
			return err
		}
	}
}

// seekFlume goes on where Flume stopped, if it read on in this file.
func (s *spooldir) seekFlume(d deserializer, f *spoolFile, next uint64) error {
	if s.meta.file == "" || filepath.Clean(s.meta.file) != filepath.Join(s.dir, f.rel) {
		return nil
	}
	offset := s.meta.offset
	s.meta = flumeMeta{}
	if err := d.seekFlume(offset); err != nil {
		return err
	}
	if pos, _ := d.place(); pos >= next {
		return nil
	}
	return d.seek(next)
}

// emitBatch sends a batch on its way, with the headers of its file.
func (s *spooldir) emitBatch(ctx context.Context, out Out, f *spoolFile, d deserializer, batch *record.Slab) error {
	pos, flume := d.place()
	data := spoolData{Done: d.atEnd()}
	if flume != int64(pos) {
		data.Flume = flume
	}
	if data.Done {
		pos++ // the end is a place of its own, also of an empty file
	}
	at := Checkpoint{Stream: f.stream, Pos: pos}
	if data != (spoolData{}) {
		at.Data, _ = json.Marshal(data)
	}
	batch.SetTime(time.Now().UnixMilli())
	s.dress(batch, f)
	return s.emit(ctx, out, batch, at)
}

// emitEmpty makes one empty record of an empty file, as Flume does.
func (s *spooldir) emitEmpty(ctx context.Context, out Out, f *spoolFile) error {
	batch := record.NewSlab(headroom)
	batch.SetTime(time.Now().UnixMilli())
	batch.Mark(0, 0)
	s.dress(batch, f)
	data, _ := json.Marshal(spoolData{Done: true})
	return s.emit(ctx, out, batch, Checkpoint{Stream: f.stream, Pos: 1, Data: data})
}

func (s *spooldir) dress(batch *record.Slab, f *spoolFile) {
	if s.fileHeader != "" {
		batch.SetCommon(s.fileHeader, []byte(filepath.Join(s.dir, f.rel)))
	}
	if s.baseHeader != "" {
		batch.SetCommon(s.baseHeader, []byte(filepath.Base(f.rel)))
	}
}

func (s *spooldir) emit(ctx context.Context, out Out, batch *record.Slab, at Checkpoint) error {
	s.mu.Lock()
	s.emitted++
	if f := s.files[at.Stream]; f != nil {
		f.last = at
	}
	s.mu.Unlock()
	err := out.Emit(ctx, batch, at)
	if err != nil {
		s.mu.Lock()
		s.emitted--
		s.mu.Unlock()
	}
	return err
}

// errChanged says that a file was changed after it had been dropped.
var errChanged = errors.New("it was changed while it was read")

// open opens a file and sees that it is the one that was listed. A pipe or a
// link that took its place is not followed and does not stop the source.
func (s *spooldir) open(f *spoolFile) (*os.File, error) {
	before, err := s.root.Lstat(f.rel)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no regular file (%v)", before.Mode().Type())
	}
	file, err := s.root.OpenFile(f.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !f.is(info) {
		err = errChanged
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// is says whether info is still the file that was listed, unchanged.
func (f *spoolFile) is(info fs.FileInfo) bool {
	id, ok := idOf(info)
	return ok && id == f.id && info.Size() == f.size && info.ModTime().Equal(f.mtime)
}

// once logs what need not be said twice.
func (s *spooldir) once(key, text string, args ...any) {
	s.mu.Lock()
	said := s.odd[key]
	s.odd[key] = true
	s.mu.Unlock()
	if !said {
		s.log.Warn(text, args...)
	}
}
