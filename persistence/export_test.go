package persistence

// DropSequenceForTest takes the key of the n-th transaction before the last
// away, as a Badger that lost it would.
func (s *Store) DropSequenceForTest(n uint64) error {
	return s.do(&Write{Deletes: [][]byte{sequenceKey(nil, s.sequence.Load()-n)}})
}

// TendForTest gives back now what the tender would in a moment.
func (s *Store) TendForTest() error { return s.tender.tend() }

// DropLastEntryForTest takes the newest entry of l away, as a compaction of
// Badger that cannot read a block does.
func (s *Store) DropLastEntryForTest(l *Log) error {
	return s.do(&Write{Deletes: [][]byte{appendEntryKey(nil, l.gid, l.Next()-1)}})
}
