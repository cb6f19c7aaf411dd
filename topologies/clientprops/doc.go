// Package clientprops reads the settings of a Kafka client, by Kafka's own names
// (producer.properties, consumer.properties, kafka.producer.* and
// kafka.consumer.* of a flume.conf), into what franz-go understands, and says of
// every name what became of it. Nothing is dropped silently.
//
// The names, defaults and meanings are those of Apache Kafka's ProducerConfig
// and ConsumerConfig.
package clientprops
