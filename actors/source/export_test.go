package source

import "github.com/sluicehq/sluice/topologies"

// Contain is what a source defers in its goroutines, WithCrashes what its
// actor prepares for that.
var (
	Contain     = contain
	WithCrashes = withCrashes
)

// Replace lets tests be a source of kind. It returns what undoes that.
func Replace(kind string, make func(topologies.Settings, Env) (Source, error)) (undo func()) {
	before := makers[kind]
	makers[kind] = make
	return func() { makers[kind] = before }
}

// ParseFlumeMeta shows tests what a file of progress says.
func ParseFlumeMeta(text []byte) (file string, offset int64, err error) {
	m, err := parseFlumeMeta(text)
	return m.file, m.offset, err
}

// Flights shows tests the batches on their way.
type Flights struct{ f flights }

// Add notes a batch of 1 byte, with open shares.
func (f *Flights) Add(pos uint64, open int) uint64 {
	return f.f.add(Checkpoint{Stream: "s", Pos: pos}, nil, open, 1)
}

// Done settles a share of batch seq.
func (f *Flights) Done(seq uint64) (settled []uint64) {
	f.f.done(seq)
	for _, s := range f.f.take() {
		settled = append(settled, s.at.Pos)
	}
	return settled
}

// Abort forgets batch seq and all behind it.
func (f *Flights) Abort(seq uint64) { f.f.abort(seq) }

// Out is how many batches are out and how many bytes they have.
func (f *Flights) Out() (batches, bytes int) { return len(f.f.out), f.f.bytes }
