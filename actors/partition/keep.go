package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/persistence"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// What is known beside the log, its producers above all, is stored now and
// then, so that a start reads only the batches that came later.

const (
	keepBatches = 4096
	keepBytes   = 32 << 20
	keepInline  = 64 << 10
	keepChunk   = 256 << 10
	keepVersion = 1
	readChunk   = 1 << 20
)

// kept says what came since the last snapshot.
type kept struct {
	batches, bytes int
	generations    map[byte]uint32 // of the snapshot that counts, by family
	chunks         map[byte]uint16
	writing        int
	failed         error                 // of what is being written
	then           []func(*Actor, error) // wait for the next snapshot
}

// restore reads what is known beside the log, and the batches that came later.
func (a *Actor) restore(log *persistence.Log) error {
	a.kept = kept{generations: map[byte]uint32{}, chunks: map[byte]uint16{}}
	state, err := load(a, log, persistence.KeySnapshot, partitionlog.Decode, partitionlog.New)
	if err != nil {
		return err
	}
	index, err := load(a, log, persistence.KeyTimes, partitionlog.DecodeIndex, partitionlog.NewIndex)
	if err != nil {
		return err
	}
	// What was lost with a damaged store must not be remembered.
	if state.Next() > log.Next() {
		state = partitionlog.New()
	}
	if index.Next() > log.Next() {
		index = partitionlog.NewIndex()
	}
	now := time.Now().UnixMilli()
	if err := a.replay(log, state, now); err != nil {
		return err
	}
	state.Trim(log.Start())
	index.Trim(log.Start())
	if err := index.Load(log, now); err != nil {
		return fmt.Errorf("index of times: %w", err)
	}
	a.restored(state, index)
	return nil
}

// replay gives state the batches that it does not know.
func (a *Actor) replay(log *persistence.Log, state *partitionlog.State, now int64) error {
	buf := record.GetBuffer(readChunk)
	defer func() { record.PutBuffer(buf) }()
	for from, end := max(state.Next(), log.Start()), log.Next(); from < end; {
		out, err := log.ReadBatches(from, end, readChunk, buf[:0])
		if err != nil {
			return err
		}
		buf = out
		if len(out) == 0 {
			return nil // only a void is left
		}
		for rest := out; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Split(rest); err != nil {
				return fmt.Errorf("batch behind %d: %w", from, err)
			}
			state.Commit(b.BaseOffset(), b, now)
			from = b.LastOffset() + 1
			a.kept.batches++
			a.kept.bytes += len(b)
		}
	}
	return nil
}

// keep stores a snapshot when enough has come since the last.
func (a *Actor) keep() {
	if a.kept.writing == 0 && (a.kept.batches >= keepBatches || a.kept.bytes >= keepBytes) {
		a.keepNow()
	}
}

func (a *Actor) keepNow() {
	a.kept.batches, a.kept.bytes, a.kept.failed = 0, 0, nil
	told := a.kept.then
	a.kept.then = nil
	for family, b := range map[byte][]byte{
		persistence.KeySnapshot: a.snapshot(),
		persistence.KeyTimes:    a.index.Load().Append(nil),
	} {
		for _, w := range a.kept.writes(a.log.Load(), family, b) {
			a.kept.writing++
			a.submit(w, func(now *Actor, err error) {
				if now != a {
					return // a later life of the actor counts anew
				}
				a.kept.writing--
				if err != nil { // the next start reads more; a store that failed says so by itself
					a.Log.Warn("snapshot not stored", "partition", a.ID.String(), "err", err)
				}
				if a.kept.failed = errors.Join(a.kept.failed, err); a.kept.writing == 0 {
					a.keptNow(told)
				}
			})
		}
	}
}

// keepThen stores a snapshot of what is known now, and tells then when it is on
// disk.
func (a *Actor) keepThen(then func(*Actor, error)) {
	a.kept.then = append(a.kept.then, then)
	if a.kept.writing == 0 {
		a.keepNow()
	}
}

// keptNow tells those who waited for the snapshot, and stores the next one for
// those who came later.
func (a *Actor) keptNow(told []func(*Actor, error)) {
	for _, then := range told {
		then(a, a.kept.failed)
	}
	if len(a.kept.then) > 0 && a.kept.writing == 0 {
		a.keepNow()
	}
}

// keepLast stores a snapshot and waits for it.
func (a *Actor) keepLast() {
	if a.kept.batches == 0 || a.kept.writing > 0 {
		return
	}
	a.keepNow()
	a.inbox.settle()
}

// writes are what stores b as the snapshot of a family: the parts first, then
// the head, which makes them count, and gives those before back.
func (k *kept) writes(log *persistence.Log, family byte, b []byte) (list []*persistence.Write) {
	generation, parts := k.generations[family]+1, uint16(0)
	inline := b
	if len(b) > keepInline {
		inline = nil
		for ; len(b) > 0; parts++ {
			n := min(len(b), keepChunk)
			list = append(list, &persistence.Write{Sets: []persistence.KV{{Key: chunkKey(log, family, generation, parts), Value: b[:n:n]}}})
			b = b[n:]
		}
	}
	head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32([]byte{keepVersion}, generation), parts)
	w := &persistence.Write{Sets: []persistence.KV{{Key: log.StateKey(family), Value: append(head, inline...)}}}
	for i := range k.chunks[family] {
		w.Deletes = append(w.Deletes, chunkKey(log, family, generation-1, i))
	}
	k.generations[family], k.chunks[family] = generation, parts
	return append(list, w)
}

const headBytes = 7

func chunkKey(log *persistence.Log, family byte, generation uint32, i uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(log.StateKey(family), generation), i)
}

// load reads the snapshot of a family, or makes what there is without one.
func load[T any](a *Actor, log *persistence.Log, family byte, decode func([]byte) (*T, error), begin func() *T) (*T, error) {
	v, ok, err := a.Store.Get(log.StateKey(family))
	if err != nil || !ok {
		return begin(), err
	}
	if len(v) < headBytes || v[0] != keepVersion {
		return nil, fmt.Errorf("snapshot %c: a head of %d bytes", family, len(v))
	}
	generation, parts := binary.BigEndian.Uint32(v[1:]), binary.BigEndian.Uint16(v[5:])
	a.kept.generations[family], a.kept.chunks[family] = generation, parts
	b := v[headBytes:]
	for i := range parts {
		part, ok, err := a.Store.Get(chunkKey(log, family, generation, i))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("snapshot %c: part %d of %d is missing", family, i, parts)
		}
		b = append(b, part...)
	}
	x, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("snapshot %c: %w", family, err)
	}
	return x, nil
}
