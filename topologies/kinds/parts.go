package kinds

// selectors choose the channels of each event.
var selectors = []*Kind{
	{
		Category: Selector, Name: "replicating", Class: "org.apache.flume.channel.ReplicatingChannelSelector",
		Meaning: "Puts each event into all channels of the source.",
		Properties: with(typeOnly,
			Property{Name: "optional", Type: List, Meaning: "The channels that may miss an event when they are full."},
		),
	},
	{
		Category: Selector, Name: "multiplexing", Class: "org.apache.flume.channel.MultiplexingChannelSelector",
		Meaning: "Chooses channels by the value of a header.",
		Properties: with(typeOnly,
			Property{Name: "header", Type: String, Default: "flume.selector.header", Meaning: "The name of the header."},
			Property{Name: "mapping.*", Type: List, Meaning: "The channels for one value of the header; letter case counts."},
			Property{Name: "default", Type: List, Meaning: "The channels for other values; without it such events are dropped."},
			Property{Name: "optional.*", Type: List, Meaning: "The channels for one value that may miss an event when they are full."},
		),
	},
	{
		Category: Selector, Name: "load_balancing", Class: "org.apache.flume.channel.LoadBalancingChannelSelector",
		Meaning: "Puts each event into one of the channels, in turn.",
		Properties: with(typeOnly,
			Property{Name: "policy", Type: Enum, Values: []string{"round_robin", "random"}, Default: "round_robin", Meaning: "How the channel is chosen."},
		),
	},
}

// processors say which sink of a group works.
var processors = []*Kind{
	{
		Category: Processor, Name: "default", Class: "org.apache.flume.sink.DefaultSinkProcessor",
		Meaning:    "Runs the one sink of the group.",
		Properties: typeOnly,
	},
	{
		Category: Processor, Name: "failover", Class: "org.apache.flume.sink.FailoverSinkProcessor",
		Meaning: "Runs the sink with the highest priority that works.",
		Properties: with(typeOnly,
			Property{Name: "priority.<sink>", Type: Int, Min: -maxInt - 1, Max: maxInt, Lenient: true, Meaning: "The priority of a sink; the highest goes first."},
			Property{Name: "maxpenalty", Type: Duration, Unit: "ms", Default: "30000", Min: 0, Max: maxInt, Meaning: "The longest time that a failed sink is left alone."},
		),
	},
	{
		Category: Processor, Name: "load_balance", Class: "org.apache.flume.sink.LoadBalancingSinkProcessor",
		Meaning: "Gives each batch to another sink of the group.",
		Properties: with(typeOnly,
			Property{Name: "selector", Type: Enum, Values: []string{"round_robin", "random"}, Default: "round_robin", Meaning: "How the sink is chosen."},
			Property{Name: "backoff", Type: Bool, Default: "false", Meaning: "Whether a failed sink is left alone for a while, longer each time."},
			Property{Name: "selector.maxTimeOut", Type: Duration, Unit: "ms", Default: "30000", Min: 0, Max: maxLong, Meaning: "The longest time that a failed sink is left alone."},
		),
	},
}

