// Package persistence is a node's store: what must survive, and nothing else.
//
// Everything durable is a log of batches, with state that moves with it. Badger
// holds an entry per batch and all state; the bytes of large batches lie in
// value segments (persistence/segment). A Write is all or none, and is
// acknowledged (Done) when it is on disk: in the order of each log, by one
// committer that folds everything that waits into one Badger transaction.
//
// FORMAT.md describes every key and every byte.
package persistence
