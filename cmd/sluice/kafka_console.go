package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"
)

func newKafkaConsoleProducer() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-console-producer", "Write lines as records, as kafka-console-producer.sh does", `  sluice kafka-console-producer --bootstrap-server localhost:9092 --topic orders
  sluice kafka-console-producer --topic orders --property parse.key=true --property key.separator=:`)
	f := cmd.Flags()
	topic := f.String("topic", "", "the topic")
	properties := f.StringArray("property", nil, "of the line reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error")
	f.StringArrayVar(&broker.extra, "producer-property", nil, "a producer property, name=value")
	codec := f.String("compression-codec", "none", "none, gzip, snappy, lz4 or zstd")
	f.Lookup("compression-codec").NoOptDefVal = "gzip"
	acks := f.String("request-required-acks", "all", "all, -1, 0 or 1")
	batch := f.Int("batch-size", 16384, "bytes of a batch")
	linger := f.Int("timeout", 1000, "ms that a record may wait for others")
	for _, inert := range []string{"message-send-max-retries", "max-block-ms", "max-memory-bytes", "max-partition-memory-bytes",
		"metadata-expiry-ms", "request-timeout-ms", "retry-backoff-ms", "socket-buffer-size", "line-reader", "reader-config"} {
		f.String(inert, "", "taken and not needed")
	}
	f.Bool("sync", false, "taken and not needed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *topic == "" {
			return &usageError{errors.New("kafka-console-producer: want --topic")}
		}
		format, err := readerFormat(*properties)
		if err != nil {
			return err
		}
		set := func(flag, property, value string) {
			if cmd.Flags().Changed(flag) || broker.file == "" {
				broker.extra = append([]string{property + "=" + value}, broker.extra...)
			}
		}
		set("compression-codec", "compression.type", *codec)
		set("request-required-acks", "acks", *acks)
		set("batch-size", "batch.size", strconv.Itoa(*batch))
		set("timeout", "linger.ms", strconv.Itoa(*linger))
		var prompt func()
		if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
			prompt = func() { fmt.Fprint(cmd.OutOrStdout(), ">") }
		}
		_, err = produceLines(cmd, broker, *topic, -1, cmd.InOrStdin(), format, nil, prompt)
		return err
	}
	return cmd
}

// readerFormat reads the properties of Kafka's LineMessageReader.
func readerFormat(properties []string) (lineFormat, error) {
	f := lineFormat{}
	values := map[string]string{"key.separator": "\t", "headers.delimiter": "\t", "headers.separator": ",", "headers.key.separator": ":"}
	for _, p := range properties {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return f, &usageError{fmt.Errorf("--property %s: want name=value", p)}
		}
		switch k {
		case "parse.key", "key.separator", "parse.headers", "headers.delimiter", "headers.separator", "headers.key.separator", "null.marker", "ignore.error":
			values[k] = v
		default:
			return f, &usageError{fmt.Errorf("--property %s: kafka-console-producer has no such property", p)}
		}
	}
	if values["parse.key"] == "true" {
		f.keySeparator = unescape(values["key.separator"])
	}
	if values["parse.headers"] == "true" {
		f.headersDelimiter = unescape(values["headers.delimiter"])
	}
	f.headersSeparator, f.headerSeparator = values["headers.separator"], values["headers.key.separator"]
	f.nullMarker, f.ignoreError = values["null.marker"], values["ignore.error"] == "true"
	return f, nil
}

// unescape lets people write \t in a shell.
func unescape(s string) string { return strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(s) }

func newKafkaConsoleConsumer() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-console-consumer", "Print records, as kafka-console-consumer.sh does", `  sluice kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning
  sluice kafka-console-consumer --topic orders --group billing --max-messages 10 --property print.key=true`)
	f := cmd.Flags()
	topic := f.String("topic", "", "the topic")
	include := f.String("include", "", "a regular expression for topics")
	group := f.String("group", "", "the group to be a member of")
	beginning := f.Bool("from-beginning", false, "begin with the first record when the group has committed nothing")
	partition := f.Int32("partition", -1, "only this partition")
	offset := f.String("offset", "latest", "where to begin in the partition: earliest, latest or a number")
	most := f.Int64("max-messages", 0, "end after so many")
	idle := f.Int("timeout-ms", 0, "end when nothing has come for so long")
	isolation := f.String("isolation-level", "read_uncommitted", "read_uncommitted or read_committed")
	properties := f.StringArray("property", nil, "of the formatter: print.key, print.value, print.timestamp, print.offset, print.partition, print.headers, key.separator, line.separator, null.literal …")
	f.StringArrayVar(&broker.extra, "consumer-property", nil, "a consumer property, name=value")
	for _, inert := range []string{"formatter", "formatter-config", "key-deserializer", "value-deserializer"} {
		f.String(inert, "", "taken and not needed: records are bytes")
	}
	f.Bool("skip-message-on-error", false, "taken and not needed")
	f.Bool("enable-systest-events", false, "taken and not needed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (*topic == "") == (*include == "") {
			return &usageError{errors.New("kafka-console-consumer: want exactly one of --topic, --include")}
		}
		print, err := formatter(*properties)
		if err != nil {
			return err
		}
		start := "latest"
		if *beginning {
			start = "earliest"
		}
		if cmd.Flags().Changed("offset") {
			if *partition < 0 {
				return &usageError{errors.New("kafka-console-consumer: --offset needs --partition")}
			}
			start = *offset
		}
		at, err := parseOffset(start)
		if err != nil {
			return err
		}
		broker.extra = append([]string{"isolation.level=" + *isolation}, broker.extra...)
		r := reading{broker: broker, topics: []string{*topic}, group: *group, partition: *partition, at: at, most: *most,
			idle: time.Duration(*idle) * time.Millisecond, print: print}
		if *include != "" {
			if _, err := regexp.Compile(*include); err != nil {
				return &usageError{fmt.Errorf("--include %s: %w", *include, err)}
			}
			r.topics, r.pattern = []string{*include}, true
		}
		n, err := r.run(cmd)
		if err == nil || errors.Is(err, cmd.Context().Err()) {
			fmt.Fprintf(cmd.ErrOrStderr(), "Processed a total of %d messages\n", n)
		}
		return err
	}
	return cmd
}

// formatter reads the properties of Kafka's DefaultMessageFormatter.
func formatter(properties []string) (printFunc, error) {
	v := map[string]string{"print.value": "true", "key.separator": "\t", "line.separator": "\n", "headers.separator": ",", "null.literal": "null"}
	for _, p := range properties {
		k, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("--property %s: want name=value", p)}
		}
		v[k] = value
	}
	on := func(name string) bool { return v[name] == "true" }
	separator, end, null := unescape(v["key.separator"]), unescape(v["line.separator"]), v["null.literal"]
	text := func(b []byte) string {
		if b == nil {
			return null
		}
		return string(b)
	}
	return func(w *bufio.Writer, r *kgo.Record) error {
		var parts []string
		if on("print.timestamp") {
			kind := "CreateTime"
			if r.Attrs.TimestampType() == 1 {
				kind = "LogAppendTime"
			}
			parts = append(parts, kind+":"+strconv.FormatInt(r.Timestamp.UnixMilli(), 10))
		}
		if on("print.partition") {
			parts = append(parts, "Partition:"+strconv.Itoa(int(r.Partition)))
		}
		if on("print.offset") {
			parts = append(parts, "Offset:"+strconv.FormatInt(r.Offset, 10))
		}
		if on("print.headers") {
			var hs []string
			for _, h := range r.Headers {
				hs = append(hs, h.Key+":"+text(h.Value))
			}
			if len(hs) == 0 {
				hs = []string{"NO_HEADERS"}
			}
			parts = append(parts, strings.Join(hs, v["headers.separator"]))
		}
		if on("print.key") {
			parts = append(parts, text(r.Key))
		}
		if on("print.value") {
			parts = append(parts, text(r.Value))
		}
		_, err := w.WriteString(strings.Join(parts, separator) + end)
		return err
	}, nil
}
