package source

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/actors/source/interceptor"
	"github.com/sluicehq/sluice/topologies"
)

// fileID is what a file is, whatever it is called.
type fileID struct{ dev, inode uint64 }

func idOf(info fs.FileInfo) (fileID, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{dev: uint64(st.Dev), inode: st.Ino}, true
}

// tailGroup is one file group: a directory and a pattern for the names in it.
type tailGroup struct {
	name      string
	dir       string
	match     interceptor.Matcher
	recursive bool
	headers   []header // of every record

	listings map[string]*listing // by directory
	refused  map[string]bool     // directories below that cannot be read
	log      *slog.Logger
	counters *Counters
}

type header struct{ key, value string }

// listing is what matched in a directory when it was last read.
type listing struct {
	mtime time.Time // of the directory
	read  time.Time
	names []listed
	dirs  []string
}

// listed is a directory's entry that matches by name.
type listed struct {
	path string
	link bool // a symbolic link: changes of its target are not events of the directory
}

// found is a file that matches.
type found struct {
	path  string
	id    fileID
	size  int64
	mtime time.Time
	link  bool
	group *tailGroup
}

func newTailGroup(settings topologies.Settings, name string, env Env) (*tailGroup, error) {
	property := "filegroups." + name
	pattern := settings.String(property)
	if pattern == "" {
		return nil, fmt.Errorf("%s: the file group %s needs a pattern: set %s", settings.Name(), name, property)
	}
	if !filepath.IsAbs(pattern) {
		return nil, fmt.Errorf("%s: %s: %q is no absolute path", settings.Name(), property, pattern)
	}
	// Only the last element is a pattern; a slash inside it is none.
	cut := strings.LastIndexByte(pattern, '/')
	match, err := interceptor.CompileJava(pattern[cut+1:])
	if err != nil {
		return nil, fmt.Errorf("%s: %s: the file name's pattern: %w", settings.Name(), property, err)
	}
	g := &tailGroup{
		name:      name,
		dir:       filepath.Clean(pattern[:cut+1]),
		match:     match,
		recursive: settings.Bool("recursive"),
		listings:  map[string]*listing{},
		refused:   map[string]bool{},
		log:       env.Log,
		counters:  env.Counters,
	}
	for _, key := range settings.Keys("headers." + name + ".") {
		g.headers = append(g.headers, header{key, settings.String("headers." + name + "." + key)})
	}
	return g, nil
}

// list appends the files that match now. With cached, a directory whose time
// has not changed is not read again.
func (g *tailGroup) list(all []found, cached bool) ([]found, error) {
	return g.listDir(all, g.dir, cached)
}

func (g *tailGroup) listDir(all []found, dir string, cached bool) ([]found, error) {
	l, err := g.read(dir, cached)
	if err != nil {
		return all, err
	}
	for _, e := range l.names {
		info, err := os.Stat(e.path)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since, a directory, or nothing that can be tailed
		}
		id, ok := idOf(info)
		if !ok {
			continue
		}
		all = append(all, found{path: e.path, id: id, size: info.Size(), mtime: info.ModTime(), link: e.link, group: g})
	}
	for _, sub := range l.dirs {
		if all, err = g.listDir(all, sub, cached); err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.unread(sub, err) // the others are read all the same
		} else {
			delete(g.refused, sub) // it can be read, or has vanished
		}
	}
	return all, nil
}

// refusedMax bounds how many directories are remembered.
const refusedMax = 1000

// unread counts that a directory below cannot be read, and says so once.
func (g *tailGroup) unread(dir string, err error) {
	g.counters.EventReadFail.Add(1)
	if g.refused[dir] || len(g.refused) >= refusedMax {
		return
	}
	g.refused[dir] = true
	g.log.Error("a directory cannot be read; its files wait", "directory", dir, "group", g.name, "err", err)
}

// read lists a directory, or answers the listing it has: a directory's time
// changes with its names, but only as finely as the file system counts.
func (g *tailGroup) read(dir string, cached bool) (*listing, error) {
	info, err := os.Stat(dir)
	if err != nil {
		delete(g.listings, dir)
		return nil, err
	}
	if l := g.listings[dir]; cached && l != nil && l.mtime.Equal(info.ModTime()) && l.read.Sub(l.mtime) > time.Second {
		return l, nil
	}
	l := &listing{mtime: info.ModTime(), read: time.Now()}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if g.recursive {
				l.dirs = append(l.dirs, path)
			}
		case g.matches(e.Name()):
			l.names = append(l.names, listed{path, e.Type()&fs.ModeSymlink != 0})
		}
	}
	g.listings[dir] = l
	return l, nil
}

// matches says whether a file's name matches. A pattern that takes too long to
// be matched does not.
func (g *tailGroup) matches(name string) bool {
	ok, err := g.match.Full([]byte(name))
	return ok && err == nil
}

// directories are all directories that were read.
func (g *tailGroup) directories() []string {
	var all []string
	for dir := range g.listings {
		all = append(all, dir)
	}
	return all
}

// findInode looks for a file in dir whatever its name is: one that was renamed
// away from the pattern may still hold unread lines.
func findInode(dir string, id fileID) (path string, ok bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		if have, ok := idOf(info); ok && have == id {
			return filepath.Join(dir, e.Name()), true
		}
	}
	return "", false
}
