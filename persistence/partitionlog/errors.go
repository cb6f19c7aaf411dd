package partitionlog

import "errors"

// What Check refuses. The text of an error says more; errors.Is tells which.
var (
	// ErrOutOfOrder says that a batch before this one is missing, or that this
	// one came so long ago that nobody can tell whether it is a repeat.
	ErrOutOfOrder = errors.New("the sequence does not follow the last one")
	// ErrFenced says that the producer's id has a newer epoch, or for a marker,
	// that its epoch is not newer.
	ErrFenced = errors.New("the producer's epoch is over")
	// ErrUnknownProducer says that a transactional producer goes on with a
	// sequence of which nothing is known any more.
	ErrUnknownProducer = errors.New("nothing is known of the producer")
	// ErrTxnState says that the batch does not fit the producer's transaction.
	ErrTxnState = errors.New("the batch does not fit the producer's transaction")
	// ErrCoordinatorFenced says that a newer coordinator has written a marker.
	ErrCoordinatorFenced = errors.New("the transaction coordinator's epoch is over")
	// ErrInvalid says that the batch contradicts itself, or is a control batch
	// of somebody who may not write one.
	ErrInvalid = errors.New("invalid batch")
)
