package configs

import (
	"math"
	"strings"
	"time"
)

const (
	longMax = "9223372036854775807"
	// MaxMessageBytes is Kafka's default for the largest batch of a topic.
	MaxMessageBytes = 1048588
)

// Topic is the table of the configs of topics.
var Topic = Table{
	{Name: "cleanup.policy", Type: List, Default: "delete", Values: []string{"compact", "delete"},
		Doc:      "What becomes of old records: delete drops them by age and size, compact keeps the latest of each key. Both may be named.",
		Synonyms: from("log.cleanup.policy")},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Min: -1, Max: 9, Passive: true,
		Doc: "The level at which the broker would compress anew. Batches are stored as they come.", Synonyms: from("compression.gzip.level")},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Min: 1, Max: 17, Passive: true,
		Doc: "The level at which the broker would compress anew. Batches are stored as they come.", Synonyms: from("compression.lz4.level")},
	{Name: "compression.type", Type: String, Default: "producer", Values: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Passive: true,
		Doc: "How batches are compressed. They are stored as the producer made them, whatever this says.", Synonyms: from("compression.type")},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Min: -131072, Max: 22, Passive: true,
		Doc: "The level at which the broker would compress anew. Batches are stored as they come.", Synonyms: from("compression.zstd.level")},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Max: math.MaxInt64,
		Doc: "How long a compacted topic keeps the mark of a deleted key.", Synonyms: from("log.cleaner.delete.retention.ms")},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", Max: math.MaxInt64, Passive: true,
		Doc: "Files are deleted when nobody reads them any more, not after a time.", Synonyms: from("log.segment.delete.delay.ms")},
	{Name: "flush", Type: String, Form: &Form{flushPolicy, "always, os or interval:D such as interval:10ms"},
		Doc: "When a batch is acknowledged: always (it is on disk), interval:D or os (sooner; a power cut may take the newest). Empty: as the node has it. Kafka has no such config."},
	{Name: "flush.messages", Type: Long, Default: longMax, Min: 1, Max: math.MaxInt64, Passive: true,
		Doc: "After how many records Kafka syncs. What is acknowledged here is on disk already, unless flush says otherwise.", Synonyms: from("log.flush.interval.messages")},
	{Name: "flush.ms", Type: Long, Default: longMax, Max: math.MaxInt64, Passive: true,
		Doc: "After what time Kafka syncs. What is acknowledged here is on disk already, unless flush says otherwise.", Synonyms: from("log.flush.interval.ms")},
	{Name: "follower.replication.throttled.replicas", Type: List, Empty: true, Passive: true,
		Doc: "The replicas whose followers are throttled while partitions move."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Max: math.MaxInt32, Passive: true,
		Doc: "How often Kafka notes a place in its index. Here every batch has its place.", Synonyms: from("log.index.interval.bytes")},
	{Name: "leader.replication.throttled.replicas", Type: List, Empty: true, Passive: true,
		Doc: "The replicas whose leaders are throttled while partitions move."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", Min: -2, Max: math.MaxInt64, Passive: true,
		Doc: "What of a topic with remote storage is kept here. There is no remote storage."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", Min: -2, Max: math.MaxInt64, Passive: true,
		Doc: "How long records of a topic with remote storage are kept here. There is no remote storage."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: longMax, Min: 1, Max: math.MaxInt64,
		Doc: "After what time a record is compacted at the latest.", Synonyms: from("log.cleaner.max.compaction.lag.ms")},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Max: math.MaxInt32,
		Doc: "The largest batch that the topic takes, in bytes after compression.", Synonyms: from("message.max.bytes")},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Max: math.MaxInt64,
		Doc: "How far a record's time may lie after the broker's. Only for CreateTime.", Synonyms: from("log.message.timestamp.after.max.ms")},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: longMax, Max: math.MaxInt64,
		Doc: "How far a record's time may lie before the broker's. Only for CreateTime.", Synonyms: from("log.message.timestamp.before.max.ms")},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Values: []string{"CreateTime", "LogAppendTime"},
		Doc: "Whether a record's time is the producer's or the broker's.", Synonyms: from("log.message.timestamp.type")},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Max: 1,
		Doc: "What part of a log is not compacted yet when compaction begins.", Synonyms: from("log.cleaner.min.cleanable.ratio")},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Max: math.MaxInt64,
		Doc: "How long a record is safe from compaction.", Synonyms: from("log.cleaner.min.compaction.lag.ms")},
	{Name: "min.insync.replicas", Type: Int, Default: "1", Min: 1, Max: math.MaxInt32,
		Doc: "How many replicas must have a batch of a producer with acks=all.", Synonyms: from("min.insync.replicas")},
	{Name: "preallocate", Type: Boolean, Default: "false", Passive: true,
		Doc: "Whether files get their full size at once. They do not.", Synonyms: from("log.preallocate")},
	{Name: "remote.copy.disable", Type: Boolean, Default: "false", Passive: true,
		Doc: "Stops copying to remote storage, which there is none of."},
	{Name: "remote.log.delete.on.disable", Type: Boolean, Default: "false", Passive: true,
		Doc: "Deletes what is in remote storage, which there is none of."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", Only: "false", Why: "there is no remote storage",
		Doc: "Remote storage; there is none."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Min: -1, Max: math.MaxInt64,
		Doc: "How many bytes a partition keeps; -1 is all.", Synonyms: from("log.retention.bytes")},
	{Name: "retention.ms", Type: Long, Default: "604800000", Min: -1, Max: math.MaxInt64,
		Doc:      "How long a partition keeps records; -1 is for ever.",
		Synonyms: []Synonym{{Name: "log.retention.ms"}, {"log.retention.minutes", 60_000}, {"log.retention.hours", 3_600_000}}},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Min: 14, Max: math.MaxInt32,
		Doc: "How much of the end of a log compaction and retention leave alone.", Synonyms: from("log.segment.bytes")},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Min: 4, Max: math.MaxInt32, Passive: true,
		Doc: "The size of Kafka's index files. There are none here.", Synonyms: from("log.index.size.max.bytes")},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Max: math.MaxInt64, Passive: true,
		Doc:      "By how much the times differ at which Kafka begins new files.",
		Synonyms: []Synonym{{Name: "log.roll.jitter.ms"}, {"log.roll.jitter.hours", 3_600_000}}},
	{Name: "segment.ms", Type: Long, Default: "604800000", Min: 1, Max: math.MaxInt64,
		Doc:      "After what time the end of a log may be compacted and deleted like the rest.",
		Synonyms: []Synonym{{Name: "log.roll.ms"}, {"log.roll.hours", 3_600_000}}},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Only: "false", Why: "a replica that lacks acknowledged records is never made leader",
		Doc: "Whether a replica that lacks acknowledged records may lead. It may not.", Synonyms: from("unclean.leader.election.enable")},
}

// flushPolicy says whether a value is a policy of the store; none is the node's.
func flushPolicy(value string) bool {
	text, interval := strings.CutPrefix(value, "interval:")
	if !interval {
		return value == "" || value == "always" || value == "os"
	}
	d, err := time.ParseDuration(text)
	return err == nil && d > 0
}

func from(names ...string) []Synonym {
	list := make([]Synonym, len(names))
	for i, n := range names {
		list[i].Name = n
	}
	return list
}
