package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// position is an entry of Flume's position file.
type position struct {
	Inode uint64
	Pos   int64
	Path  string
}

// parsePositions reads the text of a position file. Fields of other names are
// passed over, as is anything a later Flume may add.
func parsePositions(text []byte) ([]position, error) {
	var entries []struct {
		Inode *uint64 `json:"inode"`
		Pos   *int64  `json:"pos"`
		File  *string `json:"file"`
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	all := make([]position, 0, len(entries))
	for i, e := range entries {
		if e.Inode == nil || e.Pos == nil || e.File == nil {
			return nil, fmt.Errorf("entry %d lacks inode, pos or file", i+1)
		}
		if *e.Pos < 0 {
			return nil, fmt.Errorf("entry %d has the position %d", i+1, *e.Pos)
		}
		all = append(all, position{Inode: *e.Inode, Pos: *e.Pos, Path: *e.File})
	}
	return all, nil
}

// appendPositions appends the text of a position file: one line, Flume's order
// of fields.
func appendPositions(text []byte, all []position) []byte {
	text = append(text, '[')
	for i, p := range all {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"inode":`...)
		text = strconv.AppendUint(text, p.Inode, 10)
		text = append(text, `,"pos":`...)
		text = strconv.AppendInt(text, p.Pos, 10)
		text = append(text, `,"file":`...)
		path, _ := json.Marshal(p.Path) // a string can always be written
		text = append(text, path...)
		text = append(text, '}')
	}
	return append(text, ']')
}

// loadPositions reads the position file and says whether it is foreign:
// written by somebody else since our last run. A damaged file is kept aside
// under another name and counts as none.
func loadPositions(path string, wrote *ownWrites, log *slog.Logger) (all []position, foreign bool) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		log.Warn("position file cannot be read; reading goes on from what sluice stored itself", "err", err)
		return nil, false
	}
	all, err = parsePositions(text)
	if err != nil {
		aside := path + ".damaged"
		if os.Rename(path, aside) != nil {
			aside = "nowhere"
		}
		log.Error("position file is damaged; reading goes on from what sluice stored itself", "file", path, "err", err, "kept as", aside)
		return nil, false
	}
	foreign = !wrote.has(text)
	if foreign && len(all) > 0 {
		log.Info("position file was written by somebody else; its positions hold", "file", path, "entries", len(all))
	}
	return all, foreign
}

// positionBook knows how far each file is settled and keeps the position file
// up to date. Run's goroutine says what is read, Settled what is safe, and a
// goroutine of its own writes.
type positionBook struct {
	path     string
	interval time.Duration
	wrote    *ownWrites
	log      *slog.Logger

	mu      sync.Mutex
	files   map[string]*bookEntry // by stream
	text    []byte                // as last written
	failing bool
	emitted int // batches
	settled int
	stopped bool
	changed chan struct{}
}

type bookEntry struct {
	position
	listed bool // its file matches now
}

func newPositionBook(path string, interval time.Duration, wrote *ownWrites, log *slog.Logger) *positionBook {
	return &positionBook{
		path:     path,
		interval: max(interval, time.Second),
		wrote:    wrote,
		log:      log,
		files:    map[string]*bookEntry{},
		changed:  make(chan struct{}, 1),
	}
}

// set notes a file's place and whether it belongs into the position file. The
// settled position stays when the stream is known.
func (b *positionBook) set(stream string, p position, listed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.files[stream]
	if e == nil {
		e = &bookEntry{position: p}
		b.files[stream] = e
	}
	e.Inode, e.Path, e.listed = p.Inode, p.Path, listed
	b.notify()
}

func (b *positionBook) forget(stream string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.files, stream)
	b.notify()
}

// taking says that a batch is about to be emitted.
func (b *positionBook) taking() {
	b.mu.Lock()
	b.emitted++
	b.mu.Unlock()
}

// refused takes taking back.
func (b *positionBook) refused() {
	b.mu.Lock()
	b.emitted--
	b.mu.Unlock()
}

// settle notes that everything of the stream before at is safe. After the end
// of Run it writes by itself, once nothing is on its way any more.
func (b *positionBook) settle(at Checkpoint) {
	b.mu.Lock()
	b.settled++
	if e := b.files[at.Stream]; e != nil && !at.Gone {
		e.Pos = int64(at.Pos)
	}
	last := b.stopped && b.settled >= b.emitted
	b.notify()
	b.mu.Unlock()
	if last {
		b.write()
	}
}

// notify wakes the writer. The caller holds mu.
func (b *positionBook) notify() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// run writes the file when something has changed, but not more often than the
// interval says, until stop is closed.
func (b *positionBook) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			b.mu.Lock()
			b.stopped = true
			b.mu.Unlock()
			b.write()
			return
		case <-b.changed:
		}
		b.write()
		pause := time.NewTimer(b.interval)
		select {
		case <-stop:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// write writes the file if it would change.
func (b *positionBook) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []position
	for _, e := range b.files {
		if e.listed {
			all = append(all, e.position)
		}
	}
	slices.SortFunc(all, func(x, y position) int { return strings.Compare(x.Path, y.Path) })
	text := appendPositions(nil, all)
	if bytes.Equal(text, b.text) {
		return
	}
	err := b.wrote.write(b.path, text)
	switch {
	case err == nil:
		b.text, b.failing = text, false
	case !b.failing:
		b.failing = true
		b.log.Error("position file cannot be written; sluice's own positions are safe, but Flume could not take over", "err", err)
	}
}

// expandHome replaces a leading ~ by the user's home directory.
func expandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("expand %s: %w", path, err)
	}
	return filepath.Join(home, rest), nil
}
