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
	stat    func(dir string) (size, free int64, err error)
	min     int64 // free bytes below which appends are refused
	checked time.Time
	free    int64 // as it was then
	handed  int64 // bytes taken since
	shut    bool  // appends are refused until much more than min is free
}

const (
	spaceEvery  = 100 * time.Millisecond
	spaceBytes  = 8 << 20
	spaceMargin = 16 << 20  // least that is free above min when a shut gate opens
	minFree     = 500 << 20 // Flume's minimumRequiredSpace
	minFreeLeft = 192 << 20 // what memtables, their flush and a compaction need
)

func (g *space) init(dir string, min int64) error {
	g.dir, g.min, g.stat = dir, min, statfs
	size, _, err := g.stat(dir)
	if err != nil {
		return err
	}
	if min == 0 {
		g.min = minFreeOf(size)
	}
	return nil
}

// minFreeOf is what stays free on a volume of size bytes.
func minFreeOf(size int64) int64 { return min(minFree, max(size/20, minFreeLeft)) }

// check refuses w when the volume has little left. Writes that only set and
// delete, or append nothing but raft entries without records, go on to half of that: they are small, and give space back.
func (g *space) check(w *Write) error {
	size, appends := int64(0), false
	for i := range w.Appends {
		if a := &w.Appends[i]; !w.Admitted && (a.Count > 0 || a.Index == 0) {
			size += int64(len(a.Payload))
			appends = true
		}
	}
	if g.handed+size > spaceBytes || time.Since(g.checked) > spaceEvery {
		if err := g.read(); err != nil {
			return err
		}
	}
	if appends {
		if err := g.admit(size); err != nil {
			return err
		}
	}
	if g.free < g.min/2 {
		return g.refusal(g.min / 2)
	}
	g.handed += size
	return nil
}

// take counts size bytes that will be appended, or refuses them.
func (g *space) take(size int64) error {
	if g.handed+size > spaceBytes || time.Since(g.checked) > spaceEvery {
		if err := g.read(); err != nil {
			return err
		}
	}
	if err := g.admit(size); err != nil {
		return err
	}
	g.handed += size
	return nil
}

// look answers as check would for an append.
func (g *space) look() error {
	if err := g.read(); err != nil {
		return err
	}
	return g.admit(0)
}

// admit refuses an append of size bytes that leaves too little. What Badger
// gives back and takes again all the time must not open a gate that is shut:
// who was refused, and asks why, is told.
func (g *space) admit(size int64) error {
	opens := g.min + max(g.min/8, spaceMargin)
	switch left := g.free - g.handed - size; {
	case left < g.min:
		g.shut = true
	case left >= opens:
		g.shut = false
	}
	if g.shut {
		return g.refusal(opens)
	}
	return nil
}

func (g *space) refusal(min int64) error {
	return fmt.Errorf("%w: %s has %d MiB free, writes need %d MiB", ErrNoSpace, g.dir, g.free>>20, min>>20)
}

func (g *space) read() error {
	_, free, err := g.stat(g.dir)
	if err != nil {
		return err
	}
	g.free, g.handed, g.checked = free, 0, time.Now()
	return nil
}

func statfs(dir string) (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}