// interceptors change or drop events on their way to the channels.
var interceptors = []*Kind{
	{
		Category: Interceptor, Name: "timestamp", Class: "org.apache.flume.interceptor.TimestampInterceptor$Builder",
		Meaning: "Sets a header to the time in milliseconds.",
		Properties: with(typeOnly,
			Property{Name: "preserveExisting", Type: Bool, Default: "false", Meaning: "Whether a header that is there stays."},
			Property{Name: "headerName", Type: String, Default: "timestamp", Meaning: "The name of the header."},
		),
	},
	{
		Category: Interceptor, Name: "host", Class: "org.apache.flume.interceptor.HostInterceptor$Builder",
		Meaning: "Sets a header to this machine's address or name.",
		Properties: with(typeOnly,
			Property{Name: "preserveExisting", Type: Bool, Default: "false", Meaning: "Whether a header that is there stays."},
			Property{Name: "useIP", Type: Bool, Default: "true", Meaning: "Whether the header holds the address and not the name."},
			Property{Name: "hostHeader", Type: String, Default: "host", Meaning: "The name of the header."},
		),
	},
	{
		Category: Interceptor, Name: "static", Class: "org.apache.flume.interceptor.StaticInterceptor$Builder",
		Meaning: "Sets a header to a fixed value.",
		Properties: with(typeOnly,
			Property{Name: "preserveExisting", Type: Bool, Default: "true", Meaning: "Whether a header that is there stays."},
			Property{Name: "key", Type: String, Default: "key", Meaning: "The name of the header."},
			Property{Name: "value", Type: String, Default: "value", Meaning: "The value of the header."},
		),
	},
	{
		Category: Interceptor, Name: "regex_filter", Class: "org.apache.flume.interceptor.RegexFilteringInterceptor$Builder",
		Meaning: "Keeps or drops the events whose body holds a match.",
		Properties: with(typeOnly,
			Property{Name: "regex", Type: Regex, Default: ".*", Meaning: "What is looked for anywhere in the body."},
			Property{Name: "excludeEvents", Type: Bool, Default: "false", Meaning: "Whether events with a match are dropped and not kept."},
		),
	},
	{
		Category: Interceptor, Name: "regex_extractor", Class: "org.apache.flume.interceptor.RegexExtractorInterceptor$Builder",
		Meaning: "Sets headers to the groups of the first match in the body.",
		Note:    "A group that did not take part sets no header; in Flume it sets one without value.",
		Properties: with(typeOnly,
			Property{Name: "regex", Type: Regex, Required: true, Meaning: "What is looked for; its first group goes to the first serializer."},
			Property{Name: "serializers", Type: List, Required: true, Meaning: "The names of the serializers, one for each group."},
			Property{Name: "serializers.<name>.type", Type: Class, Category: Extractor, Default: "DEFAULT", Meaning: "What is done to the group's text."},
		),
	},
	{
		Category: Interceptor, Name: "search_replace", Class: "org.apache.flume.interceptor.SearchAndReplaceInterceptor$Builder",
		Meaning: "Replaces every match in the body.",
		Properties: with(typeOnly,
			Property{Name: "searchPattern", Type: Regex, Required: true, Meaning: "What is replaced."},
			Property{Name: "replaceString", Type: String, Meaning: "What comes in its place; $1 is the first group."},
			Property{Name: "charset", Type: Charset, Default: "UTF-8", Meaning: "The character set of the body."},
		),
	},
	{
		Category: Interceptor, Name: "remove_header", Class: "org.apache.flume.interceptor.RemoveHeaderInterceptor$Builder",
		Meaning: "Removes headers by name.",
		Properties: with(typeOnly,
			Property{Name: "withName", Type: String, Meaning: "The name of a header to remove."},
			Property{Name: "fromList", Type: String, Meaning: "The names of headers to remove."},
			Property{Name: "fromListSeparator", Type: Regex, Default: `\s*,\s*`, Meaning: "What stands between the names of fromList."},
			Property{Name: "matching", Type: Regex, Meaning: "Headers whose whole name matches are removed."},
		),
	},
	{
		Category: Interceptor, Name: "uuid", Class: "org.apache.flume.sink.solr.morphline.UUIDInterceptor$Builder",
		Meaning: "Sets a header to a random identifier.",
		Properties: with(typeOnly,
			Property{Name: "headerName", Type: String, Default: "id", Meaning: "The name of the header."},
			Property{Name: "preserveExisting", Type: Bool, Default: "true", Meaning: "Whether a header that is there stays."},
			Property{Name: "prefix", Type: String, Meaning: "What the identifier begins with."},
		),
	},
}

// extractors turn a group of regex_extractor into a header.
var extractors = []*Kind{
	{
		Category: Extractor, Name: "default", Class: "org.apache.flume.interceptor.RegexExtractorInterceptorPassThroughSerializer",
		Meaning:    "Takes the text as it is.",
		Properties: with(typeOnly, extractorName),
	},
	{
		Category: Extractor, Name: "millis", Class: "org.apache.flume.interceptor.RegexExtractorInterceptorMillisSerializer",
		Meaning: "Reads the text as a time and sets milliseconds.",
		Note:    "A text that is no such time sets no header; in Flume it makes the whole batch fail for ever.",
		Properties: with(typeOnly, extractorName,
			Property{Name: "pattern", Type: String, Required: true, Meaning: "The Joda pattern of the time, such as yyyy-MM-dd HH:mm."},
		),
	},
}

var extractorName = Property{Name: "name", Type: String, Required: true, Meaning: "The name of the header."}

// serializers write events to files.
var serializers = []*Kind{
	{
		Category: Serializer, Name: "text", Class: "org.apache.flume.serialization.BodyTextEventSerializer$Builder",
		Meaning:    "Writes the body.",
		Properties: []Property{appendNewline},
	},
	{
		Category: Serializer, Name: "header_and_text", Class: "org.apache.flume.serialization.HeaderAndBodyTextEventSerializer$Builder",
		Meaning:    "Writes the headers, a blank and the body.",
		Properties: []Property{appendNewline},
	},
	{
		Category: Serializer, Name: "avro_event", Class: "org.apache.flume.serialization.FlumeEventAvroEventSerializer$Builder",
		Meaning:    "Writes an Avro file of events with headers and body.",
		Properties: avroFile,
	},
	{
		Category: Serializer, Name: "AvroEventSerializer", Class: "org.apache.flume.sink.hdfs.AvroEventSerializer$Builder",
		Meaning: "Writes an Avro file of bodies that are Avro already.",
		Properties: with(avroFile,
			Property{Name: "schemaURL", Type: String, Meaning: "Where the schema is when no header tells it."},
		),
	},
}

