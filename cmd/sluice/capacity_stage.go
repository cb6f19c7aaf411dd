package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/e2e/gen"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

const (
	// usualBatch is what neighbours take and give at once.
	usualBatch = 1000
	// capacityBytesMax is the most that one stage moves.
	capacityBytesMax = 512 << 20
	// A source is given so much to read for each second, at most so much, the
	// same block again and again.
	feedBytes, feedBytesMax, feedBlockBytes = 256 << 20, 256 << 20, 4 << 20
)

// stress is a source that makes records of the size asked for, and how many.
func (r *capacityRun) stress(batch int, channel string) (topologies.Component, int64) {
	n := max(capacityBytesMax/int64(r.asked.Size), usualBatch)
	return component(kinds.Source, "stress", "r1", map[string]string{
		"size": strconv.Itoa(r.asked.Size), "batchSize": strconv.Itoa(batch), "maxTotalEvents": strconv.FormatInt(n, 10),
	}, channel), n
}

func memory(name string) topologies.Component {
	return component(kinds.Channel, "memory", name, map[string]string{"capacity": "100000", "transactionCapacity": "100000"})
}

func null(batch int, channel string) topologies.Component {
	return component(kinds.Sink, "null", "k1", map[string]string{"batchSize": strconv.Itoa(batch), "logEveryNEvents": "1000000000"}, channel)
}

// batchOf is how many records a source or sink moves at once.
func batchOf(c topologies.Component) int {
	if c.Kind.BatchProperty == "" {
		return 100
	}
	return max(c.Settings.Int(c.Kind.BatchProperty), 1)
}

// room is how many records the channel takes at once.
func (w *way) room() int {
	if n := w.channel.Settings.Int("transactionCapacity"); n > 0 {
		return n
	}
	return usualBatch
}

// batchIn is the largest batch that a source of the way writes.
func (w *way) batchIn() int {
	n := 0
	for _, s := range w.sources {
		n = max(n, batchOf(s))
	}
	return w.fitting(n)
}

// batchOut is the largest batch that a sink of the way takes.
func (w *way) batchOut() int {
	n := 0
	for _, k := range w.sinks {
		n = max(n, batchOf(k))
	}
	return w.fitting(n)
}

// fitting is a batch as the channel allows it; 0 stands for one that nobody
// named.
func (w *way) fitting(batch int) int {
	if batch == 0 {
		batch = usualBatch
	}
	return min(batch, w.room())
}

// notFed is why a source cannot be given records here; "" where it can.
func notFed(s topologies.Component) string {
	switch s.Kind.Name {
	case "taildir", "exec", "seq", "stress", "kafka":
		return ""
	case "spooldir":
		if d := s.Settings.String("deserializer"); !strings.EqualFold(d, "LINE") && d != "" {
			return "its deserializer " + d + " does not read lines"
		}
		return ""
	}
	return "what comes from outside decides its rate; the whole is measured with the stress source in its place"
}

// needsFeed says whether any source reads lines.
func needsFeed(ways []way) bool {
	return slices.ContainsFunc(ways, func(w way) bool {
		return slices.ContainsFunc(w.sources, func(s topologies.Component) bool {
			return notFed(s) == "" && s.Kind.Name != "seq" && s.Kind.Name != "stress" && s.Kind.Name != "kafka"
		})
	})
}

