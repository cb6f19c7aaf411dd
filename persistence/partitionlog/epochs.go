package partitionlog

import (
	"slices"
	"sort"

	"github.com/sluicehq/sluice/persistence/record"
)

// Epoch is where the batches of one leader begin.
type Epoch struct {
	Epoch int32
	Start record.Offset
}

// BeginEpoch notes that a leader with this epoch begins at start. Commit does it
// for every batch; a new leader does before its first one, so that it can
// answer for its own epoch. Epochs that are not newer change nothing.
func (s *State) BeginEpoch(epoch int32, start record.Offset) {
	n := len(s.epochs)
	if epoch < 0 || n > 0 && s.epochs[n-1].Epoch >= epoch {
		return
	}
	if n > 0 && s.epochs[n-1].Start == start {
		n-- // the last one has no batches
	}
	s.epochs = append(s.epochs[:n], Epoch{epoch, start})
}

// Epochs are the epochs of the log, ascending.
func (s *State) Epochs() []Epoch { return slices.Clone(s.epochs) }

// EpochEnd finds the greatest epoch up to asked, and one past its last record;
// end is that of the log. Where nothing is known the answer is -1, -1.
func (s *State) EpochEnd(asked int32, end record.Offset) (int32, record.Offset) {
	n := len(s.epochs)
	i := sort.Search(n, func(i int) bool { return s.epochs[i].Epoch > asked })
	switch {
	case n == 0 || asked < 0 || asked > s.epochs[n-1].Epoch:
		return -1, -1
	case i == 0: // all of its records are gone
		return asked, s.epochs[0].Start
	case i == n:
		return s.epochs[n-1].Epoch, end
	}
	return s.epochs[i-1].Epoch, s.epochs[i].Start
}

// EpochAt is the epoch of the record at offset, -1 where it is not known.
func (s *State) EpochAt(offset record.Offset) int32 {
	i := sort.Search(len(s.epochs), func(i int) bool { return s.epochs[i].Start > offset })
	if i == 0 {
		return -1
	}
	return s.epochs[i-1].Epoch
}

// trimEpochs drops the epochs of which nothing is left; the one that start
// lies in begins there now.
func (s *State) trimEpochs(start record.Offset) {
	i := sort.Search(len(s.epochs), func(i int) bool { return s.epochs[i].Start > start })
	if i == 0 {
		return
	}
	s.epochs = slices.Delete(s.epochs, 0, i-1)
	s.epochs[0].Start = start
}
