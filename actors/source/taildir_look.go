package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/persistence/record"
)

// look lists the directories, finds what is new, grown, renamed or gone, and
// marks what has to be read.
func (t *taildir) look(ctx context.Context, all bool) error {
	t.relist = t.relist || all
	if err := t.list(); err != nil {
		return err
	}
	return t.dropOrphans(ctx)
}

// list brings files, order and byPath up to date. It emits nothing.
func (t *taildir) list() error {
	cached := t.cachedMatching && !t.relist
	t.relist, t.lastLook = false, time.Now()
	var all []found
	for _, g := range t.groups {
		var err error
		if all, err = g.list(all, cached); err != nil {
			return fmt.Errorf("file group %s: %w", g.name, missingDir(g.dir, err))
		}
		for _, dir := range g.directories() {
			t.watch.add(dir)
		}
	}
	slices.SortStableFunc(all, func(x, y found) int {
		if c := x.mtime.Compare(y.mtime); c != 0 {
			return c
		}
		return strings.Compare(x.path, y.path)
	})
	here := map[string]fileID{}
	for _, m := range all {
		here[m.path] = m.id
	}
	first := len(t.files) == 0 && t.order == nil
	now := time.Now()
	var order []*tailFile
	seen := map[*tailFile]bool{}
	for _, m := range all {
		f := t.files[m.id]
		switch {
		case f == nil:
			f = t.discover(m, first)
		case seen[f]: // two names, or two groups
			continue
		case f.path != m.path && here[f.path] != f.id:
			t.renamed(f, m)
		}
		seen[f] = true
		f.listed, f.group = true, m.group
		if m.link {
			t.watch.add(m.path)
		}
		if m.size != f.pos || !m.mtime.Equal(f.mtime) {
			f.dirty = true
		}
		order = append(order, f)
	}
	for _, f := range t.order {
		if !seen[f] {
			t.unlist(f, now)
			order = append(order, f)
		}
	}
	t.order = order
	clear(t.byPath)
	for _, f := range order {
		if f.listed {
			t.byPath[f.path] = f
		}
		if f.dirty && f.f == nil && t.opened < t.openMax {
			t.open(f) // an error comes again when the file has its turn
		}
	}
	return nil
}

func missingDir(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory %s does not exist", dir)
	}
	return err
}

// discover begins to follow a file. At the start of the source a file nothing
// is known of may be taken from its end.
func (t *taildir) discover(m found, starting bool) *tailFile {
	f := &tailFile{id: m.id, path: m.path, group: m.group, average: 200, grew: time.Now(), dirty: true, listed: true, opened: &t.opened}
	t.files[m.id] = f
	if starting && t.skipToEnd && m.size > 0 && !t.known(f) {
		f.pos, f.scanned = m.size, m.size
	}
	return f
}

// renamed follows a file to its new name. Flume reads it again there.
func (t *taildir) renamed(f *tailFile, m found) {
	t.log.Info("file was renamed; reading goes on", "from", f.path, "to", m.path, "at", f.pos)
	f.path = m.path
	if f.stream == "" {
		return
	}
	if t.compat {
		// A new life that begins at 0; the stored position of the old one goes
		// with the next look at the file.
		f.print.sum++
		f.mtime = time.Time{}
		f.dirty = true
		return
	}
	f.remember()
	t.book.set(f.stream, position{Inode: f.id.inode, Path: f.path}, true)
}

// unlist handles a file that no longer matches: deleted, or renamed away. It
// is read to its end while it is open, and looked for under another name when
// it is not.
func (t *taildir) unlist(f *tailFile, now time.Time) {
	f.dirty = true
	if f.listed {
		f.listed, f.unlisted = false, now
		t.watch.dropped(f.path)
		if f.stream != "" {
			t.book.set(f.stream, position{Inode: f.id.inode, Path: f.path}, false)
		}
	}
	if f.f == nil {
		path, ok := findInode(filepath.Dir(f.path), f.id)
		if !ok {
			f.dirty = false
			return
		}
		f.path = path
	}
}

// known says whether anything is remembered of f.
func (t *taildir) known(f *tailFile) bool {
	_, ok := t.entryOf(f)
	return ok || t.remembered(f.id.inode)
}

// remembered says whether anything is stored of the inode, be it of an earlier
// file.
func (t *taildir) remembered(inode uint64) bool {
	for stream := range t.stored {
		if id, _, _ := parseStream(stream); id.inode == inode {
			return true
		}
	}
	return false
}

