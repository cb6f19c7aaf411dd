package clientprops

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const ours = "sluice's client decides it by itself"

// properties are the names that Kafka's clients know.
var properties = map[string]property{
	// Both.
	"bootstrap.servers": {apply: func(c *Client, s string) error {
		for _, server := range list(s) {
			if _, port, err := net.SplitHostPort(server); err != nil || port == "" {
				return fmt.Errorf("%q: want host:port, host:port", server)
			}
			c.Servers = append(c.Servers, server)
		}
		c.Options = append(c.Options, kgo.SeedBrokers(c.Servers...))
		return nil
	}},
	"client.id":                              text(kgo.ClientID),
	"client.rack":                            text(kgo.Rack),
	"metadata.max.age.ms":                    span(kgo.MetadataMaxAge),
	"request.timeout.ms":                     span(kgo.RequestTimeoutOverhead),
	"connections.max.idle.ms":                span(kgo.ConnIdleTimeout),
	"socket.connection.setup.timeout.ms":     span(kgo.DialTimeout),
	"security.protocol":                      {apply: protocol},
	"retry.backoff.ms":                       {inert: ours},
	"retry.backoff.max.ms":                   {inert: ours},
	"reconnect.backoff.ms":                   {inert: ours},
	"reconnect.backoff.max.ms":               {inert: ours},
	"send.buffer.bytes":                      {inert: "the operating system chooses", quiet: true},
	"receive.buffer.bytes":                   {inert: "the operating system chooses", quiet: true},
	"client.dns.lookup":                      {inert: ours, quiet: true},
	"interceptor.classes":                    {apply: refuse("Java classes cannot be loaded; use an interceptor of the agent")},
	"metric.reporters":                       {inert: "metrics are at /metrics"},
	"metrics.num.samples":                    {inert: "metrics are at /metrics", quiet: true},
	"metrics.sample.window.ms":               {inert: "metrics are at /metrics", quiet: true},
	"metrics.recording.level":                {inert: "metrics are at /metrics", quiet: true},
	"enable.metrics.push":                    {inert: "metrics are at /metrics", quiet: true},
	"auto.include.jmx.reporter":              {inert: "there is no JMX", quiet: true},
	"ssl.truststore.location":                {apply: refuse("TLS to Kafka comes with the security work; use PLAINTEXT")},
	"ssl.keystore.location":                  {apply: refuse("TLS to Kafka comes with the security work; use PLAINTEXT")},
	"sasl.mechanism":                         {apply: refuse("SASL comes with the security work; use PLAINTEXT")},
	"sasl.jaas.config":                       {apply: refuse("SASL comes with the security work; use PLAINTEXT")},
	"sasl.kerberos.service.name":             {apply: refuse("Kerberos is not supported")},
	"socket.connection.setup.timeout.max.ms": {inert: ours, quiet: true},

	// Producers.
	"acks": {side: Producer, apply: func(c *Client, s string) error {
		switch s {
		case "all", "-1":
			c.Options = append(c.Options, kgo.RequiredAcks(kgo.AllISRAcks()))
		case "1":
			c.Options = append(c.Options, kgo.RequiredAcks(kgo.LeaderAck()))
		case "0":
			c.Options = append(c.Options, kgo.RequiredAcks(kgo.NoAck()))
		default:
			return fmt.Errorf("%q: want all, -1, 0 or 1", s)
		}
		return nil
	}},
	"compression.type": {side: Producer, apply: func(c *Client, s string) error {
		codec, err := Codec(s)
		if err == nil {
			c.Options = append(c.Options, kgo.ProducerBatchCompression(codec))
		}
		return err
	}},
	"compression.gzip.level": {side: Producer, inert: ours},
	"compression.lz4.level":  {side: Producer, inert: ours},
	"compression.zstd.level": {side: Producer, inert: ours},
	"linger.ms":              sided(Producer, span(kgo.ProducerLinger)),
	"batch.size": {side: Producer, apply: func(c *Client, s string) error {
		n, err := number(s, 0, 1<<30)
		if err == nil {
			// franz-go wants room for one record with its frame.
			c.Options = append(c.Options, kgo.ProducerBatchMaxBytes(int32(max(n, 1024))))
		}
		return err
	}},
	"max.request.size": {side: Producer, apply: func(c *Client, s string) error {
		n, err := number(s, 1024, 1<<30)
		if err == nil {
			c.Options = append(c.Options, kgo.BrokerMaxWriteBytes(int32(n)))
			if _, sized := c.values["batch.size"]; !sized {
				c.Options = append(c.Options, kgo.ProducerBatchMaxBytes(int32(n)-512))
			}
		}
		return err
	}},
	"buffer.memory": {side: Producer, apply: func(c *Client, s string) error {
		n, err := number(s, 1, 1<<40)
		if err == nil {
			c.Options = append(c.Options, kgo.MaxBufferedBytes(int(n)))
		}
		return err
	}},
	"enable.idempotence": {side: Producer, apply: func(_ *Client, s string) error {
		_, err := strconv.ParseBool(s)
		return err
	}},
	"transactional.id": {side: Producer, apply: func(c *Client, s string) error {
		if c.TransactionalID = s; s != "" {
			c.Options = append(c.Options, kgo.TransactionalID(s))
		}
		return nil
	}},
	"transaction.timeout.ms": sided(Producer, span(kgo.TransactionTimeout)),
	"retries": {side: Producer, apply: func(c *Client, s string) error {
		n, err := number(s, 0, 1<<31-1)
		if err == nil {
			c.Options = append(c.Options, kgo.RecordRetries(int(n)))
		}
		return err
	}},
	"delivery.timeout.ms": sided(Producer, span(kgo.RecordDeliveryTimeout)),
	"max.in.flight.requests.per.connection": {side: Producer, apply: func(c *Client, s string) error {
		n, err := number(s, 1, 1000)
		if err == nil && c.values["enable.idempotence"] == "false" {
			c.Options = append(c.Options, kgo.MaxProduceRequestsInflightPerBroker(int(n)))
		} else if err == nil && n > 5 {
			return fmt.Errorf("%d: an idempotent producer allows at most 5", n)
		}
		return err
	}},
	"max.block.ms":                             {side: Producer, inert: ours},
	"key.serializer":                           {side: Producer, inert: "records are bytes", quiet: true},
	"value.serializer":                         {side: Producer, inert: "records are bytes", quiet: true},
	"metadata.max.idle.ms":                     {side: Producer, inert: ours, quiet: true},
	"partitioner.adaptive.partitioning.enable": {side: Producer, inert: ours, quiet: true},
	"partitioner.availability.timeout.ms":      {side: Producer, inert: ours, quiet: true},
	"partitioner.ignore.keys": {side: Producer, apply: func(c *Client, s string) error {
		ignore, err := strconv.ParseBool(s)
		if err == nil && ignore {
			c.Options = append(c.Options, kgo.RecordPartitioner(kgo.StickyPartitioner()))
		}
		return err
	}},
	"partitioner.class": {side: Producer, apply: func(c *Client, s string) error {
		switch short(s) {
		case "RoundRobinPartitioner":
			c.Options = append(c.Options, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		case "UniformStickyPartitioner":
			c.Options = append(c.Options, kgo.RecordPartitioner(kgo.StickyPartitioner()))
		case "DefaultPartitioner", "BuiltInPartitioner", "":
		default:
			return fmt.Errorf("%q: Java classes cannot be loaded; want DefaultPartitioner, RoundRobinPartitioner or UniformStickyPartitioner", s)
		}
		return nil
	}},

	// Consumers.
	"group.id": {side: Consumer, apply: func(c *Client, s string) error {
		c.Group = s
		return nil
	}},
	"group.instance.id":     sided(Consumer, text(kgo.InstanceID)),
	"group.protocol":        {side: Consumer, apply: oneOf("classic", "consumer")},
	"group.remote.assignor": {side: Consumer, inert: ours},
	"auto.offset.reset": {side: Consumer, apply: func(c *Client, s string) error {
		switch s {
		case "earliest":
			c.Options = append(c.Options, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		case "latest":
			c.Options = append(c.Options, kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
		case "none":
			c.Options = append(c.Options, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		default:
			return fmt.Errorf("%q: want earliest, latest or none", s)
		}
		return nil
	}},
	"enable.auto.commit": {side: Consumer, apply: func(c *Client, s string) (err error) {
		c.AutoCommit, err = strconv.ParseBool(s)
		return err
	}},
	"auto.commit.interval.ms": {side: Consumer, inert: ours, quiet: true},
	"session.timeout.ms":      sided(Consumer, span(kgo.SessionTimeout)),
	"heartbeat.interval.ms":   sided(Consumer, span(kgo.HeartbeatInterval)),
	"max.poll.interval.ms":    sided(Consumer, span(kgo.RebalanceTimeout)),
	"max.poll.records": {side: Consumer, apply: func(c *Client, s string) error {
		n, err := number(s, 1, 1<<31-1)
		c.MaxPoll = int(n)
		return err
	}},
	"fetch.min.bytes":           sided(Consumer, count32(kgo.FetchMinBytes)),
	"fetch.max.bytes":           sided(Consumer, count32(kgo.FetchMaxBytes)),
	"max.partition.fetch.bytes": sided(Consumer, count32(kgo.FetchMaxPartitionBytes)),
	"fetch.max.wait.ms":         sided(Consumer, span(kgo.FetchMaxWait)),
	"isolation.level": {side: Consumer, apply: func(c *Client, s string) error {
		switch s {
		case "read_committed":
			c.Options = append(c.Options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		case "read_uncommitted":
			c.Options = append(c.Options, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
		default:
			return fmt.Errorf("%q: want read_committed or read_uncommitted", s)
		}
		return nil
	}},
	"partition.assignment.strategy": {side: Consumer, apply: strategy},
	"key.deserializer":              {side: Consumer, inert: "records are bytes", quiet: true},
	"value.deserializer":            {side: Consumer, inert: "records are bytes", quiet: true},
	"check.crcs":                    {side: Consumer, inert: "checksums are always checked", quiet: true},
	"exclude.internal.topics":       {side: Consumer, inert: ours, quiet: true},
	"default.api.timeout.ms":        {side: Consumer, inert: ours, quiet: true},
	"allow.auto.create.topics": {side: Consumer, apply: func(c *Client, s string) error {
		allow, err := strconv.ParseBool(s)
		if err == nil && allow {
			c.Options = append(c.Options, kgo.AllowAutoTopicCreation())
		}
		return err
	}},
}

func text[O kgo.Opt](option func(string) O) property {
	return property{apply: func(c *Client, s string) error {
		c.Options = append(c.Options, option(s))
		return nil
	}}
}

// span is a setting in milliseconds.
func span[O kgo.Opt](option func(time.Duration) O) property {
	return property{apply: func(c *Client, s string) error {
		n, err := number(s, 0, 1<<40)
		if err == nil {
			c.Options = append(c.Options, option(time.Duration(n)*time.Millisecond))
		}
		return err
	}}
}

func count32[O kgo.Opt](option func(int32) O) property {
	return property{apply: func(c *Client, s string) error {
		n, err := number(s, 0, 1<<31-1)
		if err == nil {
			c.Options = append(c.Options, option(int32(n)))
		}
		return err
	}}
}

func sided(side Side, p property) property {
	p.side = side
	return p
}

func refuse(why string) func(*Client, string) error {
	return func(*Client, string) error { return errors.New(why) }
}

func oneOf(words ...string) func(*Client, string) error {
	return func(_ *Client, s string) error {
		for _, w := range words {
			if s == w {
				return nil
			}
		}
		return fmt.Errorf("%q: want %s", s, strings.Join(words, " or "))
	}
}

func protocol(c *Client, s string) error {
	switch strings.ToUpper(s) {
	case "PLAINTEXT", "":
		return nil
	case "SSL":
		c.Options = append(c.Options, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
		return nil
	}
	return fmt.Errorf("%q: want PLAINTEXT, or SSL with the system's certificates; SASL comes with the security work", s)
}

// Codec is the codec that compression.type names.
func Codec(s string) (kgo.CompressionCodec, error) {
	switch s {
	case "none", "":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("%q: want none, gzip, snappy, lz4 or zstd", s)
}

func strategy(c *Client, s string) error {
	var balancers []kgo.GroupBalancer
	for _, class := range list(s) {
		switch short(class) {
		case "RangeAssignor", "range":
			balancers = append(balancers, kgo.RangeBalancer())
		case "RoundRobinAssignor", "roundrobin":
			balancers = append(balancers, kgo.RoundRobinBalancer())
		case "StickyAssignor", "sticky":
			balancers = append(balancers, kgo.StickyBalancer())
		case "CooperativeStickyAssignor", "cooperative-sticky":
			balancers = append(balancers, kgo.CooperativeStickyBalancer())
		default:
			return fmt.Errorf("%q: Java classes cannot be loaded; want RangeAssignor, RoundRobinAssignor, StickyAssignor or CooperativeStickyAssignor", class)
		}
	}
	if len(balancers) > 0 {
		c.Options = append(c.Options, kgo.Balancers(balancers...))
	}
	return nil
}

// short is a class name without its package.
func short(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

func list(s string) (out []string) {
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func number(s string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: want a whole number from %d to %d", s, least, most)
	}
	return n, nil
}
