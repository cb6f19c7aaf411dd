package source

import (
	"log/slog"

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
