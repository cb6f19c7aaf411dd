package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Compaction replaces what lies below some offset of a log: the batches are
// written anew, as they shall be, into a generation of their own, with entries
// and segments of their own, while readers see the old ones. One transaction
// then says that the new generation counts from now on. Before it, whatever
// happens, the old generation is whole and the new one is rubbish; behind it,
// the other way round.

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
	rewriteBytes   = txnBytes / 2 // per transaction
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

// rewrittenFrame is the frame of a batch as it is from now on.
func rewrittenFrame(e Entry, payload []byte) [1]segment.Frame {
	return [1]segment.Frame{{
		Kind: segment.Batch, Base: e.Base, Count: uint32(e.Last - e.Base + 1), MaxTime: e.MaxTime,
		Entry: e.Index, Term: e.Term, Type: e.Type, Payload: payload,
	}}
}

// Rewrite writes the batches of a log below an offset anew. Its methods are
// called by one goroutine; readers and writers of the log go on meanwhile.
type Rewrite struct {
	l    *Log
	g    *generation
	base record.Offset // of the next entry, with the offsets of those dropped
	has  bool          // base is set
	kept bool          // there is an entry
	made bool          // the folder is there
	w    Write
	size int
	over bool
}

var (
	// ErrRewriting answers who wants to rewrite a log that is being rewritten.
	ErrRewriting = errors.New("the log is being rewritten")
	// ErrDropped says that the last batch below the end of a rewriting was
	// dropped: its offsets would be nobody's.
	ErrDropped = errors.New("the last batch of a rewriting cannot be dropped")
)

// Rewrite begins to write the batches below to anew. Every entry below to is
// given to Keep or Drop, in order, and then Finish or Cancel is called. To is
// the end of a batch; there is at least one acknowledged batch behind it.
func (l *Log) Rewrite(to record.Offset) (*Rewrite, error) {
	if err := l.s.Writable(); err != nil {
		return nil, fmt.Errorf("rewrite %s: %w", l.name, err)
	}
	if to <= l.Start() || to >= l.Next() {
		return nil, fmt.Errorf("rewrite %s up to %d: it reaches from %d to %d", l.name, to, l.Start(), l.Next())
	}
	if err := l.s.flushLazy(); err != nil {
		return nil, err
	}
	if !l.rewriting.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("rewrite %s: %w", l.name, ErrRewriting)
	}
	g, last := &generation{number: 1, to: to}, uint32(0)
	if old := l.gen.Load(); old != nil {
		g.number, last = old.number+1, max(old.segs.Last(), old.segs.End().Segment)
		if to < old.to {
			l.rewriting.Store(false)
			return nil, fmt.Errorf("rewrite %s up to %d: it was rewritten up to %d", l.name, to, old.to)
		}
	}
	r := &Rewrite{l: l, g: g}
	err := l.openGeneration(g, last)
	if err == nil {
		err = l.s.do(&Write{Sets: []KV{{unfinishedKey(l.gid), binary.BigEndian.AppendUint32(nil, g.number)}}})
	}
	if err != nil {
		l.rewriting.Store(false)
		return nil, fmt.Errorf("rewrite %s: %w", l.name, err)
	}
	return r, nil
}

// Drop leaves the batch of e out. Its offsets fall to the entry behind it.
func (r *Rewrite) Drop(e Entry) {
	if !r.has {
		r.base, r.has = e.Base, true
	}
}

// Keep writes payload as the batch of e from now on. MaxTime and what raft
// knows are taken from e. Payload is the caller's again when Keep returns.
func (r *Rewrite) Keep(e Entry, payload []byte) error {
	r.Drop(e)
	e.Base, e.Bytes, e.at = r.base, len(payload), segment.Place{}
	inline := payload
	if len(payload) > r.l.s.opt.Threshold {
		if err := r.frame(&e, payload); err != nil {
			return err
		}
		inline = nil
	}
	value := e.append(nil, inline)
	r.w.Sets = append(r.w.Sets, KV{r.g.entryKey(r.l.gid, e.Last), value})
	r.size += len(value) + changeBytes
	r.has, r.kept = false, true
	if r.size < rewriteBytes && len(r.w.Sets) < tendKeys {
		return nil
	}
	return r.flush()
}

