package txn

import "github.com/sluicehq/sluice/actors/partition"

// Partition is a partition of a topic.
type Partition = partition.ID
