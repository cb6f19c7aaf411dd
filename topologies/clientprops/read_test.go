package clientprops_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluicehq/sluice/topologies/clientprops"
)

func parse(t *testing.T, side clientprops.Side, text string) []clientprops.Setting {
	t.Helper()
	settings, err := clientprops.Parse("client.properties", []byte(text), side)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// The file that Kafka ships, and the blocks in which articles print it, say the
// same.
func TestBlocksAndPlainPropertiesMeanTheSame(t *testing.T) {
	plain := "bootstrap.servers=localhost:9092,[::1]:9093\nacks=all\ncompression.type=lz4\nlinger.ms=5\n"
	blocks := "producer.properties {\n  bootstrap.servers = localhost:9092,[::1]:9093\n  acks = all\n  compression.type = lz4\n  linger.ms = 5\n}\n" +
		"consumer.properties {\n  group.id = g\n}\n"
	for _, text := range []string{plain, blocks} {
		c, err := clientprops.Read(clientprops.Producer, parse(t, clientprops.Producer, text))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Servers) != 2 || c.Servers[1] != "[::1]:9093" || c.Value("linger.ms") != "5" || len(c.Remarks) != 0 {
			t.Fatalf("%q became %+v", text, c)
		}
		cl, err := kgo.NewClient(c.Options...)
		if err != nil {
			t.Fatalf("the client refuses the options: %v", err)
		}
		cl.Close()
	}
	c, err := clientprops.Read(clientprops.Consumer, parse(t, clientprops.Consumer, blocks))
	if err != nil || c.Group != "g" {
		t.Fatalf("the consumer's block: group %q, %v", c.Group, err)
	}
}

// A setting that cannot be is told with its place, and all of them at once.
func TestWrongValuesAreToldWithTheirPlaces(t *testing.T) {
	_, err := clientprops.Read(clientprops.Producer, parse(t, clientprops.Producer,
		"acks = two\nlinger.ms = soon\nbootstrap.servers = localhost\nsasl.mechanism = PLAIN\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"client.properties:1:", `"two": want all, -1, 0 or 1`, "client.properties:2:", `"soon"`, "client.properties:3:", "host:port", "SASL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestNothingIsDroppedSilently(t *testing.T) {
	c, err := clientprops.Read(clientprops.Consumer, parse(t, clientprops.Consumer,
		"group.id = g\nauto.ofset.reset = earliest\nlinger.ms = 5\nmetric.reporters = x\nkey.deserializer = a.b.StringDeserializer\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Remarks, "\n")
	for _, want := range []string{`did you mean "auto.offset.reset"`, "linger.ms is a setting of the producer", "metric.reporters is taken and changes nothing"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(c.Remarks) != 3 {
		t.Errorf("%d remarks, want 3:\n%s", len(c.Remarks), all)
	}
}

func TestSettingsThatContradictEachOtherAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"acks = 1\nenable.idempotence = true":              "want acks = all",
		"acks = 0\ntransactional.id = t":                   "want acks = all",
		"enable.idempotence = false\ntransactional.id = t": "want true",
		"max.in.flight.requests.per.connection = 6":        "at most 5",
		"partitioner.class = com.example.Mine":             "Java classes cannot be loaded",
		"interceptor.classes = com.example.Mine":           "Java classes cannot be loaded",
		"compression.type = brotli":                        "want none, gzip, snappy, lz4 or zstd",
	} {
		_, err := clientprops.Read(clientprops.Producer, parse(t, clientprops.Producer, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// acks = 1 works only without idempotence, which Kafka then switches off by
// itself; so do we.
func TestWeakAcksSwitchIdempotenceOff(t *testing.T) {
	for _, text := range []string{"acks = 1", "acks = 0", "enable.idempotence = false", ""} {
		c, err := clientprops.Read(clientprops.Producer, parse(t, clientprops.Producer, text))
		if err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(c.Options...)
		if err != nil {
			t.Fatalf("%q: the client refuses the options: %v", text, err)
		}
		cl.Close()
	}
}

// Every setting of the table makes options that the client takes.
func TestEverySettingIsTakenByTheClient(t *testing.T) {
	values := map[string]string{
		"bootstrap.servers": "localhost:9092", "acks": "all", "compression.type": "zstd", "auto.offset.reset": "earliest",
		"isolation.level": "read_committed", "enable.auto.commit": "false", "enable.idempotence": "true", "client.id": "c",
		"partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
		"partitioner.class":             "org.apache.kafka.clients.producer.RoundRobinPartitioner", "security.protocol": "PLAINTEXT", "group.protocol": "classic",
		"partitioner.ignore.keys": "true", "allow.auto.create.topics": "true", "group.id": "g", "transactional.id": "t", "client.rack": "r", "group.instance.id": "i",
		"max.in.flight.requests.per.connection": "5", "retries": "2147483647", "batch.size": "16384", "heartbeat.interval.ms": "3000",
		"session.timeout.ms": "45000", "max.poll.interval.ms": "300000", "max.request.size": "1048576",
	}
	for _, side := range []clientprops.Side{clientprops.Producer, clientprops.Consumer} {
		var settings []clientprops.Setting
		for _, name := range clientprops.Names(side) {
			v, ok := values[name]
			if !ok {
				v = "10000"
			}
			switch name {
			case "interceptor.classes", "ssl.truststore.location", "ssl.keystore.location", "sasl.mechanism", "sasl.jaas.config", "sasl.kerberos.service.name":
				continue // refused with a reason
			}
			settings = append(settings, clientprops.Setting{Name: name, Value: v})
		}
		c, err := clientprops.Read(side, settings)
		if err != nil {
			t.Fatal(err)
		}
		if side == clientprops.Consumer {
			c.Options = append(c.Options, kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics("t"))
		}
		cl, err := kgo.NewClient(c.Options...)
		if err != nil {
			t.Fatalf("%s: %v", side, err)
		}
		cl.Close()
	}
}
