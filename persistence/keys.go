package persistence

import (
	"encoding/binary"

	"github.com/sluicehq/sluice/persistence/record"
)

// Every key of the store is made here; FORMAT.md lists them.
const (
	spaceStore   = 0x00
	spaceLog     = 0x10
	spaceMachine = 0x20
	spaceChannel = 0x30
	spaceSource  = 0x40
	spaceSink    = 0x50
)

var (
	prefixSequence = []byte{spaceStore, 's'}
	prefixLogs     = []byte{spaceStore, 'g'}
)

func sequenceKey(b []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, prefixSequence...), seq)
}

func registryKey(gid uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{spaceStore, 'g'}, gid)
}

func appendLogKey(b []byte, gid uint32, what byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, spaceLog), gid), what)
}

func logKey(gid uint32, what byte) []byte { return appendLogKey(nil, gid, what) }

// entryKey is keyed by the last offset of the batch: one seek finds the batch
// that holds an offset.
func appendEntryKey(b []byte, gid uint32, last record.Offset) []byte {
	return binary.BigEndian.AppendUint64(appendLogKey(b, gid, 'o'), uint64(last))
}

// recordlessKey is that of a raft entry without records.
func appendRecordlessKey(b []byte, gid uint32, index uint64) []byte {
	return binary.BigEndian.AppendUint64(appendLogKey(b, gid, 'n'), index)
}

func entryKey(gid uint32, last record.Offset) []byte { return appendEntryKey(nil, gid, last) }

// voidKey says that no records lie from base on, up to the offset in its value.
func voidKey(gid uint32, base record.Offset) []byte {
	return binary.BigEndian.AppendUint64(logKey(gid, 'v'), uint64(base))
}

// name appends s with its length, so that no name is the beginning of another.
func name(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// CheckpointKey is where a source's checkpoint for one stream (a file, a
// partition) in one channel is kept. With an empty stream it is the prefix of
// all of them.
func CheckpointKey(agent, source, channel, stream string) []byte {
	b := name(name(name([]byte{spaceSource}, agent), source), channel)
	return append(b, stream...)
}

// SinkKey is where a sink keeps name (an intent, a file's length). With an
// empty name it is the prefix of all of them.
func SinkKey(agent, sink, what string) []byte {
	return append(name(name([]byte{spaceSink}, agent), sink), what...)
}

// ChannelKey is where a channel keeps its cursor and the settled ranges above
// it. With an empty what it is the prefix of all of them.
func ChannelKey(agent, channel, what string) []byte {
	return append(name(name([]byte{spaceChannel}, agent), channel), what...)
}
