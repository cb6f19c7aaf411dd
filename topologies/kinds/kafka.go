package kinds

const (
	oldName   = "Flume 1.6's name; taken as well."
	noKeeper  = "Brokers are no longer found through ZooKeeper; name them in kafka.bootstrap.servers."
	hereServe = "A server of this node's own Kafka port is reached without a socket."
)

func bootstrap(old ...string) Property {
	return Property{Name: "kafka.bootstrap.servers", Type: String, Old: old, Meaning: "The brokers to begin with, host:port with commas.", Support: Noted, Note: hereServe}
}

// kafkaTarget says which topic and partition an event goes to.
var kafkaTarget = []Property{
	{Name: "defaultPartitionId", Type: Int, Min: 0, Max: maxInt, Meaning: "The partition of events that name none; without it the key decides."},
	{Name: "partitionIdHeader", Type: String, Meaning: "The header that names an event's partition."},
}

var kafkaSource = &Kind{
	Category: Source, Name: "kafka", Class: "org.apache.flume.source.kafka.KafkaSource",
	Meaning:       "Reads events from Kafka topics as a member of a consumer group.",
	BatchProperty: "batchSize",
	Note:          "Offsets move with the channel's commit and are committed to the group afterwards, so a crash repeats nothing into a file channel.",
	Properties: with(pollableCommon,
		bootstrap(),
		Property{Name: "kafka.topics", Type: String, Old: []string{"topic"}, Meaning: "The topics to read, with commas."},
		Property{Name: "kafka.topics.regex", Type: Regex, Meaning: "A pattern for the topics to read; it wins over kafka.topics."},
		Property{Name: "kafka.consumer.group.id", Type: String, Old: []string{"groupId"}, Default: "flume", Meaning: "The consumer group."},
		Property{Name: "batchSize", Type: Int, Unit: "events", Default: "1000", Min: 1, Max: maxInt, Meaning: "The most events that go to the channel at once."},
		Property{Name: "batchDurationMillis", Type: Duration, Unit: "ms", Default: "1000", Min: 0, Max: maxInt, Meaning: "How long a batch may wait to be filled.", Support: Noted, Note: "A batch goes as soon as there is one; it never waits for more."},
		Property{Name: "useFlumeEventFormat", Type: Bool, Default: "false", Meaning: "Whether values are Flume events in Avro's form."},
		Property{Name: "setTopicHeader", Type: Bool, Default: "true", Meaning: "Whether a header names the topic that an event came from."},
		Property{Name: "topicHeader", Type: String, Default: "topic", Meaning: "The name of that header."},
		Property{Name: "header.<header>", Type: String, Meaning: "The Kafka header that becomes this event header."},
		Property{Name: "kafka.consumer.*", Type: String, Meaning: "A setting of Kafka's consumer."},
		Property{Name: "topic", Type: String, Meaning: "The old name of kafka.topics.", Support: Noted, Note: oldName},
		Property{Name: "groupId", Type: String, Meaning: "The old name of kafka.consumer.group.id.", Support: Noted, Note: oldName},
		Property{Name: "zookeeperConnect", Type: String, Meaning: "Where ZooKeeper is.", Support: Ignored, Note: noKeeper},
		Property{Name: "migrateZookeeperOffsets", Type: Bool, Meaning: "Whether offsets in ZooKeeper are taken over.", Support: Ignored, Note: noKeeper},
	),
}

