package controller

// Snapshot is what a snapshot of the image would be.
func (i *Image) Snapshot() ([][]byte, error) { return i.snapshot(0) }
