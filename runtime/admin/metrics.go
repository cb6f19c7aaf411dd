package admin

import (
	"log/slog"
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicehq/sluice/actors/agent"
)

// metrics serves the node's status in Prometheus' format, with the process' own.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s.snapshot, s.o.Node.ActorTree},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn),
	})
}

// collector turns a Status into metrics when it is asked; nothing is counted
// twice.
type collector struct {
	status func() Status
	tree   func() ActorNode
}

var (
	onPart   = []string{"node", "agent", "component", "kind"}
	onReason = append(onPart[:4:4], "reason")
	onResult = append(onPart[:4:4], "result")

	buildInfo = desc("sluice_build_info", "1, with the version as label.", "version", "goversion")
	up        = desc("sluice_ready", "1 when everything deployed runs.", "node")
	insecure  = desc("sluice_insecure", "1 when the node was started with --insecure-public.", "node")
	writable  = desc("sluice_store_writable", "0 when the store refuses writes.", "node")
	freeBytes = desc("sluice_store_free_bytes", "What the store's volume has left.", "node")

	badgerTables    = desc("sluice_badger_tables", "Sorted tables of the store.", "node")
	badgerMemtables = desc("sluice_badger_memtables", "Write-ahead files of what is not in tables yet.", "node")
	badgerBytes     = desc("sluice_badger_size_bytes", "What the files of the store's Badger take, by part: table, memtable, value_log.", "node", "part")

	reloaded = desc("sluice_config_reload_success", "0 when the latest form of a topology was refused.", "node", "topology")

	partUp       = desc("sluice_component_up", "1 when the component runs.", onPart...)
	partRestarts = desc("sluice_component_restarts_total", "How often it was started anew after a failure.", onPart...)

	sourceReceived  = desc("sluice_source_events_received_total", "Events that came in.", onPart...)
	sourceAccepted  = desc("sluice_source_events_accepted_total", "Events that every required channel took.", onPart...)
	sourceMalformed = desc("sluice_source_malformed_total", "Input that was refused or marked invalid.", onPart...)
	sourceTruncated = desc("sluice_source_truncated_total", "Input that was cut to a limit.", onPart...)
	sourceLost      = desc("sluice_source_unacked_lost_total", "Events known to be lost by a source that cannot read again.", onPart...)
	sourceConns     = desc("sluice_source_connections", "Connections that are open.", onPart...)
	sourceFailed    = desc("sluice_source_failed_total", "What the source could not do.", onReason...)
	dropped         = desc("sluice_events_dropped_total", "Events left out by a rule of the configuration.", onReason...)

	channelEvents   = desc("sluice_channel_events", "Events held.", onPart...)
	channelCapacity = desc("sluice_channel_capacity_events", "Events that it may hold.", onPart...)
	channelBytes    = desc("sluice_channel_bytes", "Bytes held.", onPart...)
	channelFill     = desc("sluice_channel_fill_ratio", "Events held, of its capacity.", onPart...)
	channelPut      = desc("sluice_channel_put_total", "Events put (success), events tried (attempt), transactions refused (error).", onResult...)
	channelTake     = desc("sluice_channel_take_total", "Events taken for good (success), events tried (attempt), transactions rolled back (error).", onResult...)
	channelOldest   = desc("sluice_channel_oldest_event_age_seconds", "Age of the oldest event held.", onPart...)

	sinkDelivered = desc("sluice_sink_events_delivered_total", "Events delivered and committed.", onPart...)
	sinkAttempted = desc("sluice_sink_events_attempted_total", "Events that a delivery was tried for.", onPart...)
	sinkBytes     = desc("sluice_sink_bytes_total", "Bytes written.", onPart...)
	sinkTimeless  = desc("sluice_sink_timestamp_missing_total", "Events whose path needed a time that they did not carry.", onPart...)
	sinkFailed    = desc("sluice_sink_events_failed_total", "Events of failed deliveries; they are tried again.", onReason...)
	deadLetters   = desc("sluice_dead_letters_total", "Events that can never be delivered.", onReason...)

	onPartition  = []string{"node", "topic", "partition"}
	topicHW      = desc("sluice_topic_partition_high_watermark_offset", "The first offset that consumers cannot read yet.", onPartition...)
	topicStart   = desc("sluice_topic_partition_log_start_offset", "The first offset that is kept.", onPartition...)
	topicStable  = desc("sluice_topic_partition_last_stable_offset", "The first offset that an open transaction may yet decide about.", onPartition...)
	topicSize    = desc("sluice_topic_partition_size_bytes", "What the batches of a partition take.", onPartition...)
	topicLeader  = desc("sluice_topic_partition_leader", "The broker that leads the partition; -1 without one.", onPartition...)
	topicInSync  = desc("sluice_topic_partition_in_sync_replicas", "Replicas that have everything acknowledged.", onPartition...)
	kafkaClients = desc("sluice_kafka_connections", "Connections of Kafka's clients.", "node")

	ledgerEvents  = desc("sluice_ledger_events", "Where the events of an agent are, by account.", "node", "agent", "account")
	unaccounted   = desc("sluice_ledger_unaccounted_events", "Must be 0: events that no account explains.", "node", "agent", "component")
	actorMailbox  = desc("sluice_actor_mailbox_depth", "Messages waiting, by kind of actor.", "node", "kind")
	actorTime     = desc("sluice_actor_processing_seconds", "Time spent on messages, and how many there were, by kind of actor.", "node", "kind")
	actorRestarts = desc("sluice_actor_restarts_total", "Restarts after failures, by kind of actor.", "node", "kind")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe sends nothing: the labels depend on what is deployed.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends everything.
func (c collector) Collect(to chan<- prometheus.Metric) {
	st := c.status()
	m := meter{to: to}
	m.gauge(buildInfo, 1, st.Version, runtime.Version())
	m.gauge(up, truth(st.Ready()), st.Node)
	m.gauge(insecure, truth(st.Insecure), st.Node)
	m.gauge(writable, truth(st.Store.Writable), st.Node)
	if st.Store.FreeBytes > 0 {
		m.gauge(freeBytes, float64(st.Store.FreeBytes), st.Node)
	}
	b := st.Store.Badger
	m.gauge(badgerTables, float64(b.Tables), st.Node)
	m.gauge(badgerMemtables, float64(b.Memtables), st.Node)
	for part, bytes := range map[string]int64{"table": b.TableBytes, "memtable": b.MemtableBytes, "value_log": b.ValueLogBytes} {
		m.gauge(badgerBytes, float64(bytes), st.Node, part)
	}
	for _, d := range st.Deployed {
		m.gauge(reloaded, truth(d.ReloadError == ""), st.Node, d.Name)
	}
	for _, a := range st.Agents {
		m.agent(st.Node, a)
	}
	if st.Kafka != nil {
		m.topics(st.Node, st.Kafka)
	}
	m.actors(st.Node, c.tree())
}

func (m meter) topics(node string, k *KafkaStatus) {
	m.gauge(kafkaClients, float64(k.Connections), node)
	for _, t := range k.Topics {
		for _, p := range t.Partitions {
			on := []string{node, t.Name, strconv.Itoa(int(p.Index))}
			m.gauge(topicHW, float64(p.HighWatermark), on...)
			m.gauge(topicStart, float64(p.LogStart), on...)
			m.gauge(topicStable, float64(p.LastStable), on...)
			m.gauge(topicSize, float64(p.Size), on...)
			m.gauge(topicLeader, float64(p.Leader), on...)
			m.gauge(topicInSync, float64(p.InSync), on...)
		}
	}
}

// meter sends metrics under the labels it was given.
type meter struct{ to chan<- prometheus.Metric }

func (m meter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (m meter) counter(d *prometheus.Desc, v int64, labels ...string) {
	m.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// actors adds up the tree by kind.
func (m meter) actors(node string, tree ActorNode) {
	kinds := map[string]ActorNode{}
	tree.Walk(func(n ActorNode, _ int) {
		sum := kinds[n.Kind]
		sum.Mailbox += n.Mailbox
		sum.Restarts += n.Restarts
		sum.Messages += n.Messages
		sum.BusySeconds += n.BusySeconds
		kinds[n.Kind] = sum
	})
	for kind, sum := range kinds {
		m.gauge(actorMailbox, float64(sum.Mailbox), node, kind)
		m.counter(actorRestarts, sum.Restarts, node, kind)
		m.to <- prometheus.MustNewConstSummary(actorTime, uint64(sum.Messages), sum.BusySeconds, nil, node, kind)
	}
}

// byReason counts by reason. The usual ones are there from the start, with 0: a
// rate over a series that appears with its first count misses that one.
func (m meter) byReason(d *prometheus.Desc, counts map[string]int64, labels []string, usual ...string) {
	for _, reason := range usual {
		if _, ok := counts[reason]; !ok {
			m.counter(d, 0, append(labels[:len(labels):len(labels)], reason)...)
		}
	}
	for reason, n := range counts {
		m.counter(d, n, append(labels[:len(labels):len(labels)], reason)...)
	}
}

func (m meter) agent(node string, a agent.Status) {
	for _, s := range a.Sources {
		m.source([]string{node, a.Name, s.Name, s.Kind}, s)
	}
	for _, c := range a.Channels {
		m.channel([]string{node, a.Name, c.Name, c.Kind}, c)
	}
	for _, k := range a.Sinks {
		m.sink([]string{node, a.Name, k.Name, k.Kind}, k)
	}
	for account, n := range map[string]int64{
		"received": a.Ledger.Received, "copied": a.Ledger.Copied, "carried": a.Ledger.Carried,
		"delivered": a.Ledger.Delivered, "held": a.Ledger.Held, "dropped": a.Ledger.Dropped,
		"dead_lettered": a.Ledger.DeadLettered,
	} {
		m.gauge(ledgerEvents, float64(n), node, a.Name, account)
	}
	m.gauge(unaccounted, float64(a.Ledger.Unaccounted), node, a.Name, "")
	eachPart(a, func(category string, p agent.Part) {
		on := []string{node, a.Name, p.Name, p.Kind}
		m.gauge(partUp, truth(!blocking(p.State)), on...)
		m.counter(partRestarts, p.Restarts, on...)
		m.gauge(unaccounted, float64(p.Ledger.Unaccounted), node, a.Name, category+"/"+p.Name)
	})
}

func (m meter) source(on []string, s agent.SourceStatus) {
	n := s.Counts
	m.counter(sourceReceived, n.EventReceived, on...)
	m.counter(sourceAccepted, n.EventAccepted, on...)
	m.counter(sourceMalformed, n.Malformed, on...)
	m.counter(sourceTruncated, n.Truncated, on...)
	m.counter(sourceLost, n.Lost, on...)
	m.gauge(sourceConns, float64(n.OpenConnections), on...)
	m.byReason(sourceFailed, map[string]int64{
		"read": n.EventReadFail, "channel": n.ChannelWriteFail, "processing": n.GenericProcessingFail,
	}, on)
	m.byReason(dropped, s.Dropped, on, "selector")
}

func (m meter) channel(on []string, c agent.ChannelStatus) {
	m.gauge(channelEvents, float64(c.Size), on...)
	m.gauge(channelBytes, float64(c.Bytes), on...)
	if c.Capacity > 0 {
		m.gauge(channelCapacity, float64(c.Capacity), on...)
		m.gauge(channelFill, float64(c.Size)/float64(c.Capacity), on...)
	}
	m.byReason(channelPut, map[string]int64{"success": c.PutSuccess, "attempt": c.PutAttempt, "error": c.PutError}, on)
	m.byReason(channelTake, map[string]int64{"success": c.TakeSuccess, "attempt": c.TakeAttempt, "error": c.TakeError}, on)
	m.gauge(channelOldest, float64(c.OldestMs)/1000, on...)
}

func (m meter) sink(on []string, k agent.SinkStatus) {
	m.counter(sinkDelivered, k.Counts.EventDrainSuccess, on...)
	m.counter(sinkAttempted, k.Counts.EventDrainAttempt, on...)
	m.counter(sinkBytes, k.Counts.BytesWrote, on...)
	m.counter(sinkTimeless, k.Counts.TimestampMissing, on...)
	m.byReason(sinkFailed, k.Failed, on, "delivery")
	m.byReason(deadLetters, k.DeadLetters, on, "undeliverable")
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
