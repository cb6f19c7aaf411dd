package segment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/persistence/record"
)

// Options of the segments of a log.
type Options struct {
	Bytes  int64 // a segment is sealed before it grows larger
	Faults Faults
	// State writes down what the state frame of a new segment must hold, and
	// the number of the newest write.
	State func() (meta []byte, write uint64)
}

// Log is the segments of one log. Append and Sync are called by one goroutine
// at a time; reading and unlinking may go on meanwhile.
type Log struct {
	files *Files
	dir   string
	gid   uint32
	opt   Options

	end   Position // of what was written
	fresh bool     // the next frame begins a new segment
	dirty []uint32 // segments written since the last Sync
	made  bool     // a file was created since the last Sync
	index []mark   // of the segment at the end, for its footer
	head  []byte   // headers of the frames being written
	vec   [][]byte // what is being written

	mu   sync.Mutex
	segs []Info // ascending
}

// Info is what is known of one segment.
type Info struct {
	ID   uint32
	Last record.Offset // of its batches; -1 when it holds none
	// Safe says that its state frame is on disk, so that segments before it
	// are not needed any more to go on.
	Safe bool
}

// Open finds the segments of log gid below root. Nothing is read.
func Open(files *Files, root string, gid uint32, opt Options) (*Log, error) {
	return OpenFolder(files, Dir(root, gid), gid, opt)
}

// OpenFolder finds segments of log gid that have a folder of their own. Their
// numbers must not be those of other segments of the log.
func OpenFolder(files *Files, dir string, gid uint32, opt Options) (*Log, error) {
	l := &Log{files: files, dir: dir, gid: gid, opt: opt, fresh: true}
	ids, err := List(l.dir)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		l.segs = append(l.segs, Info{ID: id, Last: -1})
	}
	return l, nil
}

// Dir is the folder of log gid.
func Dir(root string, gid uint32) string {
	return filepath.Join(root, fmt.Sprintf("%08x", gid))
}

const suffix = ".seg"

// List returns the numbers of the segments in dir, ascending; none if there
// is no such folder.
func List(dir string) ([]uint32, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		id, err := strconv.ParseUint(name, 16, 32)
		if err != nil || id == 0 || len(name) != 8 {
			return nil, fmt.Errorf("%s: not the name of a segment", filepath.Join(dir, e.Name()))
		}
		ids = append(ids, uint32(id))
	}
	slices.Sort(ids)
	return ids, nil
}

// Path is the file of segment id in the folder dir.
func Path(dir string, id uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%08x%s", id, suffix))
}

func (l *Log) path(id uint32) string { return Path(l.dir, id) }

// Path is the file of segment id of this log.
func (l *Log) Path(id uint32) string { return l.path(id) }

// Folder is where the segments lie.
func (l *Log) Folder() string { return l.dir }

// Segments are the segments there are, ascending.
func (l *Log) Segments() []Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.segs)
}

// Last is the number of the newest segment, 0 if there is none.
func (l *Log) Last() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segs) == 0 {
		return 0
	}
	return l.segs[len(l.segs)-1].ID
}

// End is the end of what was written.
func (l *Log) End() Position { return l.end }

// Continue sets where the log goes on. fresh makes the next frame begin a new
// segment: what lies behind end is never overwritten.
func (l *Log) Continue(end Position, fresh bool) {
	l.end, l.fresh = end, fresh
}

// SetLast notes the last offset of segment id, learnt from entries or footer.
func (l *Log) SetLast(id uint32, last record.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.segs {
		if l.segs[i].ID == id {
			l.segs[i].Last = max(l.segs[i].Last, last)
		}
	}
}

// SetSafe notes that the state frames of all segments are on disk.
func (l *Log) SetSafe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.segs {
		l.segs[i].Safe = true
	}
}

// Unlink deletes the oldest segments as long as all of their batches lie
// below to and a later segment is safe. The newest one stays.
func (l *Log) Unlink(to record.Offset) (gone int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segs) > 1 && l.segs[0].Last < to && l.segs[1].Safe {
		id := l.segs[0].ID
		if err := Before(l.opt.Faults, OpUnlink, l.path(id)); err != nil {
			return gone, err
		}
		l.files.drop(fileKey{l.gid, id})
		if err := os.Remove(l.path(id)); err != nil {
			return gone, err
		}
		l.segs = slices.Delete(l.segs, 0, 1)
		gone++
	}
	return gone, nil
}

// Remove deletes the whole folder.
func (l *Log) Remove() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segs {
		l.files.drop(fileKey{l.gid, s.ID})
	}
	l.segs = nil
	return os.RemoveAll(l.dir)
}
