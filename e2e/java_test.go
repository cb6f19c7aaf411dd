package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// java runs Kafka's own clients and tools, each in a virtual machine of its own,
// as Kafka's scripts do. e2e/java/get.sh fetches them into $SLUICE_JAVA.
type java struct {
	t    *testing.T
	addr string
	dir  string
	jars string
}

const javaMax = 120 * time.Second

func newJava(t *testing.T) *java {
	t.Helper()
	jars := os.Getenv("SLUICE_JAVA")
	if jars == "" {
		t.Skip("skipped: SLUICE_JAVA names no directory that e2e/java/get.sh has filled")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("skipped: there is no java")
	}
	for _, c := range testedClients {
		if c.jar != "" {
			if _, err := os.Stat(filepath.Join(jars, c.jar)); err != nil {
				t.Fatalf("%s is not what e2e/java/get.sh fetches: %v", jars, err)
			}
		}
	}
	k := newKafkaNode(t, "--auto-create-topics")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(k.messages())
		}
	})
	return &java{t: t, addr: k.addr, dir: k.dir, jars: jars}
}

// try runs a program with the jars of a set; in is its input.
func (j *java) try(set, in, program string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(j.t.Context(), javaMax)
	defer cancel()
	c := exec.CommandContext(ctx, "java", append([]string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(j.jars, set, "*"), program}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stdin = strings.NewReader(in)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	return out.String(), errs.String(), err
}

// tool runs one of Kafka's tools, named by its class below org.apache.kafka.tools
// or in full, against the node, and returns what it printed.
func (j *java) tool(class string, args ...string) string {
	j.t.Helper()
	return j.toolWith("", class, args...)
}

// toolWith gives the tool an input.
func (j *java) toolWith(in, class string, args ...string) string {
	j.t.Helper()
	if !strings.HasPrefix(class, "kafka.") {
		class = "org.apache.kafka.tools." + class
	}
	switch server := []string{"--bootstrap-server", j.addr}; class {
	case "org.apache.kafka.tools.ProducerPerformance":
		args = append(args, "--producer-props", "bootstrap.servers="+j.addr)
	case "org.apache.kafka.tools.TransactionalMessageCopier":
		args = append(args, "--broker-list", j.addr)
	case "org.apache.kafka.tools.ClusterTool":
		args = append(args, server...)
	default:
		args = append(server, args...)
	}
	out, errs, err := j.try("tools", in, class, args...)
	if err != nil {
		j.t.Fatalf("%s %s: %v\n%s%s", class, strings.Join(args, " "), err, out, errs)
	}
	return out
}

// refused runs a tool that has to fail, and returns what it said.
func (j *java) refused(class string, args ...string) string {
	j.t.Helper()
	out, errs, err := j.try("tools", "", "org.apache.kafka.tools."+class, append([]string{"--bootstrap-server", j.addr}, args...)...)
	if err == nil {
		j.t.Errorf("%s %s succeeded: %s", class, strings.Join(args, " "), out)
	}
	return out + errs
}

// has fails unless the output holds each text, with blanks between words.
func (j *java) has(what, out string, wanted ...string) {
	j.t.Helper()
	plain := strings.Join(strings.Fields(out), " ")
	for _, want := range wanted {
		if !strings.Contains(plain, want) {
			j.t.Errorf("%s: %q is not in\n%s", what, want, out)
		}
	}
}

func sortedLines(out string) []string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return lines
}

// Classes of the tools.
const (
	topicsTool   = "TopicCommand"                        // kafka-topics.sh
	configsTool  = "kafka.admin.ConfigCommand"           // kafka-configs.sh
	writerTool   = "ConsoleProducer"                     // kafka-console-producer.sh
	readerTool   = "consumer.ConsoleConsumer"            // kafka-console-consumer.sh
	groupsTool   = "consumer.group.ConsumerGroupCommand" // kafka-consumer-groups.sh
	offsetsTool  = "GetOffsetShell"                      // kafka-get-offsets.sh
	sharesTool   = "consumer.group.ShareGroupCommand"    // kafka-share-groups.sh
	sharerTool   = "consumer.ConsoleShareConsumer"       // kafka-console-share-consumer.sh
	txnsTool     = "TransactionsCommand"                 // kafka-transactions.sh
	reassignTool = "reassign.ReassignPartitionsCommand"  // kafka-reassign-partitions.sh
	perfTool     = "ProducerPerformance"                 // kafka-producer-perf-test.sh
	copierTool   = "TransactionalMessageCopier"          // of Kafka's system tests
)

