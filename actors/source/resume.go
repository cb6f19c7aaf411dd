package source

// bounds are positions that no batch may cross: a channel that has stored up
// to there skips whole batches only. They rise.
type bounds []uint64

// resume says where to go on in a stream whose stored checkpoints are these,
// and which positions the batches must not cross.
func resume(stored []Checkpoint) (next uint64, ahead bounds) {
	if len(stored) == 0 {
		return 0, nil
	}
	next = stored[0].Pos
	for _, c := range stored[1:] {
		if c.Pos > next {
			ahead = append(ahead, c.Pos)
		}
	}
	return next, ahead
}

// limit is the farthest that a batch from pos towards to may reach. Bounds
// that lie behind pos are forgotten.
func (b *bounds) limit(pos, to uint64) uint64 {
	for len(*b) > 0 && (*b)[0] <= pos {
		*b = (*b)[1:]
	}
	if len(*b) > 0 && (*b)[0] < to {
		return (*b)[0]
	}
	return to
}
