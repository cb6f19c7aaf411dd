package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

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
	if errors.Is(err, fs.ErrNotExist) && s.wasMarked(f) {
		return nil
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

// wasMarked says that f is not there since the keeper is done with it, and that
// the listing which named it is older than that.
func (s *spooldir) wasMarked(f *spoolFile) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marked[f.stream] {
		delete(s.files, f.stream)
	}
	return s.marked[f.stream]
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