func TestJavaToolsAdministerTopics(t *testing.T) {
	j := newJava(t)
	j.has("create", j.tool(topicsTool, "--create", "--topic", "orders", "--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=86400000"), "Created topic orders.")
	j.tool(topicsTool, "--create", "--topic", "orders", "--if-not-exists")
	j.has("create again", j.refused(topicsTool, "--create", "--topic", "orders"), "'orders' already exists", "TopicExistsException")
	j.has("an unknown config", j.refused(topicsTool, "--create", "--topic", "bad", "--config", "nonsense=1"), "nonsense")
	j.has("too many replicas", j.refused(topicsTool, "--create", "--topic", "bad", "--replication-factor", "3"), "InvalidReplicationFactorException")
	j.has("describe", j.tool(topicsTool, "--describe", "--topic", "orders"), "PartitionCount: 3 ReplicationFactor: 1 Configs: retention.ms=86400000", "Partition: 2 Leader: 1 Replicas: 1 Isr: 1")
	j.tool(topicsTool, "--alter", "--topic", "orders", "--partitions", "5")
	j.has("more partitions", j.tool(topicsTool, "--describe"), "PartitionCount: 5")
	if out := j.tool(topicsTool, "--describe", "--under-replicated-partitions"); strings.TrimSpace(out) != "" {
		t.Errorf("under-replicated: %s", out)
	}

	j.tool(configsTool, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]")
	j.has("configs", j.tool(configsTool, "--describe", "--entity-type", "topics", "--entity-name", "orders"), "cleanup.policy=compact,delete", "max.message.bytes=2000000", "retention.ms=86400000")
	j.tool(configsTool, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--delete-config", "cleanup.policy")
	j.has("all configs", j.tool(configsTool, "--describe", "--entity-type", "topics", "--entity-name", "orders", "--all"), "cleanup.policy=delete", "min.insync.replicas=1")
	j.has("a broker's configs", j.tool(configsTool, "--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"), "auto.create.topics.enable=true")
	j.tool(configsTool, "--alter", "--entity-type", "clients", "--entity-name", "c1", "--add-config", "consumer_byte_rate=1048576")
	j.has("quotas", j.tool(configsTool, "--describe", "--entity-type", "clients"), "Quota configs for client-id 'c1' are consumer_byte_rate=1048576.0")

	j.has("log directories", j.tool("LogDirsCommand", "--describe", "--topic-list", "orders"), `"partition":"orders-4"`)
	j.tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
	j.has("reassignments", j.tool(reassignTool, "--list"), "No partition reassignments found.")
	j.has("features", j.tool("FeatureCommand", "describe"), "Feature: transaction.version SupportedMinVersion: 0 SupportedMaxVersion: 2 FinalizedVersionLevel: 2")
	j.has("versions", j.tool("BrokerApiVersionsCommand"), "Produce(0): 3 to 13", "(id: 1 rack: null isFenced: false)")
	j.has("the cluster's id", j.tool("ClusterTool", "cluster-id"), "Cluster ID:")
	j.tool(topicsTool, "--delete", "--topic", "orders")
	if out := j.tool(topicsTool, "--list", "--exclude-internal"); strings.TrimSpace(out) != "" {
		t.Errorf("after the deletion: %s", out)
	}
}

func TestJavaConsolesProduceAndConsume(t *testing.T) {
	j := newJava(t)
	want := sortedLines(thousand())
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		j.toolWith(thousand(), writerTool, "--topic", codec, "--compression-codec", codec)
		if got := sortedLines(j.tool(readerTool, "--topic", codec, "--from-beginning", "--max-messages", "1000")); !slices.Equal(got, want) {
			t.Errorf("%s: %d lines of 1000", codec, len(got))
		}
	}
	j.toolWith("h1:a,h2:b|k1;v1\n", writerTool, "--topic", "h", "--property", "parse.key=true", "--property", "key.separator=;",
		"--property", "parse.headers=true", "--property", "headers.delimiter=|")
	if got := j.tool(readerTool, "--topic", "h", "--from-beginning", "--max-messages", "1", "--property", "print.key=true", "--property", "print.headers=true"); got != "h1:a,h2:b\tk1\tv1\n" {
		t.Errorf("key, headers, value: %q", got)
	}
	// What groups have committed is where they go on, in both protocols.
	for _, protocol := range []string{"classic", "consumer"} {
		read := func(n string) string {
			return j.tool(readerTool, "--topic", "none", "--group", protocol, "--consumer-property", "group.protocol="+protocol,
				"--consumer-property", "auto.offset.reset=earliest", "--max-messages", n)
		}
		first := read("600")
		if got := sortedLines(first + read("400")); !slices.Equal(got, want) {
			t.Errorf("%s: the group read %d lines, not each of 1000 once", protocol, len(got))
		}
	}
	kept := 0
	for _, line := range sortedLines(j.tool(offsetsTool, "--topic", "__consumer_offsets")) {
		n := 0
		fmt.Sscan(line[strings.LastIndex(line, ":")+1:], &n)
		kept += n
	}
	j.has("what coordinators keep, as Kafka's formatter reads it", j.tool(readerTool, "--topic", "__consumer_offsets", "--from-beginning",
		"--max-messages", fmt.Sprint(kept), "--formatter", "org.apache.kafka.tools.consumer.OffsetsMessageFormatter"), `"group":"classic","topic":"none"`, `"group":"consumer"`)
}

