package sink

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/actors/partition"
)

// Topics are the topics of the node that a sink runs on. Its methods are for
// all goroutines.
type Topics interface {
	// Here says whether servers, host:port with commas, are this node.
	Here(servers string) bool
	// Topic finds a topic. One that is not there is made, where the node makes
	// topics that are asked for.
	Topic(ctx context.Context, name string) (Topic, error)
	// Partition finds a partition of this node.
	Partition(id partition.ID) (partition.Ref, error)
	// Feeder is a number that no other feeder ever has.
	Feeder(ctx context.Context) (int64, error)
}

// Topic is a topic as it is now.
type Topic struct {
	ID         [16]byte
	Partitions int32
}

// ErrNoTopic says that no topic can have a name, or that none with it is for
// sinks.
var ErrNoTopic = errors.New("no topic can be written to by this name")
