package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// fileRoll writes records to files of one directory and begins a new file every
// rollInterval. A batch is one write. What is written counts once it is
// committed with the channel: after a crash the file is cut back to that (see
// files), and a new one begins.
//
// As in Flume a file is begun at the start and at every roll, whether there is
// anything to write or not. With lazyOpen, or a serializer whose files have a
// head, it is begun by its first record.
type fileRoll struct {
	env   Env
	dir   string
	names *rollNames
	lazy  bool
	stop  context.CancelFunc
	over  chan struct{} // closed when roller has ended

	mu         sync.Mutex
	files      *files
	serializer Serializer
	file       *file // being written; nil before the first and after a failure
	hopeless   []hopelessRecord
}

// hopelessRecord is one that its serializer refuses.
type hopelessRecord struct {
	slab *record.Slab
	i    int
	err  error
}

func newFileRoll(s topologies.Settings, env Env) (Sink, error) {
	f := &fileRoll{env: env, lazy: s.Bool("lazyOpen"), over: make(chan struct{})}
	if s.String("sink.directory") == "" {
		s.Fail("sink.directory", "it is missing")
	}
	interval := s.Duration("sink.rollInterval")
	if interval < 0 {
		s.Fail("sink.rollInterval", "it must not be negative")
	}
	var err error
	if f.names, err = newRollNames(s); err != nil {
		return nil, err
	}
	if f.serializer, err = newSerializer(s.String("sink.serializer"), s.Sub("sink.serializer.", nil)); err != nil {
		return nil, err
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if f.dir, err = filepath.Abs(s.String("sink.directory")); err != nil {
		return nil, err
	}
	if err = f.present(); err != nil {
		return nil, err
	}
	f.lazy = f.lazy || len(f.serializer.Begin(nil)) > 0
	if f.files, err = openFiles(env, f.dir, filesOptions{}); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.roller(ctx, interval)
	return f, nil
}

// Deliver writes batch. A record that the serializer refuses goes to the dead
// letters, once the rest is written.
func (f *fileRoll) Deliver(ctx context.Context, batch *Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = f.write(ctx, batch)
	}
	if err == nil {
		for _, h := range f.hopeless {
			f.env.DeadLetter(h.slab, h.i, "serialize", h.err.Error())
		}
	}
	clear(f.hopeless)
	f.hopeless = f.hopeless[:0]
	return err
}

func (f *fileRoll) write(ctx context.Context, batch *Batch) error {
	if f.file == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	for _, v := range batch.Views {
		for i := v.First; i < v.First+v.Count; i++ {
			if err := f.append(v.Slab, i); err != nil {
				f.files.undo()
				f.file = nil
				return err
			}
		}
	}
	out := f.file.tail()
	*out = f.serializer.Flush(*out)
	if err := f.files.write(ctx); err != nil {
		f.file = nil // ended by the failure, without anything of the batch
		return fmt.Errorf("write to %s: %w", f.dir, err)
	}
	return nil
}

// append stages one record. An error means that the batch cannot be written now.
func (f *fileRoll) append(s *record.Slab, i int) error {
	out := f.file.tail()
	staged, err := f.serializer.Append(*out, s, i)
	*out = staged
	if errors.Is(err, errSchemaChanged) {
		f.end()
		f.stage()
		out = f.file.tail()
		*out, err = f.serializer.Append(*out, s, i)
	}
	switch {
	case errors.Is(err, errNotNow):
		return err
	case err != nil:
		f.hopeless = append(f.hopeless, hopelessRecord{s, i, err})
	}
	return nil
}

// begin stages a new file.
func (f *fileRoll) begin() error {
	if err := f.present(); err != nil {
		f.env.Counters.ConnectionFailed.Add(1)
		return err
	}
	f.stage()
	return nil
}

// present answers why there can be no files. The directory is the user's to
// make: one that is missing may be a volume that is not mounted.
func (f *fileRoll) present() error {
	info, err := os.Stat(f.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %s does not exist: make it, the records wait", f.dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: the records wait", f.dir)
	}
	return writable(f.dir)
}

func (f *fileRoll) stage() {
	f.file = f.files.begin(f.names.next)
	out := f.file.tail()
	*out = f.serializer.Begin(*out)
}

// end stages what stands at the end of the file and leaves it to be closed.
func (f *fileRoll) end() {
	if last := f.serializer.End(nil); len(last) > 0 {
		out := f.file.tail()
		*out = append(*out, last...)
	}
	f.file.finish()
	f.file = nil
}

// roller begins the first file and ends each after its time.
func (f *fileRoll) roller(ctx context.Context, interval time.Duration) {
	defer f.env.contain()
	defer close(f.over)
	f.first(ctx)
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.roll(ctx)
		}
	}
}

// first begins the first file, if no batch has done so.
func (f *fileRoll) first(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		f.renew(ctx)
	}
}

// roll ends the file and begins the next.
func (f *fileRoll) roll(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		f.end()
	}
	f.renew(ctx)
}

// renew writes the end of the last file and, unless it is lazy, makes the next.
func (f *fileRoll) renew(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if !f.lazy {
		if err := f.begin(); err != nil {
			f.env.Log.Warn("no new file", "err", err)
			return
		}
	}
	if err := f.files.write(ctx); err != nil {
		f.file = nil
		if ctx.Err() == nil {
			f.env.Log.Warn("no new file", "directory", f.dir, "err", err)
		}
	}
}

// Pending is what was written since the last call.
func (f *fileRoll) Pending() Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files.Pending()
}

// Close ends the last file.
func (f *fileRoll) Close() error {
	f.stop()
	<-f.over
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file = nil
	return f.files.Close()
}

// Abandon leaves everything as it is for the next run.
func (f *fileRoll) Abandon() {
	f.stop()
	<-f.over
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file = nil
	f.files.abandon()
}

// rollNames make the names of files as Flume's path managers do: prefix, the
// time of the sink's start in ms or that of the roll, a number, the extension.
type rollNames struct {
	prefix, extension string
	rollTime          bool
	series            string // the time in the last name
	number            int
}

func newRollNames(s topologies.Settings) (*rollNames, error) {
	typ := s.String("sink.pathManager")
	kind, ok := kinds.Lookup(kinds.PathManager, typ)
	if !ok {
		s.Fail("sink.pathManager", fmt.Sprintf("%q is neither DEFAULT nor ROLLTIME", typ))
		return nil, s.Err()
	}
	parts := s.Sub("sink.pathManager.", kind)
	n := &rollNames{
		prefix: parts.String("prefix"), extension: parts.String("extension"), rollTime: kind.Name == "rolltime",
		series: strconv.FormatInt(time.Now().UnixMilli(), 10),
	}
	if n.extension != "" {
		n.extension = "." + n.extension
	}
	if !filepath.IsLocal(n.prefix + "x") {
		parts.Fail("prefix", "it leads out of sink.directory")
	}
	return n, s.Err()
}

func (n *rollNames) next() (path, final string) {
	if n.rollTime {
		if now := time.Now().Format("20060102150405"); now != n.series {
			n.series, n.number = now, 0
		}
	}
	n.number++
	name := n.prefix + n.series + "-" + strconv.Itoa(n.number) + n.extension
	return name, name
}