// frame puts payload into a segment of the generation.
func (r *Rewrite) frame(e *Entry, payload []byte) error {
	if !r.made {
		// The folder of the log need not be there: small batches want none.
		folder := r.l.segs.Folder()
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := segment.SyncDir(r.l.s.opt.Faults, filepath.Dir(folder)); err != nil {
			return r.failed(err)
		}
		r.made = true
	}
	f := rewrittenFrame(*e, payload)
	if err := r.g.segs.Append(f[:]); err != nil {
		return fmt.Errorf("rewrite %s: %w", r.l.name, err)
	}
	e.at = f[0].At
	return nil
}

// flush makes the entries so far durable, behind their payloads. Nobody looks
// at them yet.
func (r *Rewrite) flush() error {
	if len(r.w.Sets) == 0 {
		return nil
	}
	if r.g.segs.Dirty() {
		if err := r.g.segs.Sync(); err != nil {
			return r.failed(err)
		}
	}
	err := r.l.s.do(&r.w)
	r.w.Sets, r.size = r.w.Sets[:0], 0
	return err
}

// failed stops the store: what the disk has refused once is not tried again.
func (r *Rewrite) failed(err error) error {
	r.l.s.mu.Lock()
	defer r.l.s.mu.Unlock()
	r.l.s.fail(err)
	return r.l.s.failed
}

// Finish makes the new batches those that count, in one transaction together
// with sets. What readers hold of the old ones stays readable until they ask
// anew. It waits for the disk.
func (r *Rewrite) Finish(sets ...KV) error {
	switch {
	case r.over:
		return nil
	case !r.kept: // all of it was trimmed meanwhile
		return r.Cancel()
	case r.has:
		return errors.Join(fmt.Errorf("rewrite %s: %w", r.l.name, ErrDropped), r.Cancel())
	}
	err := r.flush()
	if err == nil && r.g.segs.Last() != 0 {
		err = r.seal()
	}
	if err == nil {
		err = r.l.finishRewrite(r.g, sets)
	}
	if err != nil {
		err = fmt.Errorf("rewrite %s: %w", r.l.name, err)
		if r.l.s.stopped() {
			// Nobody knows whether the transaction is on disk. The next start
			// will, and drops the generation that lost.
			r.over = true
			return err
		}
		return errors.Join(err, r.Cancel())
	}
	r.over = true
	r.l.rewriting.Store(false)
	r.l.s.reclaim(r.l)
	return nil
}

// seal ends the last segment of the generation.
func (r *Rewrite) seal() error {
	if err := r.g.segs.Seal(); err != nil {
		return err
	}
	if err := r.g.segs.Sync(); err != nil {
		return r.failed(err)
	}
	return nil
}

// finishRewrite is the transaction that names the winner.
func (l *Log) finishRewrite(g *generation, sets []KV) error {
	if l.isDeleted() {
		return ErrDeleted
	}
	// What a lazy log has acknowledged, and what its owner stored before, is on
	// disk before this is.
	if err := l.s.flushLazy(); err != nil {
		return err
	}
	w := &Write{
		Sets:    append([]KV{{generationKey(l.gid), g.encode()}}, sets...),
		Deletes: [][]byte{unfinishedKey(l.gid)},
	}
	if err := l.s.do(w); err != nil {
		return err
	}
	// Of a lazy log the acknowledgement is not yet the commit.
	if err := l.s.flushLazy(); err != nil {
		return err
	}
	l.gen.Store(g)
	return nil
}

func (l *Log) isDeleted() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.deleted
}

// stopped says that the store has failed for good.
func (s *Store) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed != nil
}

// Cancel gives the rewriting up; the log stays as it is.
func (r *Rewrite) Cancel() error {
	if r.over {
		return nil
	}
	r.over = true
	if r.l.s.stopped() {
		return nil // the next start does it
	}
	defer r.l.rewriting.Store(false)
	err := r.g.segs.Remove()
	if err == nil {
		err = r.l.s.dropUnfinished(r.l, r.g.number)
	}
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