var appendNewline = Property{Name: "appendNewline", Type: Bool, Default: "true", Meaning: "Whether a newline follows each event."}

var avroFile = []Property{
	{Name: "syncIntervalBytes", Type: Int, Unit: "bytes", Default: "2048000", Min: 32, Max: 1 << 30, Meaning: "The size of a block of the Avro file."},
	{Name: "compressionCodec", Type: Enum, Values: []string{"null", "deflate", "snappy", "bzip2", "xz", "zstandard"}, Default: "null", Meaning: "The compression inside the Avro file.", Support: Noted, Note: "bzip2 and xz are refused: there is no writer for them."},
}

// deserializers cut files into events.
var deserializers = []*Kind{
	{
		Category: Deserializer, Name: "line", Class: "org.apache.flume.serialization.LineDeserializer$Builder",
		Meaning: "Makes an event of each line.",
		Properties: []Property{
			{Name: "maxLineLength", Type: Int, Unit: "characters", Default: "2048", Min: 1, Max: maxInt, Meaning: "The longest line; a longer one becomes several events."},
			{Name: "outputCharset", Type: Charset, Default: "UTF-8", Meaning: "The character set of the bodies."},
		},
	},
	{
		Category: Deserializer, Name: "avro", Class: "org.apache.flume.serialization.AvroEventDeserializer$Builder",
		Meaning: "Makes an event of each record of an Avro file.",
		Properties: []Property{
			{Name: "schemaType", Type: Enum, Values: []string{"HASH", "LITERAL"}, Default: "HASH", Meaning: "Whether a header holds the schema's hash or the schema."},
		},
	},
	{
		Category: Deserializer, Name: "blob", Class: "org.apache.flume.sink.solr.morphline.BlobDeserializer$Builder",
		Meaning: "Makes one event of the whole file.",
		Properties: []Property{
			{Name: "maxBlobLength", Type: Int, Unit: "bytes", Default: "100000000", Min: 1, Max: maxInt, Meaning: "The largest event; a larger file becomes several."},
		},
	},
}

// handlers cut HTTP requests into events.
var handlers = []*Kind{
	{
		Category: Handler, Name: "json", Class: "org.apache.flume.source.http.JSONHandler",
		Meaning: "Reads a JSON array of events with headers and body.",
	},
	{
		Category: Handler, Name: "blob", Class: "org.apache.flume.source.http.BLOBHandler",
		Aliases: []string{"org.apache.flume.sink.solr.morphline.BlobHandler"},
		Meaning: "Makes one event of the whole request; its query parameters become headers.",
		Properties: []Property{
			{Name: "mandatoryParameters", Type: String, Meaning: "The query parameters that have to be there, separated by commas."},
			{Name: "maxBlobLength", Type: Int, Unit: "bytes", Default: "100000000", Min: 1, Max: maxInt, Meaning: "The largest request."},
		},
	},
}

// configFilters replace ${filter['key']} in values.
var configFilters = []*Kind{
	{
		Category: ConfigFilter, Name: "env", Class: "org.apache.flume.configfilter.EnvironmentVariableConfigFilter",
		Meaning:    "Takes values from the environment.",
		Properties: typeOnly,
	},
	{
		Category: ConfigFilter, Name: "external", Class: "org.apache.flume.configfilter.ExternalProcessConfigFilter",
		Meaning: "Takes values from the first line that a command prints.",
		Properties: with(typeOnly,
			Property{Name: "command", Type: String, Required: true, Meaning: "The command; the key becomes its last argument."},
			Property{Name: "charset", Type: Charset, Default: "UTF-8", Meaning: "The character set of what it prints."},
		),
	},
	{
		Category: ConfigFilter, Name: "hadoop", Class: "org.apache.flume.configfilter.HadoopCredentialStoreConfigFilter",
		Meaning: "Takes values from a Hadoop credential store.",
		Support: Missing, Note: "sluice does not read Hadoop's JCEKS files; use the env or external filter, or ${file:/path}.",
		Properties: with(typeOnly,
			Property{Name: "credential.provider.path", Type: String, Required: true, Meaning: "Where the credential store is."},
			Property{Name: "credstore.java-keystore-provider.password-file", Type: Path, Meaning: "The file with the password of the store."},
		),
	},
}

// pathManagers name the files of file_roll.
var pathManagers = []*Kind{
	{
		Category: PathManager, Name: "default", Class: "org.apache.flume.formatter.output.DefaultPathManager",
		Meaning:    "Names files by the milliseconds of the start and a number.",
		Properties: pathParts,
	},
	{
		Category: PathManager, Name: "rolltime", Class: "org.apache.flume.formatter.output.RollTimePathManager",
		Meaning:    "Names files by the date and time of the roll and a number.",
		Properties: pathParts,
	},
}

var pathParts = []Property{
	{Name: "prefix", Type: String, Meaning: "What file names begin with."},
	{Name: "extension", Type: String, Meaning: "The extension of file names, without the dot."},
}
