package kinds

// channels are the kinds of channels that run.
var channels = []*Kind{
	kafkaChannel,
	{
		Category: Channel, Name: "memory", Class: "org.apache.flume.channel.MemoryChannel",
		Meaning: "Keeps events in memory: fast, and gone when the process ends.",
		Note:    "A source that can read again (taildir, spooldir) forgets only what the sinks have committed, so nothing of it is lost.",
		Properties: with(channelCommon,
			Property{Name: "capacity", Type: Int, Unit: "events", Default: "100", Min: 1, Max: maxInt, Lenient: true, Meaning: "The most events in the channel."},
			Property{Name: "transactionCapacity", Type: Int, Unit: "events", Default: "100", Min: 1, Max: maxInt, Lenient: true, Meaning: "The most events of one put or take."},
			Property{Name: "keep-alive", Type: Duration, Unit: "s", Default: "3", Min: 0, Max: maxInt, Lenient: true, Meaning: "How long a put waits for room."},
			Property{Name: "byteCapacity", Type: Long, Unit: "bytes", Min: 0, Max: maxLong, Lenient: true, Meaning: "The most bytes of bodies in the channel; 0 is no limit.", Support: Noted, Note: "Flume's default is 80 % of the Java heap; sluice's is 80 % of 512 MiB."},
			Property{Name: "byteCapacityBufferPercentage", Type: Int, Unit: "%", Default: "20", Min: 0, Max: 100, Lenient: true, Meaning: "The share of byteCapacity that is set aside for headers."},
		),
	},
	{
		Category: Channel, Name: "file", Class: "org.apache.flume.channel.file.FileChannel",
		Meaning: "Keeps events on disk: what was acknowledged survives a crash.",
		Note:    "Events lie in sluice's own store, not in Flume's log files; there is no replay at start.",
		Properties: with(channelCommon, with(fileStore,
			Property{Name: "capacity", Type: Int, Unit: "events", Default: "1000000", Min: 1, Max: maxInt, Meaning: "The most events in the channel."},
			Property{Name: "keep-alive", Type: Duration, Unit: "s", Default: "3", Min: 0, Max: maxInt, Meaning: "How long a put waits for room."},
		)...),
	},
	{
		Category: Channel, Name: "spillablememory", Class: "org.apache.flume.channel.SpillableMemoryChannel",
		Meaning: "Keeps events in memory and, when that is full, on disk.",
		Note:    "All events lie in the store from the start, synced once a second: a crash of sluice loses none, one of the machine at most the last second.",
		Properties: with(channelCommon, with(fileStore,
			Property{Name: "memoryCapacity", Type: Int, Unit: "events", Default: "10000", Min: 0, Max: maxInt, Lenient: true, Meaning: "The most events in memory; 0 keeps all on disk.", Support: Noted, Note: "The channel holds memoryCapacity and overflowCapacity events together."},
			Property{Name: "overflowCapacity", Type: Int, Unit: "events", Default: "100000000", Min: 0, Max: maxInt, Lenient: true, Meaning: "The most events on disk; 0 keeps all in memory."},
			Property{Name: "overflowTimeout", Type: Duration, Unit: "s", Default: "3", Min: 0, Max: maxInt, Lenient: true, Meaning: "How long a put waits for memory before it goes to disk."},
			Property{Name: "overflowDeactivationThreshold", Type: Int, Unit: "%", Default: "5", Min: 0, Max: 100, Lenient: true, Meaning: "How much of the memory has to be free before it is used again.", Support: Ignored, Note: unspilled},
			Property{Name: "byteCapacity", Type: Long, Unit: "bytes", Min: 0, Max: maxLong, Lenient: true, Meaning: "The most bytes of bodies in memory; 0 is no limit.", Support: Ignored, Note: unspilled},
			Property{Name: "byteCapacityBufferPercentage", Type: Int, Unit: "%", Default: "20", Min: 0, Max: 100, Lenient: true, Meaning: "The share of byteCapacity that is set aside for headers.", Support: Ignored, Note: unspilled},
			Property{Name: "avgEventSize", Type: Int, Unit: "bytes", Default: "500", Min: 1, Max: maxInt, Lenient: true, Meaning: "The guessed size of an event.", Support: Ignored, Note: "sluice counts the real sizes."},
			Property{Name: "keep-alive", Type: Duration, Unit: "s", Meaning: "Has no effect on this channel.", Support: Ignored, Note: "Flume takes overflowTimeout, and so does sluice."},
			Property{Name: "capacity", Type: Int, Unit: "events", Meaning: "Has no effect on this channel.", Support: Ignored, Note: "Flume takes memoryCapacity and overflowCapacity, and so does sluice."},
		)...),
	},
}

