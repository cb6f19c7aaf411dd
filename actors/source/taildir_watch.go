package source

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

// tailWatch hears of changes from the kernel. It is a hint only: everything is
// found by looking, too, just later. While nobody listens, the kernel folds
// events together.
type tailWatch struct {
	watcher *fsnotify.Watcher // nil where the kernel refused
	paths   map[string]bool
	log     *slog.Logger
	failing bool
}

func newTailWatch(log *slog.Logger) *tailWatch {
	w := &tailWatch{paths: map[string]bool{}, log: log}
	var err error
	if w.watcher, err = fsnotify.NewWatcher(); err != nil {
		w.failed(err)
	}
	return w
}

// add watches a directory, or the target of a link.
func (w *tailWatch) add(path string) {
	if w.watcher == nil || w.paths[path] {
		return
	}
	if err := w.watcher.Add(path); err != nil {
		w.failed(err)
		return
	}
	w.paths[path] = true
}

// dropped notes that path is gone, so that it can be added again.
func (w *tailWatch) dropped(path string) { delete(w.paths, path) }

func (w *tailWatch) failed(err error) {
	if !w.failing {
		w.failing = true
		w.log.Warn("the kernel does not tell of changed files; they are found by looking every now and then", "err", err)
	}
}

func (w *tailWatch) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Events
}

func (w *tailWatch) errors() <-chan error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Errors
}

func (w *tailWatch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}

// wait sleeps until something may have changed.
func (t *taildir) wait(ctx context.Context) error {
	t.polls++
	pause := min(time.Duration(t.polls)*t.backoffStep, t.backoffMax)
	now := time.Now()
	for _, f := range t.order {
		if f.f != nil || !f.listed {
			pause = min(pause, f.quietSince().Add(t.idle).Sub(now))
		}
		if !f.listed && f.f != nil { // no event tells of it
			pause = min(pause, lookInterval)
		}
	}
	timer := time.NewTimer(max(pause, 2*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
		return t.look(ctx, false)
	case err := <-t.watch.errors():
		t.log.Debug("events were lost; the directories are looked at", "err", err)
		t.relist = true
	case e := <-t.watch.events():
		t.heard(e)
		if !sleep(ctx, gather-time.Since(t.lastWake)) {
			return nil
		}
		t.lastWake = time.Now()
	}
	for range 4096 {
		select {
		case e := <-t.watch.events():
			t.heard(e)
			continue
		default:
		}
		break
	}
	if t.relist || time.Since(t.lastLook) > lookInterval {
		return t.look(ctx, t.relist)
	}
	return nil
}

// heard notes what an event may mean.
func (t *taildir) heard(e fsnotify.Event) {
	if e.Has(fsnotify.Create) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Remove) {
		t.relist = true
		t.watch.dropped(e.Name)
	}
	if f := t.byPath[e.Name]; f != nil && e.Has(fsnotify.Write) {
		f.dirty = true
	}
}
