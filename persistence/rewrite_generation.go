package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// rewritten is what a log knows of that.
type rewritten struct {
	gen       atomic.Pointer[generation] // nil: the log is as it was written
	rewriting atomic.Bool
}

// generation is the entries of a log below an offset, rewritten.
type generation struct {
	number uint32
	to     record.Offset // entries below lie in it
	segs   *segment.Log  // of its payloads; numbered from generationSegments on
}

const (
	// generationSegments is added to the numbers of segments that belong to a
	// generation: a place says so which of the two logs of segments it is in.
	generationSegments = 1 << 31

	generationSize = 21
)

// generationKey is where the log says which generation counts.
func generationKey(gid uint32) []byte { return logKey(gid, 'r') }

// unfinishedKey is there while a generation is being written, and names it.
func unfinishedKey(gid uint32) []byte { return logKey(gid, 'u') }

// generationPrefix is that of the entries of a generation.
func generationPrefix(gid, number uint32) []byte {
	return binary.BigEndian.AppendUint32(logKey(gid, 'w'), number)
}

func (g *generation) entryKey(gid uint32, last record.Offset) []byte {
	return appendOffset(generationPrefix(gid, g.number), last)
}

func (g *generation) encode() []byte {
	b := binary.BigEndian.AppendUint32([]byte{1}, g.number)
	b = appendOffset(b, g.to)
	b = binary.BigEndian.AppendUint32(b, max(g.segs.Last(), g.segs.End().Segment))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, segment.Table))
}

func decodeGeneration(v []byte) (g generation, last uint32, err error) {
	if len(v) != generationSize || v[0] != 1 || crc32.Checksum(v[:generationSize-4], segment.Table) != binary.BigEndian.Uint32(v[generationSize-4:]) {
		return g, 0, fmt.Errorf("the generation that counts: %d bytes, or their checksum", len(v))
	}
	g.number, g.to = binary.BigEndian.Uint32(v[1:]), offsetOf(v[5:13])
	return g, binary.BigEndian.Uint32(v[13:]), nil
}

// generationDir is where the segments of a generation lie.
func (l *Log) generationDir(number uint32) string {
	return generationFolder(l.segs.Folder(), number)
}

func generationFolder(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("g%08x", number))
}

// openGeneration opens the segments of generation number; new ones come behind
// last.
func (l *Log) openGeneration(g *generation, last uint32) (err error) {
	g.segs, err = segment.OpenFolder(l.s.files, l.generationDir(g.number), l.gid, segment.Options{
		Bytes:  l.s.opt.SegmentBytes,
		Faults: l.s.opt.Faults,
		State:  l.stateFrame,
	})
	if err == nil {
		g.segs.Continue(segment.Position{Segment: max(last, generationSegments)}, true)
	}
	return err
}

// loadGeneration learns at start which generation counts.
func (l *Log) loadGeneration() error {
	v, ok, err := l.s.get(generationKey(l.gid))
	if err != nil || !ok {
		return err
	}
	g, last, err := decodeGeneration(v)
	if err != nil && l.s.repair != nil {
		return nil // its batches are looked for in its segments
	}
	if err != nil {
		return l.damaged(0, l.Next(), err.Error())
	}
	if err := l.openGeneration(&g, last); err != nil {
		return err
	}
	for _, info := range g.segs.Segments() {
		if end, ok, err := segment.ReadFooter(g.segs.Path(info.ID)); err != nil {
			return err
		} else if ok {
			g.segs.SetLast(info.ID, end)
		} else {
			g.segs.SetLast(info.ID, g.to-1)
		}
	}
	g.segs.SetSafe()
	l.gen.Store(&g)
	return nil
}

// Rewritten is where the last rewriting of the log ended; 0 if there was none.
func (l *Log) Rewritten() record.Offset {
	if g := l.gen.Load(); g != nil {
		return g.to
	}
	return 0
}

// segsOf is where the segment with this number lies.
func (l *Log) segsOf(id uint32) *segment.Log {
	if g := l.gen.Load(); g != nil && rewrittenSegment(id) {
		return g.segs
	}
	return l.segs
}

// rewrittenSegment says whether the segment with this number is a generation's.
func rewrittenSegment(id uint32) bool { return id >= generationSegments }

// scanStored gives the keys and values of the entries from the one that holds
// from on, those of generation g first.
func (l *Log) scanStored(g *generation, from record.Offset, fn func(k, v []byte) error) error {
	if g.holds(from) {
		if err := l.s.scan(generationPrefix(l.gid, g.number), g.entryKey(l.gid, from), fn); err != nil {
			return err
		}
		from = g.to
	}
	return l.s.scan(logKey(l.gid, 'o'), entryKey(l.gid, from), fn)
}

// lastBefore is the last entry that ends before to; a nil key: there is none.
func (l *Log) lastBefore(to record.Offset) (k, v []byte, err error) {
	g := l.gen.Load()
	if !g.holds(to - 1) {
		k, v, err = l.s.lastKeyTo(logKey(l.gid, 'o'), entryKey(l.gid, to-1))
		if err != nil || g == nil || k != nil && !g.holds(offsetOf(k)) {
			return k, v, err
		}
	}
	return l.s.lastKeyTo(generationPrefix(l.gid, g.number), g.entryKey(l.gid, to-1))
}

// holds says whether the entry that holds offset lies in g.
func (g *generation) holds(offset record.Offset) bool { return g != nil && offset < g.to }

// findIn gives fn the entry of g that holds offset. It need not end there: the
// offsets of what was dropped belong to the entry behind.
func (l *Log) findIn(g *generation, offset record.Offset, fn func(k, v []byte) error) error {
	err := l.s.scan(generationPrefix(l.gid, g.number), g.entryKey(l.gid, offset), func(k, v []byte) error {
		if err := fn(k, v); err != nil {
			return err
		}
		return errStop
	})
	switch {
	case errors.Is(err, errStop):
		return nil
	case err == nil:
		return fmt.Errorf("generation %d has no entry", g.number)
	}
	return err
}
