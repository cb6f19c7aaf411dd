package source

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/persistence"
)

// A checkpoint is stored per (source, channel, stream) in two keys. One is
// written with the batches that the channel gets, the other behind them, for
// batches of which the channel got nothing: each key has one writer, so a late
// write can never take a checkpoint back. The further one counts.
const (
	keyPut      = "p/"
	keyLag      = "l/"
	keyAttached = "attached"
)

var errCheckpoint = errors.New("malformed checkpoint")

// encode is the value stored for at: its position as an unsigned varint, then
// the data.
func (at Checkpoint) encode() []byte {
	return append(binary.AppendUvarint(nil, at.Pos), at.Data...)
}

func decodeCheckpoint(stream string, value []byte) (Checkpoint, error) {
	pos, n := binary.Uvarint(value)
	if n <= 0 {
		return Checkpoint{}, errCheckpoint
	}
	return Checkpoint{Stream: stream, Pos: pos, Data: slices.Clone(value[n:])}, nil
}

// stored is what the store knows of the checkpoints of one source: per channel
// and stream how far it is.
type stored map[string]map[string]Checkpoint

// loadCheckpoints reads the checkpoints of the source in each of channels, and
// notes which channels it has now. A channel that is new to the source begins
// where the others are; a stream that a channel never got begins at 0.
func loadCheckpoints(store *persistence.Store, agent, source string, channels []string) (stored, error) {
	s, added := stored{}, []string{}
	attached := 0
	for _, c := range channels {
		streams := map[string]Checkpoint{}
		known := false
		err := store.Scan(persistence.CheckpointKey(agent, source, c, ""), func(key, value []byte) error {
			what := string(key[len(persistence.CheckpointKey(agent, source, c, "")):])
			if what == keyAttached {
				known = true
				return nil
			}
			stream, ok := strings.CutPrefix(what, keyPut)
			if !ok {
				if stream, ok = strings.CutPrefix(what, keyLag); !ok {
					return errCheckpoint
				}
			}
			at, err := decodeCheckpoint(stream, value)
			if have, ok := streams[stream]; err == nil && (!ok || at.Pos > have.Pos) {
				streams[stream] = at
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the checkpoints of source %s in channel %s: %w", source, c, err)
		}
		s[c] = streams
		if known {
			attached++
		} else {
			added = append(added, c)
		}
	}
	if len(added) == 0 {
		return s, nil
	}
	var sets []persistence.KV
	for _, c := range added {
		if attached > 0 {
			for stream, at := range s.furthest(channels) {
				s[c][stream] = at
				sets = append(sets, persistence.KV{Key: persistence.CheckpointKey(agent, source, c, keyLag+stream), Value: at.encode()})
			}
		}
		sets = append(sets, persistence.KV{Key: persistence.CheckpointKey(agent, source, c, keyAttached), Value: []byte{1}})
	}
	return s, save(store, &persistence.Write{Sets: sets})
}

// furthest is per stream the checkpoint of the channel that is furthest.
func (s stored) furthest(channels []string) map[string]Checkpoint {
	far := map[string]Checkpoint{}
	for _, c := range channels {
		for stream, at := range s[c] {
			if have, ok := far[stream]; !ok || at.Pos > have.Pos {
				far[stream] = at
			}
		}
	}
	return far
}

// perStream is what Env.Checkpoints holds: the positions that the channels
// have reached, each once, lowest first.
func (s stored) perStream() map[string][]Checkpoint {
	all := map[string][]Checkpoint{}
	for _, streams := range s {
		for stream := range streams {
			all[stream] = nil
		}
	}
	for stream := range all {
		var list []Checkpoint
		var data []byte
		for _, streams := range s {
			at, ok := streams[stream]
			if !ok {
				at = Checkpoint{Stream: stream}
			} else {
				data = at.Data
			}
			list = append(list, at)
		}
		slices.SortFunc(list, func(a, b Checkpoint) int { return cmp.Compare(a.Pos, b.Pos) })
		list = slices.CompactFunc(list, func(a, b Checkpoint) bool { return a.Pos == b.Pos })
		if list[0].Data == nil {
			list[0].Data = data
		}
		all[stream] = list
	}
	return all
}

// has says whether the channel has everything up to and with at.
func (s stored) has(channel string, at Checkpoint) bool {
	have, ok := s[channel][at.Stream]
	return ok && at.Stream != "" && at.Pos <= have.Pos
}

// save writes w and returns when it is on disk.
func save(store *persistence.Store, w *persistence.Write) error {
	done := make(chan error, 1)
	w.Done = func(err error) { done <- err }
	store.Submit(w)
	return <-done
}