func TestJavaToolsAdministerGroupsAndOffsets(t *testing.T) {
	j := newJava(t)
	j.tool(topicsTool, "--create", "--topic", "orders", "--partitions", "1")
	j.toolWith(thousand(), writerTool, "--topic", "orders")
	for _, protocol := range []string{"classic", "consumer"} {
		j.tool(readerTool, "--topic", "orders", "--group", protocol, "--from-beginning", "--max-messages", "1000", "--consumer-property", "group.protocol="+protocol)
	}
	for _, g := range []string{"classic", "consumer"} {
		j.has("list", j.tool(groupsTool, "--list"), g)
		j.has("describe", j.tool(groupsTool, "--describe", "--group", g), g+" orders 0 1000 1000 0")
		j.has("describe the state", j.tool(groupsTool, "--describe", "--group", g, "--state"), "Empty 0")
		j.tool(groupsTool, "--describe", "--group", g, "--members", "--verbose")
		j.has("reset", j.tool(groupsTool, "--group", g, "--reset-offsets", "--to-offset", "300", "--topic", "orders", "--execute"), g+" orders 0 300")
		j.has("after the reset", j.tool(groupsTool, "--describe", "--group", g), g+" orders 0 300 1000 700")
		j.has("reset by time, dry", j.tool(groupsTool, "--group", g, "--reset-offsets", "--by-duration", "PT1H", "--all-topics", "--dry-run"), g+" orders 0 0")
		j.has("delete offsets", j.tool(groupsTool, "--group", g, "--delete-offsets", "--topic", "orders"), "orders 0 Successful")
		j.has("delete", j.tool(groupsTool, "--group", g, "--delete"), "was successful")
	}
	if out := j.tool("GroupsCommand", "--list"); strings.Contains(out, "classic") || strings.Contains(out, "consumer") {
		t.Errorf("deleted groups are listed: %s", out)
	}

	list := filepath.Join(j.dir, "records.json")
	if err := os.WriteFile(list, []byte(`{"partitions":[{"topic":"orders","partition":0,"offset":100}],"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	j.has("delete records", j.tool("DeleteRecordsCommand", "--offset-json-file", list), "partition: orders-0 low_watermark: 100")
	for at, want := range map[string]string{"earliest": "orders:0:100", "latest": "orders:0:1000", "-2": "orders:0:100", "earliest-local": "orders:0:100", "1": "orders:0:100"} {
		if got := strings.TrimSpace(j.tool(offsetsTool, "--topic", "orders", "--time", at)); got != want {
			t.Errorf("offset at %s: %q, want %q", at, got, want)
		}
	}
}

// stay runs a tool until the test ends.
func (j *java) stay(class string, args ...string) {
	j.t.Helper()
	c := exec.CommandContext(j.t.Context(), "java", append([]string{"-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", filepath.Join(j.jars, "tools", "*"),
		"org.apache.kafka.tools." + class, "--bootstrap-server", j.addr}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { c.Wait() }) // the test's context has ended then
}

func TestJavaToolsShowGroupsAtWork(t *testing.T) {
	j := newJava(t)
	j.tool(topicsTool, "--create", "--topic", "orders", "--partitions", "2")
	for _, g := range []string{"classic", "consumer"} {
		j.stay(readerTool, "--topic", "orders", "--group", g, "--consumer-property", "group.protocol="+g)
		until(t, "the member has its partitions", func() bool {
			out, _, err := j.try("tools", "", "org.apache.kafka.tools."+groupsTool, "--bootstrap-server", j.addr, "--describe", "--group", g, "--members", "--verbose")
			return err == nil && strings.Contains(out, "orders:0,1")
		})
		j.has("state", j.tool(groupsTool, "--describe", "--group", g, "--state"), "Stable 1")
		j.has("delete", j.tool(groupsTool, "--delete", "--group", g), "GroupNotEmptyException")
	}
}

func TestJavaToolsMeasureAndVerify(t *testing.T) {
	j := newJava(t)
	j.has("producer", j.tool(perfTool, "--topic", "perf", "--num-records", "20000", "--record-size", "200", "--throughput", "-1"), "20000 records sent")
	j.has("consumer", j.tool("ConsumerPerformance", "--topic", "perf", "--messages", "20000", "--timeout", "60000", "--hide-header"), ", 20000, ")
	j.has("producer", j.tool("VerifiableProducer", "--topic", "v", "--max-messages", "500"), `"sent":500,"acked":500`)
	for _, protocol := range []string{"classic", "consumer"} {
		out := j.tool("VerifiableConsumer", "--topic", "v", "--group-id", protocol, "--group-protocol", protocol, "--max-messages", "500", "--reset-policy", "earliest")
		j.has(protocol, out, `"name":"partitions_assigned"`, `"success":true`, `"name":"shutdown_complete"`)
		read := 0
		for _, m := range regexp.MustCompile(`"records_consumed","count":(\d+)`).FindAllStringSubmatch(out, -1) {
			n := 0
			fmt.Sscan(m[1], &n)
			read += n
		}
		if read != 500 {
			t.Errorf("%s: %d records of 500", protocol, read)
		}
	}
}

func TestJavaToolsRunTransactions(t *testing.T) {
	j := newJava(t)
	j.tool(topicsTool, "--create", "--topic", "in", "--partitions", "1")
	j.tool(perfTool, "--topic", "in", "--num-records", "5000", "--record-size", "100", "--throughput", "-1", "--transactional-id", "p", "--transaction-duration-ms", "50")
	j.has("list", j.tool(txnsTool, "list"), "CompleteCommit")
	j.has("describe", j.tool(txnsTool, "describe", "--transactional-id", "p"), "CompleteCommit 60000")
	j.tool(txnsTool, "describe-producers", "--topic", "in", "--partition", "0")
	if out := sortedLines(j.tool(txnsTool, "find-hanging", "--broker-id", "1")); len(out) != 1 {
		t.Errorf("hanging transactions: %s", out)
	}
	out := j.tool(copierTool, "--input-topic", "in", "--input-partition", "0", "--output-topic", "out",
		"--transactional-id", "c", "--consumer-group", "c", "--transaction-size", "500", "--max-messages", "4000", "--enable-random-aborts")
	j.has("copy", out, `"stage":"ShutdownComplete"`)
	read := sortedLines(j.tool(readerTool, "--topic", "out", "--from-beginning", "--max-messages", "4000", "--isolation-level", "read_committed"))
	if len(read) != 4000 {
		t.Errorf("%d records were copied, want 4000", len(read))
	}
	j.has("the coordinator's log, as Kafka's formatter reads it", j.tool(readerTool, "--topic", "__transaction_state", "--from-beginning", "--max-messages", "3",
		"--formatter", "org.apache.kafka.tools.consumer.TransactionLogMessageFormatter"), `"transactionalId"`)
}

func TestJavaToolsShare(t *testing.T) {
	j := newJava(t)
	j.toolWith("a\nb\n", writerTool, "--topic", "shared")
	j.tool(configsTool, "--alter", "--entity-type", "groups", "--entity-name", "g", "--add-config", "share.auto.offset.reset=earliest")
	if got := sortedLines(j.tool(sharerTool, "--topic", "shared", "--group", "g", "--max-messages", "2", "--timeout-ms", "30000")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("shared: %q", got)
	}
	j.has("list", j.tool(sharesTool, "--list"), "g")
	j.has("describe", j.tool(sharesTool, "--describe", "--group", "g", "--state"), "Empty 0")
	j.has("delete", j.tool(sharesTool, "--group", "g", "--delete"), "was successful")
	j.has("verify", j.tool("VerifiableShareConsumer", "--topic", "shared", "--group-id", "v", "--max-messages", "2", "--offset-reset-strategy", "earliest"),
		`"records_consumed","count":2`, `"offsets_acknowledged","count":2`, `"success":true`)
}

// The same program with clients of today and of long ago.
func TestJavaApplicationsRun(t *testing.T) {
	j := newJava(t)
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip("skipped: there is no javac, and java cannot run a source file")
	}
	for _, set := range []string{"old", "tools"} {
		out, errs, err := j.try(set, "", filepath.Join("java", "Client.java"), j.addr, set+"-")
		if want := "administration\nrecords\ngroups\ntransactions\nfencing\n"; err != nil || out != want {
			t.Errorf("%s: %v\n%s%s", set, err, out, errs)
		}
	}
}
