package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// Settled notes what is safe; the keeper acts on it, or, after the end of Run,
// Settled itself.
func (s *spooldir) Settled(at Checkpoint) {
	s.mu.Lock()
	s.settled++
	var d spoolData
	f := s.files[at.Stream]
	if f != nil {
		if at.Data != nil {
			_ = json.Unmarshal(at.Data, &d) // our own, of this run
		}
		offset := int64(at.Pos)
		if d.Flume > 0 {
			offset = d.Flume
		}
		if d.Done || d.Aside {
			s.done = append(s.done, f)
		} else {
			s.at = flumeMeta{file: filepath.Join(s.dir, f.rel), offset: offset}
		}
	}
	stopped, last := s.stopped, s.settled >= s.emitted
	s.mu.Unlock()
	if !stopped {
		s.wake()
		return
	}
	s.markDone()
	if last {
		s.writeMeta()
		s.root.Close()
	}
}

func (s *spooldir) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// finished hands a file that needs no more reading to the keeper.
func (s *spooldir) finished(f *spoolFile) {
	s.mu.Lock()
	s.done = append(s.done, f)
	s.mu.Unlock()
	s.wake()
}

// keep marks what is done, as it is settled, and writes Flume's file of
// progress at most once a second, until stop is closed.
func (s *spooldir) keep(ctx context.Context, out Out, stop <-chan struct{}) {
	meta := time.NewTicker(time.Second)
	defer meta.Stop()
	for {
		select {
		case <-stop:
			s.lastRites()
			return
		case <-meta.C:
			s.writeMeta()
		case <-s.kick:
		}
		for _, f := range s.markDone() {
			// An error is ctx's: the next start sees that the file is gone.
			if s.emit(ctx, out, record.NewSlab(0), Checkpoint{Stream: f.stream, Gone: true}) != nil {
				break
			}
		}
	}
}

// lastRites marks what is done by now; what is settled later is Settled's.
func (s *spooldir) lastRites() {
	for {
		s.markDone()
		s.writeMeta()
		s.mu.Lock()
		s.stopped = len(s.done) == 0
		stopped, last := s.stopped, s.settled >= s.emitted
		s.mu.Unlock()
		if stopped {
			if last {
				s.root.Close()
			}
			return
		}
	}
}

// markDone does with all files that are settled what the policies say, and
// answers those whose streams are at an end.
func (s *spooldir) markDone() (gone []*spoolFile) {
	s.mu.Lock()
	done := s.done
	s.done = nil
	s.mu.Unlock()
	for _, f := range done {
		ended := s.mark(f)
		s.mu.Lock()
		if s.at.file == filepath.Join(s.dir, f.rel) {
			s.at = flumeMeta{}
		}
		if ended {
			delete(s.files, f.stream)
			s.noteMarked(f.stream)
			if s.begun[f.stream] {
				s.ended[f.stream]++
			}
			gone = append(gone, f)
		}
		none := s.at.file == ""
		s.mu.Unlock()
		if none {
			os.Remove(s.metaPath())
			s.metaWritten = flumeMeta{}
		}
	}
	return gone
}

// markedMax bounds what is remembered of files that were marked lately.
const markedMax = 1024

// noteMarked remembers that the keeper is done with a stream: a listing made a
// moment before may still name its file. s.mu is held.
func (s *spooldir) noteMarked(stream string) {
	if len(s.marked) >= markedMax {
		clear(s.marked)
	}
	s.marked[stream] = true
}

// mark marks one file as done. It answers false when the file has to stay as
// it is and must not be read again.
func (s *spooldir) mark(f *spoolFile) bool {
	err := f.aside
	if err == nil {
		err = s.complete(f)
	}
	switch {
	case err == nil:
		s.log.Info("file is done", "file", f.rel)
		return true
	case errors.Is(err, fs.ErrNotExist):
		s.log.Warn("file is done and was taken away by somebody else", "file", f.rel)
		return true
	case s.compat:
		select {
		case s.fatal <- fmt.Errorf("%s: %w", f.rel, err):
		default:
		}
		return false
	}
	return s.moveAside(f, err)
}

// complete does what the policies say with a file that was read to its end.
func (s *spooldir) complete(f *spoolFile) error {
	info, err := s.root.Lstat(f.rel)
	if err != nil {
		return err
	}
	if id, ok := idOf(info); !ok || id != f.id {
		return fmt.Errorf("another file has its name: %w", fs.ErrNotExist)
	}
	if !f.is(info) {
		return errChanged
	}
	switch {
	case s.delete:
		return s.root.Remove(f.rel)
	case s.track:
		path := s.trackerPath(f.rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		marker, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(marker.Close(), syncDir(filepath.Dir(path)))
	}
	if _, err := s.root.Lstat(f.rel + s.suffix); err == nil {
		return fmt.Errorf("%s exists: the name was used before", f.rel+s.suffix)
	}
	return s.root.Rename(f.rel, f.rel+s.suffix)
}

// moveAside moves a file that breaks the rules of the directory out of the way:
// where Flume would stop for good, the source goes on without it.
func (s *spooldir) moveAside(f *spoolFile, why error) bool {
	s.counters.GenericProcessingFail.Add(1)
	aside := filepath.Join(s.trackerDir, "aside")
	err := os.MkdirAll(aside, 0o755)
	to := freeName(filepath.Join(aside, strings.ReplaceAll(f.rel, "/", "_")))
	if err == nil {
		err = os.Rename(filepath.Join(s.dir, f.rel), to)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("file cannot be read and was taken away by somebody else", "file", f.rel, "why", why)
		return true
	}
	if err != nil {
		s.mu.Lock()
		f.aside = why
		s.mu.Unlock()
		s.log.Error("file breaks the rules of the directory; it stays where it is and is not read", "file", f.rel, "why", why, "err", err)
		return false
	}
	s.log.Error("file breaks the rules of the directory; it was moved aside", "file", f.rel, "why", why, "to", to)
	return true
}

// writeMeta writes Flume's file of progress if it would change.
func (s *spooldir) writeMeta() {
	s.mu.Lock()
	at := s.at
	s.mu.Unlock()
	if at.file == "" || at == s.metaWritten {
		return
	}
	text, err := at.encode()
	if err == nil {
		err = s.wrote.write(s.metaPath(), text)
	}
	if err != nil {
		s.once("meta", "Flume's file of progress cannot be written; sluice's own positions are safe", "err", err)
		return
	}
	s.metaWritten = at
}
