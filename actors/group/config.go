package group

import (
	"strconv"
	"time"
)

// Config are a coordinator's settings, by Kafka's names. The zero value of a
// field is not its default: begin with Defaults.
type Config struct {
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	MaxSize               int           // group.max.size

	OffsetMetadataMaxBytes int           // offset.metadata.max.bytes
	OffsetsRetention       time.Duration // offsets.retention.minutes
	RetentionCheck         time.Duration // offsets.retention.check.interval.ms

	ConsumerSessionTimeout    time.Duration // group.consumer.session.timeout.ms
	ConsumerHeartbeatInterval time.Duration // group.consumer.heartbeat.interval.ms
	ConsumerMaxSize           int           // group.consumer.max.size

	ShareSessionTimeout       time.Duration // group.share.session.timeout.ms
	ShareHeartbeatInterval    time.Duration // group.share.heartbeat.interval.ms
	ShareMaxSize              int           // group.share.max.size
	ShareRecordLock           time.Duration // group.share.record.lock.duration.ms
	ShareDeliveryCountLimit   int           // group.share.delivery.count.limit
	SharePartitionRecordLocks int           // group.share.partition.max.record.locks
}

// Defaults are Kafka's own.
func Defaults() Config {
	return Config{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute,
		InitialRebalanceDelay: 3 * time.Second, MaxSize: 1<<31 - 1,
		OffsetMetadataMaxBytes: 4096, OffsetsRetention: 7 * 24 * time.Hour, RetentionCheck: 10 * time.Minute,
		ConsumerSessionTimeout: 45 * time.Second, ConsumerHeartbeatInterval: 5 * time.Second, ConsumerMaxSize: 1<<31 - 1,
		ShareSessionTimeout: 45 * time.Second, ShareHeartbeatInterval: 5 * time.Second, ShareMaxSize: 200,
		ShareRecordLock: 30 * time.Second, ShareDeliveryCountLimit: 5, SharePartitionRecordLocks: 2000,
	}
}

// groupMillis is a group's own setting of a time in ms, or what holds for all.
func (s *State) groupMillis(group, name string, all time.Duration) int64 {
	if v, set := s.world.GroupConfig(group, name); set {
		if ms, err := strconv.ParseInt(v, 10, 64); err == nil && ms > 0 {
			return ms
		}
	}
	return all.Milliseconds()
}

// OrDefaults is c, or the defaults where nothing is set.
func (c Config) OrDefaults() Config {
	if c == (Config{}) {
		return Defaults()
	}
	return c
}
