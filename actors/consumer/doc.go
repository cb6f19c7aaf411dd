// Package consumer reads many partitions at once: what a Kafka fetch does, and
// a source that reads topics of its own node. It holds no goroutine and does
// not poll: a Fetch that finds nothing is woken by the partitions.
package consumer