const unspilled = "Events lie in the store from the start, so there is nothing to spill."

// fileStore are the properties of Flume's file channel that its spillable
// channel has too.
var fileStore = []Property{
	{Name: "transactionCapacity", Type: Int, Unit: "events", Default: "10000", Min: 1, Max: maxInt, Meaning: "The most events of one put or take."},
	{Name: "checkpointDir", Type: Path, Default: "~/.flume/file-channel/checkpoint", Meaning: "Flume's directory for checkpoints.", Support: Noted, Note: "sluice agent without --data keeps its store below it; checkpoints themselves are not needed."},
	{Name: "dataDirs", Type: String, Default: "~/.flume/file-channel/data", Meaning: "Flume's directories for its log files, separated by commas.", Support: Ignored, Note: "Events lie in sluice's own store; what Flume left there is not touched."},
	{Name: "checkpointInterval", Type: Duration, Unit: "ms", Default: "30000", Min: 1, Max: maxLong, Meaning: "How often Flume writes a checkpoint.", Support: Ignored, Note: "There are no checkpoints: a position is written with each commit."},
	{Name: "maxFileSize", Type: Long, Unit: "bytes", Default: "1623195647", Min: 1, Max: maxLong, Meaning: "The size of Flume's log files.", Support: Ignored, Note: "The segments of sluice's store have a size of their own."},
	{Name: "minimumRequiredSpace", Type: Long, Unit: "bytes", Default: "524288000", Min: 0, Max: maxLong, Meaning: "How much space has to be free for the channel to take events.", Support: Noted, Note: "The store has one limit for all channels of a node; it refuses writes before the disk is full."},
	{Name: "useDualCheckpoints", Type: Bool, Default: "false", Meaning: "Whether Flume keeps a second checkpoint.", Support: Ignored, Note: "There are no checkpoints."},
	{Name: "backupCheckpointDir", Type: Path, Meaning: "Flume's directory for the second checkpoint.", Support: Ignored, Note: "There are no checkpoints."},
	{Name: "compressBackupCheckpoint", Type: Bool, Default: "false", Meaning: "Whether Flume's second checkpoint is compressed.", Support: Ignored, Note: "There are no checkpoints."},
	{Name: "checkpointOnClose", Type: Bool, Default: "true", Meaning: "Whether Flume writes a checkpoint when it stops.", Support: Ignored, Note: "There are no checkpoints."},
	{Name: "use-log-replay-v1", Type: Bool, Default: "false", Meaning: "Which way of replay Flume takes.", Support: Ignored, Note: "There is no replay."},
	{Name: "use-fast-replay", Type: Bool, Default: "false", Meaning: "Whether Flume replays without its queue.", Support: Ignored, Note: "There is no replay."},
	{Name: "fsyncPerTransaction", Type: Bool, Default: "true", Meaning: "Whether a put is on disk before it is acknowledged.", Support: Noted, Note: "false is the flush policy interval: what was acknowledged in the last fsyncInterval can be lost when the machine stops."},
	{Name: "fsyncInterval", Type: Duration, Unit: "s", Default: "5", Min: 1, Max: maxInt, Meaning: "How often events are synced when fsyncPerTransaction is false."},
	{Name: "encryption.*", Type: String, Meaning: "Encryption of Flume's log files.", Support: Missing, Note: "The store is not encrypted yet and sluice does not pretend; put the data directory on an encrypted volume and remove the property."},
}
