package partitionlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/sluicehq/sluice/persistence/record"
)

// Marker is how a transaction ended in a partition.
type Marker struct {
	Commit           bool // else it was aborted
	CoordinatorEpoch int32
}

// The record of a control batch, in Kafka's own format: the key is a version
// and a type, the value of a marker a version and the coordinator's epoch.
const (
	controlAbort  = 0
	controlCommit = 1

	markerKeyBytes   = 4
	markerValueBytes = 6
)

// ParseMarker reads the control batch b.
func ParseMarker(b record.Batch) (Marker, error) {
	if !b.Control() || b.Codec() != record.None {
		return Marker{}, fmt.Errorf("%w: no control batch", ErrInvalid)
	}
	it := record.Iterate(b[record.HeaderSize:], b.Count())
	if b.Count() != 1 || !it.Next() {
		return Marker{}, fmt.Errorf("%w: a control batch of %d records", ErrInvalid, b.Count())
	}
	key, value := it.Key(), it.Value()
	if len(key) < markerKeyBytes || len(value) < markerValueBytes {
		return Marker{}, fmt.Errorf("%w: a control record with a key of %d bytes and %d bytes", ErrInvalid, len(key), len(value))
	}
	m := Marker{CoordinatorEpoch: int32(binary.BigEndian.Uint32(value[2:]))}
	switch kind := binary.BigEndian.Uint16(key[2:]); kind {
	case controlAbort:
	case controlCommit:
		m.Commit = true
	default:
		return m, fmt.Errorf("%w: a control record of type %d", ErrInvalid, kind)
	}
	return m, nil
}

// AppendMarker appends the control batch that ends the transaction of a
// producer: base offset 0, no leader epoch. now is its time, ms since the
// epoch.
func AppendMarker(dst []byte, producer int64, epoch int16, m Marker, now int64) []byte {
	const (
		body = 1 + 1 + 1 + 1 + markerKeyBytes + 1 + markerValueBytes + 1
		size = record.HeaderSize + 1 + body
	)
	var b [size]byte
	be := binary.BigEndian
	be.PutUint32(b[8:], size-12)
	be.PutUint32(b[12:], ^uint32(0)) // the leader epoch: -1
	b[16] = 2                        // magic
	be.PutUint16(b[21:], 1<<5|1<<4)  // control, transactional
	be.PutUint64(b[27:], uint64(now))
	be.PutUint64(b[35:], uint64(now))
	be.PutUint64(b[43:], uint64(producer))
	be.PutUint16(b[51:], uint16(epoch))
	be.PutUint32(b[53:], ^uint32(0)) // the sequence: -1
	be.PutUint32(b[57:], 1)
	r := b[record.HeaderSize:]
	r[0] = body << 1
	// Attributes and both deltas are 0; lengths are zigzag varints.
	r[4] = markerKeyBytes << 1
	if m.Commit {
		r[8] = controlCommit
	}
	r[9] = markerValueBytes << 1
	be.PutUint32(r[12:], uint32(m.CoordinatorEpoch))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return append(dst, b[:]...)
}