// writeFeed writes the lines that sources read: e2e/gen's text, cut into lines
// of the size asked for.
func (r *capacityRun) writeFeed() error {
	dir := filepath.Join(r.dir, "feed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	r.feed = filepath.Join(dir, "lines.log")
	block := feedBlock(r.asked.Size)
	lines := int64(len(block) / (r.asked.Size + 1))
	f, err := os.Create(r.feed)
	if err != nil {
		return err
	}
	for wanted := min(feedBytes*r.f.seconds, feedBytesMax); r.lines == 0 || float64(r.lines*int64(r.asked.Size+1)) < wanted; r.lines += lines {
		if _, err := f.Write(block); err != nil {
			f.Close()
			return fmt.Errorf("write lines for sources: %w", err)
		}
	}
	return f.Close()
}

// feedBlock is lines of one size, some mebibytes of them.
func feedBlock(size int) []byte {
	lines := gen.New(gen.Seed)
	block := make([]byte, 0, feedBlockBytes+size+1)
	var text []byte
	for len(block) < feedBlockBytes {
		for len(text) < size {
			text = lines.Next(text)
			text[len(text)-1] = ' '
		}
		block = append(append(block, text[:size]...), '\n')
		text = text[:copy(text, text[size:])]
	}
	return block
}

// fed is a source of the file that reads the generated lines, with its state
// below dir, and how many records it gives.
func (r *capacityRun) fed(s topologies.Component, dir, kafka, channel string) (topologies.Component, int64, error) {
	s.Channels = []string{channel}
	s = changed(s, nil, "selector.")
	switch s.Kind.Name {
	case "taildir":
		return changed(s, map[string]string{
			"positionFile": filepath.Join(dir, "positions.json"), "filegroups": "f1",
			"filegroups.f1": filepath.Join(filepath.Dir(r.feed), `lines\.log`),
		}, "filegroups", "headers.", "skipToEnd"), r.lines, nil
	case "spooldir":
		spool := filepath.Join(dir, "spool")
		if err := os.Mkdir(spool, 0o700); err != nil {
			return s, 0, err
		}
		if err := os.Link(r.feed, filepath.Join(spool, "lines.log")); err != nil {
			return s, 0, err
		}
		s = changed(s, map[string]string{"spoolDir": spool}, "trackerDir", "includePattern", "ignorePattern", "inputCharset")
		if !s.Settings.Has("deserializer.maxLineLength") {
			s = changed(s, map[string]string{"deserializer.maxLineLength": strconv.Itoa(max(r.asked.Size, 2048))})
		}
		return s, r.lines, nil
	case "exec":
		return changed(s, map[string]string{"command": "cat " + r.feed}, "shell", "restart"), r.lines, nil
	case "kafka":
		k := &kafkaCapacity{run: r, addr: kafka}
		ctx, cancel := context.WithTimeout(context.Background(), k.length()+firstMax)
		defer cancel()
		fl, err := k.produce(ctx, feedTopic)
		return changed(s, map[string]string{"kafka.bootstrap.servers": kafka, "kafka.topics": feedTopic, "kafka.consumer.auto.offset.reset": "earliest"},
			"kafka.topics.regex", "kafka.consumer.", "topic", "groupId", "useFlumeEventFormat", "zookeeper", "migrate"), fl.records, err
	case "stress":
		n := max(capacityBytesMax/int64(r.asked.Size), usualBatch)
		return changed(s, map[string]string{"size": strconv.Itoa(r.asked.Size), "maxTotalEvents": strconv.FormatInt(n, 10)}, "maxSuccessfulEvents"), n, nil
	}
	return changed(s, nil, "totalEvents"), 0, nil
}

// stored is a channel of the file with its files below dir, or its topic in the
// broker at kafka.
func stored(c topologies.Component, dir, kafka string) topologies.Component {
	if c.Kind.Name == "kafka" {
		return changed(c, map[string]string{"kafka.bootstrap.servers": kafka, "kafka.topic": "capacity-channel"}, "kafka.producer.", "kafka.consumer.", "brokerList", "topic")
	}
	if !slices.ContainsFunc(c.Kind.Properties, func(p kinds.Property) bool { return p.Name == "checkpointDir" }) {
		return c
	}
	return changed(c, map[string]string{"checkpointDir": filepath.Join(dir, "checkpoint"), "dataDirs": filepath.Join(dir, "data")}, "backupCheckpointDir")
}

// written is a sink of the file that writes below dir, or to the broker at
// kafka.
func written(k topologies.Component, dir, kafka, channel string) topologies.Component {
	k.Channels = []string{channel}
	out := filepath.Join(dir, "out")
	switch k.Kind.Name {
	case "file_roll":
		return changed(k, map[string]string{"sink.directory": out})
	case "hdfs":
		return changed(k, map[string]string{"hdfs.path": "file://" + out, "hdfs.useLocalTimeStamp": "true"})
	case "kafka":
		acks, compression := k.Settings.String("kafka.producer.acks"), k.Settings.String("kafka.producer.compression.type")
		k = changed(k, map[string]string{"kafka.bootstrap.servers": kafka, "kafka.topic": "capacity"},
			"kafka.producer.", "brokerList", "topic", "requiredAcks", "defaultPartitionId", "partitionIdHeader")
		if acks != "" {
			k = changed(k, map[string]string{"kafka.producer.acks": acks})
		}
		if compression != "" {
			k = changed(k, map[string]string{"kafka.producer.compression.type": compression})
		}
	}
	return k
}