var kafkaSink = &Kind{
	Category: Sink, Name: "kafka", Class: "org.apache.flume.sink.kafka.KafkaSink",
	Meaning:       "Writes events to Kafka topics.",
	BatchProperty: "flumeBatchSize",
	Note:          "From a file channel into topics of this node every event arrives exactly once; into other clusters at least once.",
	Properties: with(sinkCommon, with(kafkaTarget,
		bootstrap("brokerList"),
		Property{Name: "kafka.topic", Type: String, Old: []string{"topic"}, Default: "default-flume-topic", Meaning: "The topic; it may hold escapes such as %{header}."},
		Property{Name: "allowTopicOverride", Type: Bool, Default: "true", Meaning: "Whether a header may name another topic."},
		Property{Name: "topicHeader", Type: String, Default: "topic", Meaning: "The header that names an event's topic."},
		Property{Name: "timestampHeader", Type: String, Meaning: "The header that holds an event's time in ms."},
		Property{Name: "header.<header>", Type: String, Meaning: "The Kafka header that this event header becomes."},
		Property{Name: "useFlumeEventFormat", Type: Bool, Default: "false", Meaning: "Whether values are Flume events in Avro's form, with all headers."},
		Property{Name: "flumeBatchSize", Type: Int, Old: []string{"batchSize", "kafka.flumeBatchSize"}, Unit: "events", Default: "100", Min: 1, Max: maxInt, Meaning: "The most events that are written and committed at once."},
		Property{Name: "kafka.flumeBatchSize", Type: Int, Unit: "events", Min: 1, Max: maxInt, Meaning: "Another spelling of flumeBatchSize.", Support: Noted, Note: "The user guide prints it so, and Flume ignores it; sluice takes it."},
		Property{Name: "kafka.producer.acks", Type: String, Old: []string{"requiredAcks"}, Default: "1", Meaning: "Who has to have a record before it counts: all, 1 or 0."},
		Property{Name: "kafka.producer.*", Type: String, Meaning: "A setting of Kafka's producer."},
		Property{Name: "brokerList", Type: String, Meaning: "The old name of kafka.bootstrap.servers.", Support: Noted, Note: oldName},
		Property{Name: "topic", Type: String, Meaning: "The old name of kafka.topic.", Support: Noted, Note: oldName},
		Property{Name: "batchSize", Type: Int, Unit: "events", Min: 1, Max: maxInt, Meaning: "The old name of flumeBatchSize.", Support: Noted, Note: oldName},
		Property{Name: "requiredAcks", Type: String, Meaning: "The old name of kafka.producer.acks.", Support: Noted, Note: oldName},
	)...),
}

var kafkaChannel = &Kind{
	Category: Channel, Name: "kafka", Class: "org.apache.flume.channel.kafka.KafkaChannel",
	Meaning: "Keeps events in a Kafka topic, where other agents and clients find them, too.",
	Note:    "At least once. It may have sources alone, or sinks alone. What stands in the topic is what Flume writes.",
	Properties: with(channelCommon, with(kafkaTarget,
		Property{Name: "kafka.bootstrap.servers", Type: String, Old: []string{"brokerList"}, Meaning: "The brokers to begin with, host:port with commas."},
		Property{Name: "kafka.topic", Type: String, Old: []string{"topic"}, Default: "flume-channel", Meaning: "The topic."},
		Property{Name: "kafka.consumer.group.id", Type: String, Old: []string{"groupId"}, Default: "flume", Meaning: "The consumer group of the channel's sinks."},
		Property{Name: "parseAsFlumeEvent", Type: Bool, Default: "true", Meaning: "Whether values are Flume events in Avro's form; false is the body alone, without headers."},
		Property{Name: "kafka.pollTimeout", Type: Duration, Unit: "ms", Old: []string{"pollTimeout"}, Default: "500", Min: 0, Max: maxLong, Meaning: "How long a take waits for events.", Support: Ignored, Note: "Sinks are woken when events come."},
		Property{Name: "kafka.producer.*", Type: String, Meaning: "A setting of Kafka's producer; acks is all where nothing else is said."},
		Property{Name: "kafka.consumer.*", Type: String, Meaning: "A setting of Kafka's consumer; auto.offset.reset is earliest where nothing else is said."},
		Property{Name: "brokerList", Type: String, Meaning: "The old name of kafka.bootstrap.servers.", Support: Noted, Note: oldName},
		Property{Name: "topic", Type: String, Meaning: "The old name of kafka.topic.", Support: Noted, Note: oldName},
		Property{Name: "groupId", Type: String, Meaning: "The old name of kafka.consumer.group.id.", Support: Noted, Note: oldName},
		Property{Name: "pollTimeout", Type: Duration, Unit: "ms", Min: 0, Max: maxLong, Meaning: "The user guide's name of kafka.pollTimeout.", Support: Ignored, Note: "Sinks are woken when events come."},
		Property{Name: "readSmallestOffset", Type: Bool, Meaning: "Whether a new group begins at the start of the topic.", Support: Noted, Note: "kafka.consumer.auto.offset.reset says it today; the default is the start."},
		Property{Name: "zookeeperConnect", Type: String, Meaning: "Where ZooKeeper is.", Support: Ignored, Note: noKeeper},
		Property{Name: "migrateZookeeperOffsets", Type: Bool, Meaning: "Whether offsets in ZooKeeper are taken over.", Support: Ignored, Note: noKeeper},
		Property{Name: "capacity", Type: Int, Unit: "events", Meaning: "Has no effect on this channel.", Support: Ignored, Note: "A topic has no bound; so in Flume."},
		Property{Name: "transactionCapacity", Type: Int, Unit: "events", Meaning: "Has no effect on this channel.", Support: Ignored, Note: "A topic has no bound; so in Flume."},
	)...),
}
