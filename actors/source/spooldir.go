package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	marked  map[string]bool // streams that the keeper was done with lately
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
		marked:    map[string]bool{},
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
	go func() { defer contain(ctx); defer close(done); s.keep(keeping, out, stop) }()
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
