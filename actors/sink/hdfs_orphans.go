package sink

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"time"
)

// orphansMost bounds how many entries below the sink's directory are looked at
// for files that nobody closed.
const orphansMost = 200_000

// orphanAge is for how long before the start nobody may have written to an
// orphan: a file is not locked in the moment in which it is made.
const orphanAge = time.Second

var errEnough = errors.New("enough")

// adoptOrphans gives the files that a killed Flume left in use their final
// names; Flume itself never does. A file that somebody has locked, as every
// sink of sluice does while it writes, and one of which this sink's state tells
// are left alone, and so is a name that is not made as this sink makes them.
func (h *hdfs) adoptOrphans(ctx context.Context) {
	if h.inUsePrefix == "" && h.inUseSuffix == "" {
		return // a file in use looks like any other
	}
	root, err := os.OpenRoot(h.dir)
	if err != nil {
		return // nothing is there yet
	}
	defer root.Close()
	mine := h.recordedPaths()
	looked := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if looked++; looked > orphansMost || ctx.Err() != nil {
			return errEnough
		}
		if err != nil {
			return nil // a folder that cannot be read, or is gone
		}
		if final := h.finalName(name); final != "" && d.Type().IsRegular() && !mine[name] {
			h.adopt(root, name, final)
		}
		return nil
	})
	if errors.Is(err, errEnough) && ctx.Err() == nil {
		h.env.Log.Warn("not all folders were searched for files left in use", "path", h.dir, "entries", orphansMost)
	}
}

// recordedPaths are the files of this sink's state: files takes care of them.
func (h *hdfs) recordedPaths() map[string]bool {
	mine := map[string]bool{}
	for key := range h.env.State {
		if rec, err := decodeFileRecord(h.env.State[key]); err == nil && rec.Dir == h.dir {
			mine[rec.Path] = true
		}
	}
	return mine
}

var numbered = regexp.MustCompile(`\.\d{10,}$`)

// finalName is the final name of a file in use, "" for any other.
func (h *hdfs) finalName(name string) string {
	folder, base := path.Split(name)
	base, prefixed := strings.CutPrefix(base, h.inUsePrefix)
	base, suffixed := strings.CutSuffix(base, h.inUseSuffix)
	stem, ended := strings.CutSuffix(base, h.suffix)
	if !prefixed || !suffixed || !ended || !numbered.MatchString(stem) {
		return ""
	}
	literal, _, _ := strings.Cut(path.Base(h.filePrefix), "%")
	if !strings.HasPrefix(stem, literal) {
		return ""
	}
	return folder + base
}

func (h *hdfs) adopt(root *os.Root, name, final string) {
	f, err := root.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || lockedElsewhere(f) || info.ModTime().After(h.started.Add(-orphanAge)) {
		return
	}
	log := h.env.Log.With("file", path.Join(h.dir, name), "size", info.Size())
	if info.Size() == 0 {
		if err := root.Remove(name); err == nil {
			log.Info("empty file left in use is removed")
		}
		return
	}
	dirs, err := renameFree(root, name, final)
	if err == nil {
		err = syncDirs(dirs)
	}
	if err != nil {
		log.Warn("file left in use cannot be renamed", "err", err)
		return
	}
	log.Info("file left in use by an earlier agent gets its final name", "name", final)
}
