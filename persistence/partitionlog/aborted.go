package partitionlog

import (
	"slices"
	"sort"

	"github.com/sluicehq/sluice/persistence/record"
)

// Aborted is one aborted transaction.
type Aborted struct {
	Producer int64
	First    record.Offset
	Last     record.Offset // of the marker
	// LastStable is what the last stable offset was after the marker: no
	// transaction that ends later reaches below it.
	LastStable record.Offset
}

// Aborted lists the aborted transactions that overlap [from, to). What it
// returns is the caller's.
func (s *State) Aborted(from, to record.Offset) (list []Aborted) {
	at := sort.Search(len(s.aborted), func(i int) bool { return s.aborted[i].Last >= from })
	for _, a := range s.aborted[at:] {
		if a.First < to {
			list = append(list, a)
		}
		if a.LastStable >= to {
			break
		}
	}
	return list
}

// trimAborted drops what ended below start.
func (s *State) trimAborted(start record.Offset) {
	n := sort.Search(len(s.aborted), func(i int) bool { return s.aborted[i].Last >= start })
	s.aborted = slices.Delete(s.aborted, 0, n)
}

// DropAborted forgets the aborted transactions with these markers, which ascend: compaction
// has removed all of them. Were they still listed, a reader would wait for the
// marker, and skip what its producer commits later.
func (s *State) DropAborted(markers []record.Offset) {
	s.aborted = slices.DeleteFunc(s.aborted, func(a Aborted) bool {
		_, gone := slices.BinarySearch(markers, a.Last)
		return gone
	})
}
