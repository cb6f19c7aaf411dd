package kinds

const (
	later     = "This version of sluice does not have it yet; "
	noJava    = "sluice cannot load Java classes; "
	morphline = "sluice cannot run morphlines; use regex_extractor, search_replace and static interceptors instead."
	gone      = "The service behind it is gone; "
)

// missingSources are kinds that people have in their files and that sluice
// refuses, each with a reason.
var missingSources = []*Kind{
	{Category: Source, Name: "avro", Class: "org.apache.flume.source.AvroSource", Meaning: "Takes events by Avro RPC from other agents.", Note: later + "use the http source, or syslogtcp, until it does."},
	{Category: Source, Name: "thrift", Class: "org.apache.flume.source.ThriftSource", Meaning: "Takes events by Thrift RPC.", Note: later + "use the http source until it does."},
	{Category: Source, Name: "multiport_syslogtcp", Class: "org.apache.flume.source.MultiportSyslogTCPSource", Meaning: "Listens for syslog messages on several TCP ports.", BatchProperty: "batchSize", Note: later + "use one syslogtcp source for each port."},
	{Category: Source, Name: "netcatudp", Class: "org.apache.flume.source.NetcatUdpSource", Meaning: "Makes an event of each UDP datagram.", Note: later + "use syslogudp, which keeps a text that is no syslog message as it is."},
	{Category: Source, Name: "jms", Class: "org.apache.flume.source.jms.JMSSource", Meaning: "Reads messages from a JMS queue or topic.", BatchProperty: "batchSize", Note: "There is no JMS outside Java; let the broker send to the http source, or read it over AMQP or STOMP with a bridge."},
	{Category: Source, Name: "scribe", Class: "org.apache.flume.source.scribe.ScribeSource", Meaning: "Takes events by Scribe's protocol.", Note: "Scribe is no longer in use; use the http source."},
	{Category: Source, Name: "twitter", Class: "org.apache.flume.source.twitter.TwitterSource", Meaning: "Reads a sample of Twitter's messages.", Note: gone + "remove the source."},
	{Category: Source, Name: "avroLegacy", Class: "org.apache.flume.source.avroLegacy.AvroLegacySource", Meaning: "Takes events of Flume 0.9 by Avro RPC.", Note: "Flume 0.9 is no longer in use; use the http source."},
	{Category: Source, Name: "thriftLegacy", Class: "org.apache.flume.source.thriftLegacy.ThriftLegacySource", Meaning: "Takes events of Flume 0.9 by Thrift RPC.", Note: "Flume 0.9 is no longer in use; use the http source."},
	{Category: Source, Name: "SQLSource", Class: "org.keedio.flume.source.SQLSource", Meaning: "Polls a SQL database (by Keedio).", Note: noJava + "run a query client from an exec source, or write its rows to a directory for spooldir."},
	{Category: Source, Name: "cloudera.TwitterSource", Class: "com.cloudera.flume.source.TwitterSource", Meaning: "Reads a sample of Twitter's messages (by Cloudera).", Note: gone + "remove the source."},
	{Category: Source, Name: "RabbitMQSource", Class: "com.aweber.flume.source.rabbitmq.RabbitMQSource", Meaning: "Reads a RabbitMQ queue (by AWeber).", Note: noJava + "let a shovel or a small client post to the http source."},
}

var missingChannels = []*Kind{
	{Category: Channel, Name: "jdbc", Class: "org.apache.flume.channel.jdbc.JdbcChannel", Meaning: "Keeps events in a Derby database.", Note: "sluice has no Derby; use type = file, which is durable too and faster."},
	{Category: Channel, Name: "PseudoTxnMemoryChannel", Class: "org.apache.flume.channel.PseudoTxnMemoryChannel", Meaning: "Keeps events in memory without transactions.", Note: "It was for Flume's own tests; use type = memory."},
}

var missingSinks = []*Kind{
	{Category: Sink, Name: "avro", Class: "org.apache.flume.sink.AvroSink", Meaning: "Sends events by Avro RPC to another agent.", BatchProperty: "batch-size", Note: later + "use file_roll, or hdfs on a shared file system, until it does."},
	{Category: Sink, Name: "thrift", Class: "org.apache.flume.sink.ThriftSink", Meaning: "Sends events by Thrift RPC.", BatchProperty: "batch-size", Note: later + "use file_roll until it does."},
	{Category: Sink, Name: "http", Class: "org.apache.flume.sink.http.HttpSink", Meaning: "Posts each event to a URL.", Note: later + "use file_roll until it does."},
	{Category: Sink, Name: "irc", Class: "org.apache.flume.sink.irc.IRCSink", Meaning: "Writes events to an IRC channel.", Note: "Nobody was found to use it; write to file_roll and follow the files with a bot."},
	{Category: Sink, Name: "hive", Class: "org.apache.flume.sink.hive.HiveSink", Meaning: "Writes events to Hive tables.", BatchProperty: "batchSize", Note: "Hive's transactions need its Java libraries; use the hdfs sink with a dated path and an external table over it."},
	{Category: Sink, Name: "hbase", Class: "org.apache.flume.sink.hbase.HBaseSink", Meaning: "Writes events to an HBase table.", BatchProperty: "batchSize", Note: "sluice has no HBase client; write files with the hdfs sink and bulk load them."},
	{Category: Sink, Name: "asynchbase", Class: "org.apache.flume.sink.hbase.AsyncHBaseSink", Meaning: "Writes events to an HBase table.", BatchProperty: "batchSize", Note: "sluice has no HBase client; write files with the hdfs sink and bulk load them."},
	{Category: Sink, Name: "hbase2", Class: "org.apache.flume.sink.hbase2.HBase2Sink", Meaning: "Writes events to an HBase 2 table.", BatchProperty: "batchSize", Note: "sluice has no HBase client; write files with the hdfs sink and bulk load them."},
	{Category: Sink, Name: "elasticsearch", Class: "org.apache.flume.sink.elasticsearch.ElasticSearchSink", Meaning: "Writes events to Elasticsearch.", Note: later + "Flume itself dropped it in 1.10; write files with file_roll and let a shipper load them."},
	{Category: Sink, Name: "morphline_solr", Class: "org.apache.flume.sink.solr.morphline.MorphlineSolrSink", Meaning: "Writes events to Solr through a morphline.", BatchProperty: "batchSize", Note: morphline},
	{Category: Sink, Name: "MorphlineSink", Class: "org.apache.flume.sink.solr.morphline.MorphlineSink", Meaning: "Gives events to a morphline.", BatchProperty: "batchSize", Note: morphline},
	{Category: Sink, Name: "KuduSink", Class: "org.apache.flume.sink.kudu.KuduSink", Aliases: []string{"kudu", "org.apache.kudu.flume.sink.KuduSink"}, Meaning: "Writes events to a Kudu table.", Note: "sluice has no Kudu client; write files with the hdfs sink and load them with Impala or Spark."},
	{Category: Sink, Name: "SparkSink", Class: "org.apache.spark.streaming.flume.sink.SparkSink", Meaning: "Lets Spark Streaming pull events (by Spark).", Note: "Spark removed its Flume receiver in 3.0; let Spark read files, or a topic once sluice has topics."},
}

var missingParts = map[Category][]*Kind{
	Interceptor: {
		{Category: Interceptor, Name: "MorphlineInterceptor", Class: "org.apache.flume.sink.solr.morphline.MorphlineInterceptor$Builder", Meaning: "Runs a morphline over each event.", Note: morphline},
	},
}
