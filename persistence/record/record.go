// Package record holds the two forms of a batch: a Slab while it is on its way
// from a source to a sink, and a RecordBatch v2 (Kafka's own format, bytes)
// while it is stored or on a wire.
package record

// Offset is the position of a record in a log, counted from 0.
type Offset int64

// View is the run of records [First, First+Count) of a slab. Whoever is handed
// a view holds a reference on its slab.
type View struct {
	Slab  *Slab
	First int
	Count int
}