// entryOf is the position file's entry of f: inode and path have to agree.
func (t *taildir) entryOf(f *tailFile) (position, bool) {
	for _, p := range t.listed[f.id.inode] {
		if p.Path == f.path {
			return p, true
		}
	}
	return position{}, false
}

// identify finds out what is remembered of f, and gives it its stream.
func (t *taildir) identify(ctx context.Context, f *tailFile) error {
	skipped := f.pos > 0
	stream, at := t.storedOf(f)
	entry, inFile := t.entryOf(f)
	delete(t.listed, f.id.inode)
	switch {
	case !inFile:
	case t.foreign && (stream == "" || entry.Pos != int64(at[0].Pos)),
		!t.foreign && stream == "" && !t.remembered(f.id.inode):
		// Flume starts again at 0 where its position lies behind the end.
		if entry.Pos > f.size {
			entry.Pos = 0
		}
		f.pos, stream = entry.Pos, ""
	}
	if stream != "" {
		delete(t.stored, stream)
		f.stream = stream
		_, f.generation, _ = parseStream(stream)
		next, ahead := resume(at)
		f.pos, f.bounds = int64(next), ahead
	} else {
		f.stream = t.freshStream(f)
	}
	f.scanned = f.pos
	f.remember()
	t.book.forget(f.emptyName())
	t.book.set(f.stream, position{Inode: f.id.inode, Pos: f.pos, Path: f.path}, f.listed)
	t.log.Debug("file is followed", "file", f.path, "stream", f.stream, "at", f.pos)
	if skipped && stream == "" {
		return t.send(ctx, record.NewSlab(0), f.checkpoint())
	}
	return nil
}

// storedOf finds the stored checkpoints of the file: its inode, and the same
// beginning. Device numbers may change with a boot; then the path has to agree.
func (t *taildir) storedOf(f *tailFile) (stream string, at []Checkpoint) {
	best := -1
	for s, list := range t.stored {
		id, generation, _ := parseStream(s)
		d, print, err := parseTailData(list[0].Data)
		if err != nil || id.inode != f.id.inode || generation <= best {
			continue
		}
		if id.dev != f.id.dev && d.Path != f.path {
			continue
		}
		have, err := printOf(f.f, print.n)
		if err == nil && have == print && list[0].Pos <= uint64(f.size) {
			best, stream, at = generation, s, list
		}
	}
	return stream, at
}

// freshStream is a name that no stored stream and no earlier life of the inode
// has: what is emitted under a stored one counts as stored up to its position.
func (t *taildir) freshStream(f *tailFile) string {
	if least, ok := t.lives[f.id.inode]; ok {
		f.generation = max(f.generation, least)
		t.lives[f.id.inode] = f.generation + 1
	}
	return f.streamName()
}

// dropOrphans handles stored streams whose file does not match any more: one
// that was renamed away while nobody looked is read to its end; what stays
// lost for the idle time is forgotten.
func (t *taildir) dropOrphans(ctx context.Context) error {
	late := time.Since(t.started) >= t.idle
	for stream, at := range t.stored {
		id, _, _ := parseStream(stream)
		d, _, err := parseTailData(at[0].Data)
		if err == nil && t.files[id] == nil {
			t.adopt(id, d.Path)
		}
		// While the file is known, its stream is settled when it is identified.
		if f := t.files[id]; late && (f == nil || f.stream != "") {
			delete(t.stored, stream)
			t.log.Info("file is gone; its position is forgotten", "file", d.Path)
			if err := t.forgetStream(ctx, stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt follows a file that was renamed away from the pattern, to its end.
func (t *taildir) adopt(id fileID, path string) {
	var group *tailGroup
	for _, g := range t.groups {
		if filepath.Dir(path) == g.dir || g.recursive && strings.HasPrefix(path, g.dir+"/") {
			group = g
			break
		}
	}
	if group == nil {
		return
	}
	now, ok := findInode(filepath.Dir(path), id)
	if !ok {
		return
	}
	info, err := os.Stat(now)
	if err != nil {
		return
	}
	t.log.Info("file was renamed away from its pattern; it is read to its end", "from", path, "to", now)
	f := t.discover(found{path: now, id: id, size: info.Size(), group: group}, false)
	f.listed, f.unlisted = false, time.Now()
	t.order = append([]*tailFile{f}, t.order...)
}
