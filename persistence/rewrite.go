package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice/persistence/record"
	"github.com/sluicehq/sluice/persistence/segment"
)

// Compaction replaces what lies below some offset of a log: the batches are
// written anew, as they shall be, into a generation of their own, with entries
// and segments of their own, while readers see the old ones. One transaction
// then says that the new generation counts from now on. Before it, whatever
// happens, the old generation is whole and the new one is rubbish; behind it,
// the other way round.

// rewriteBytes bounds what one transaction takes of a rewriting.
const rewriteBytes = txnBytes / 2

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
