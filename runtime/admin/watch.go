package admin

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleWait is how long a file must be left alone before it is read: editors
// and copies write in several steps.
const settleWait = 150 * time.Millisecond

// Watch deploys anew what is read from files whenever a file says something
// else than when it was last read, until ctx ends. Where the system does not
// tell of changes (network file systems), a look every interval finds them.
func (d *Deployments) Watch(ctx context.Context, every time.Duration) {
	w, err := fsnotify.NewWatcher()
	var events chan fsnotify.Event
	var lost chan error
	if err != nil {
		d.log.Warn("file changes are only found by looking", "every", every, "err", err)
	} else {
		defer w.Close()
		events, lost = w.Events, w.Errors
	}
	seen := d.texts()
	follow(w, d.Watched(), d)
	poll := time.NewTicker(every)
	defer poll.Stop()
	settled := time.NewTimer(0) // what changed before the watch began
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if d.concerns(e.Name) {
				settled.Reset(settleWait)
			}
			continue
		case err := <-lost:
			d.log.Warn("file changes may have been missed", "err", err)
		case <-settled.C:
		case <-poll.C:
		}
		seen = d.reloadChanged(ctx, seen)
		follow(w, d.Watched(), d)
	}
}

// follow watches the folders of files: a file that is replaced is a new file,
// which a watch on the old one would not see.
func follow(w *fsnotify.Watcher, watched map[string][]string, d *Deployments) {
	if w == nil {
		return
	}
	have := w.WatchList()
	for _, files := range watched {
		for _, f := range files {
			if dir := folderOf(f); !slices.Contains(have, dir) {
				if err := w.Add(dir); err != nil {
					d.log.Warn("file changes are only found by looking", "dir", dir, "err", err)
				}
			}
		}
	}
}

// folderOf is where changes of path show: itself when it is a folder.
func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Clean(path)
	}
	return filepath.Dir(path)
}

// concerns says whether path is a watched file, or something that a symbolic
// link in its folder may lead to (as Kubernetes replaces a whole folder).
func (d *Deployments) concerns(path string) bool {
	for _, files := range d.Watched() {
		for _, f := range files {
			if folderOf(f) == filepath.Dir(path) {
				return true
			}
		}
	}
	return false
}

// texts are what the watched definitions said when they were read.
func (d *Deployments) texts() map[string][]File {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]File{}
	for name, r := range d.running {
		if r.watched {
			out[name] = r.def.Files
		}
	}
	return out
}

// reloadChanged reloads the definitions whose files differ from seen, and
// returns what it has seen now: a refused form is not tried again until it
// changes.
func (d *Deployments) reloadChanged(ctx context.Context, seen map[string][]File) map[string][]File {
	now := maps.Clone(seen)
	for name, files := range d.Watched() {
		def, err := ReadDefinition(Definition{Name: name}, files...)
		if err != nil {
			if def.Files = []File{{Text: err.Error()}}; !slices.Equal(def.Files, seen[name]) {
				d.refused(name, err)
			}
		} else if last, ok := seen[name]; ok && !slices.Equal(def.Files, last) {
			d.log.Info("file changed", "topology", name)
			d.Reload(ctx, name) // its error is kept beside the topology
		}
		now[name] = def.Files
	}
	return now
}

// ReloadAll reads everything again that came from files, changed or not.
func (d *Deployments) ReloadAll(ctx context.Context) {
	for name := range d.Watched() {
		d.Reload(ctx, name) // its error is kept beside the topology
	}
}
