package persistence

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoSpace answers writes while the volume is nearly full. A volume that is
// really full would end the process: Badger maps sparse files.
var ErrNoSpace = errors.New("not enough space is left on the volume")

// space is the gate before the volume is full.
type space struct {
	dir     string
	min     int64 // free bytes below which appends are refused
	checked time.Time
	handed  int64 // bytes taken since
	free    int64
}

const (
	spaceEvery  = 100 * time.Millisecond
	spaceBytes  = 8 << 20
	minFree     = 500 << 20 // Flume's minimumRequiredSpace
	minFreeLeft = 192 << 20 // what memtables, their flush and a compaction need
)

func (g *space) init(dir string, min int64) error {
	g.dir, g.min = dir, min
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if min == 0 {
		g.min = minFreeOf(int64(st.Blocks) * int64(st.Bsize))
	}
	return nil
}

// minFreeOf is what stays free on a volume of size bytes.
func minFreeOf(size int64) int64 { return min(minFree, max(size/20, minFreeLeft)) }

// check refuses w when the volume has little left. Writes that only set and
// delete go on to half of that: they are small, and give space back.
func (g *space) check(w *Write) error {
	for i := range w.Appends {
		g.handed += int64(len(w.Appends[i].Payload))
	}
	if g.handed > spaceBytes || time.Since(g.checked) > spaceEvery {
		if err := g.read(); err != nil {
			return err
		}
	}
	if len(w.Appends) > 0 && g.free-g.handed < g.min {
		return g.refusal(g.min)
	}
	if g.free < g.min/2 {
		return g.refusal(g.min / 2)
	}
	return nil
}

// look answers as check would for an append.
func (g *space) look() error {
	if err := g.read(); err != nil {
		return err
	}
	if g.free < g.min {
		return g.refusal(g.min)
	}
	return nil
}

func (g *space) refusal(min int64) error {
	return fmt.Errorf("%w: %s has %d MiB free, writes need %d MiB", ErrNoSpace, g.dir, g.free>>20, min>>20)
}

func (g *space) read() error {
	var st unix.Statfs_t
	if err := unix.Statfs(g.dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", g.dir, err)
	}
	g.free = int64(st.Bavail) * int64(st.Bsize)
	g.checked, g.handed = time.Now(), 0
	return nil
}
