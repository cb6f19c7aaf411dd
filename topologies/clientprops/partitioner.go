package clientprops

import "github.com/twmb/franz-go/pkg/kgo"

// AnyPartition marks a record whose key decides where it goes.
const AnyPartition = -1

// Partitioner sends a record to the partition that stands in it, and else where
// its key says, as a Java client would.
func Partitioner() kgo.Partitioner { return partitioner{kgo.StickyKeyPartitioner(nil)} }

type partitioner struct{ byKey kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.byKey.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

func (p topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != AnyPartition || p.TopicPartitioner.RequiresConsistency(r)
}

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition != AnyPartition {
		return int(r.Partition) // out of range: the client refuses it
	}
	return p.TopicPartitioner.Partition(r, n)
}
