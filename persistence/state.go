package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/sluicehq/sluice/persistence/record"
)

// stateFrame is what a new segment begins with: enough to go on from there if
// Badger and everything before were lost. The values may be a little older
// than the frames before it; then sources and sinks repeat, nothing is lost.
func (l *Log) stateFrame() (meta []byte, write uint64) {
	l.s.mu.Lock()
	write = l.s.writes
	r := registration{name: l.name, flush: l.flush, state: l.state}
	l.s.mu.Unlock()
	reg := r.encode()
	b := binary.BigEndian.AppendUint64(nil, uint64(l.Start()))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Next()))
	b = append(binary.AppendUvarint(b, uint64(len(reg))), reg...)
	var w Write
	prefixes := r.state
	if isRaft(l.gid, r.state) {
		prefixes = append(slices.Clone(prefixes), logKey(l.gid, KeyHardState))
	}
	for _, prefix := range prefixes {
		// A value that cannot be read is missed at the next start of its
		// reader, which says so; the segment is none the worse.
		l.s.scan(prefix, prefix, func(k, v []byte) error {
			w.Sets = append(w.Sets, KV{bytes.Clone(k), bytes.Clone(v)})
			return nil
		})
	}
	return appendMeta(b, &w), write
}

// logState is what a state frame says.
type logState struct {
	start, next  record.Offset
	registration registration
	changes      []byte
}

func decodeState(b []byte) (st logState, err error) {
	if len(b) < 16 {
		return st, errors.New("a state frame that is cut off")
	}
	st.start = record.Offset(binary.BigEndian.Uint64(b))
	st.next = record.Offset(binary.BigEndian.Uint64(b[8:]))
	m := metaReader{b: b[16:]}
	reg := m.bytes()
	if m.bad {
		return st, errors.New("a state frame that is cut off")
	}
	st.changes = m.b
	st.registration, err = decodeRegistration(reg)
	return st, err
}
