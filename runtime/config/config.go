// Package config is a node's settings: their defaults, and what the file, the
// environment and the flags say instead, with the place each value came from.
package config

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Node is what a node is started with.
type Node struct {
	Name           string
	Dir            string // where everything durable lies
	HTTP           string // the admin API's address; "" is only the socket in Dir
	Kafka          Kafka
	Flush          string // always, interval:D or os
	ValueThreshold int64  // bytes; larger batches keep their bytes in segments
	MinFree        int64  // bytes that the volume must have left for a write; 0: as the store sees fit
	Drain          time.Duration
	AllowExec      bool
	AllowChaos     bool
	InsecurePublic bool
	LogLevel       string
}

// Kafka is how a node serves topics.
type Kafka struct {
	Listen string // "" opens no port
	// Always runs the broker without a port, too: for topologies with topics.
	Always    bool
	Advertise string // HOST:PORT that clients are told; "" is Listen
	Node      int32  // the broker's number; 0: that at the end of the node's name, else 1
	Rack      string
	// AutoCreateTopics makes topics when clients first ask for them.
	AutoCreateTopics  bool
	NumPartitions     int64 // of topics that do not say
	ReplicationFactor int64
	// Clamp lowers replication factors to the nodes there are.
	Clamp bool
	// RebalanceDelay is how long an empty group waits for more members.
	RebalanceDelay time.Duration
	// OffsetsPartitions and TransactionsPartitions are what the topics of the
	// coordinators are made with.
	OffsetsPartitions, TransactionsPartitions int64
}

// setting is one of Node's fields under its name in flags, files and (in
// capitals, with SLUICE_ before it) the environment.
type setting struct {
	name, standard, meaning string
	set                     func(n *Node, text string) error
}

var settings = []setting{
	{"node", "n1", "the node's name", text(func(n *Node) *string { return &n.Name })},
	{"data", "", "directory of the node's store", text(func(n *Node) *string { return &n.Dir })},
	{"http", "", "HOST:PORT of the admin API (port 0: any free one); empty: only the socket in the data directory",
		text(func(n *Node) *string { return &n.HTTP })},
	{"kafka", "", "HOST:PORT for Kafka's protocol (port 0: any free one); empty: no such port", text(func(n *Node) *string { return &n.Kafka.Listen })},
	{"kafka-advertise", "", "HOST:PORT that Kafka clients are told to connect to; empty: where the node listens", advertise},
	{"broker-id", "0", "the node's number as a Kafka broker, from 1; 0: the number at the end of its name, else 1", brokerID},
	{"rack", "", "where the node stands, as Kafka clients are told", text(func(n *Node) *string { return &n.Kafka.Rack })},
	{"auto-create-topics", "false", "make topics when Kafka clients first ask for them", truth(func(n *Node) *bool { return &n.Kafka.AutoCreateTopics })},
	{"num-partitions", "4", "partitions of a topic that does not say (1 to 10000)", within(1, 10_000, func(n *Node) *int64 { return &n.Kafka.NumPartitions })},
	{"default-replication-factor", "1", "replicas of a topic that does not say", within(1, 1000, func(n *Node) *int64 { return &n.Kafka.ReplicationFactor })},
	{"replication-factor-clamp", "false", "lower a replication factor above the nodes there are, rather than refuse it", truth(func(n *Node) *bool { return &n.Kafka.Clamp })},
	{"group-initial-rebalance-delay", "0s", "how long an empty consumer group waits for more members; Kafka waits 3s", duration(func(n *Node) *time.Duration { return &n.Kafka.RebalanceDelay })},
	{"offsets-topic-num-partitions", "8", "partitions that the topic of committed offsets is made with",
		within(1, 1000, func(n *Node) *int64 { return &n.Kafka.OffsetsPartitions })},
	{"transaction-state-log-num-partitions", "8", "partitions that the topic of transactions is made with",
		within(1, 1000, func(n *Node) *int64 { return &n.Kafka.TransactionsPartitions })},
	{"flush", "always", "when a write counts: always (synced), interval:D, os", flush},
	{"store-value-threshold", "16384", "bytes above which a batch's bytes lie in value segments",
		number(func(n *Node) *int64 { return &n.ValueThreshold })},
	{"store-min-free", "0", "bytes that must be left on the volume, or writes are refused; 0: 500 MiB, less on a small volume",
		number(func(n *Node) *int64 { return &n.MinFree })},
	{"drain", "30s", "how long a stopping node waits for its sinks", duration(func(n *Node) *time.Duration { return &n.Drain })},
	{"allow-exec", "false", "let configurations run commands (exec sources)", truth(func(n *Node) *bool { return &n.AllowExec })},
	{"allow-chaos", "false", "let the commands actor kill and actor restart disturb the node", truth(func(n *Node) *bool { return &n.AllowChaos })},
	{"insecure-public", "false", "let listeners without a password be reached from other machines",
		truth(func(n *Node) *bool { return &n.InsecurePublic })},
	{"log-level", "info", "debug, info, warn or error", level},
}

// Origin says where a setting's value came from.
type Origin struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"` // default, a file's name, a variable's name, or flag
}

// Input is everything that may speak of settings. What stands later in this
// struct wins.
type Input struct {
	Standard map[string]string // other defaults than the usual ones
	File     string            // a YAML file of name: value; "" is none
	Environ  []string          // as os.Environ has it
	Flags    map[string]string // only those given
}

// Read is the settings that in amounts to. Every error names its place.
func Read(in Input) (Node, []Origin, error) {
	file, err := readFile(in.File)
	if err != nil {
		return Node{}, nil, err
	}
	environ := map[string]string{}
	for _, kv := range in.Environ {
		k, v, _ := strings.Cut(kv, "=")
		environ[k] = v
	}
	var n Node
	var origins []Origin
	for _, s := range settings {
		o := Origin{s.name, s.standard, "default"}
		if v, ok := in.Standard[s.name]; ok {
			o.Value = v
		}
		if v, ok := file[s.name]; ok {
			o.Value, o.From = v, in.File
		}
		if v, ok := environ[Variable(s.name)]; ok {
			o.Value, o.From = v, Variable(s.name)
		}
		if v, ok := in.Flags[s.name]; ok {
			o.Value, o.From = v, "flag"
		}
		if err := s.set(&n, o.Value); err != nil {
			return Node{}, nil, fmt.Errorf("%s (%s): %w", s.name, o.From, err)
		}
		origins = append(origins, o)
	}
	return n, origins, nil
}

// Names are all settings, in their order.
func Names() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

// Meaning is the setting called name in a sentence, with its default.
func Meaning(name string) (meaning, standard string) {
	for _, s := range settings {
		if s.name == name {
			return s.meaning, s.standard
		}
	}
	return "", ""
}

// Variable is the environment's name of a setting: SLUICE_ALLOW_EXEC.
func Variable(name string) string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fileMax bounds a settings file.
const fileMax = 1 << 20

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err != nil {
		return nil, err
	}
	if len(content) > fileMax {
		return nil, fmt.Errorf("%s: more than %d bytes", path, fileMax)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want lines of `name: value`", path, top.Line)
	}
	values := map[string]string{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		switch _, twice := values[key.Value]; {
		case !known(key.Value):
			return nil, fmt.Errorf("%s:%d: unknown setting %q; there are: %s", path, key.Line, key.Value, strings.Join(Names(), ", "))
		case value.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("%s:%d: %s: want one value", path, value.Line, key.Value)
		case twice:
			return nil, fmt.Errorf("%s:%d: %s stands in the file twice", path, key.Line, key.Value)
		}
		values[key.Value] = value.Value
	}
	return values, nil
}

func known(name string) bool {
	for _, s := range settings {
		if s.name == name {
			return true
		}
	}
	return false
}

func text(field func(*Node) *string) func(*Node, string) error {
	return func(n *Node, v string) error {
		*field(n) = v
		return nil
	}
}

func number(field func(*Node) *int64) func(*Node, string) error {
	return func(n *Node, v string) error {
		i, err := strconv.ParseInt(v, 10, 64)
		if err != nil || i < 0 {
			return fmt.Errorf("%q is not a number of bytes", v)
		}
		*field(n) = i
		return nil
	}
}

func within(least, most int64, field func(*Node) *int64) func(*Node, string) error {
	return func(n *Node, v string) error {
		i, err := strconv.ParseInt(v, 10, 64)
		if err != nil || i < least || i > most {
			return fmt.Errorf("%q is not a number from %d to %d", v, least, most)
		}
		*field(n) = i
		return nil
	}
}

// advertise reads an address that clients can connect to.
func advertise(n *Node, v string) error {
	n.Kafka.Advertise = v
	if v == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not HOST:PORT", v)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return fmt.Errorf("%q is no address that clients can connect to", v)
	}
	if i, err := strconv.ParseUint(port, 10, 16); err != nil || i == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535", v)
	}
	return nil
}

func brokerID(n *Node, v string) error {
	i, err := strconv.ParseInt(v, 10, 32)
	if err != nil || i < 0 {
		return fmt.Errorf("%q is not the number of a broker: 1 or more", v)
	}
	n.Kafka.Node = int32(i)
	return nil
}

// BrokerID is the node's number as a broker: what is set, or the number at the
// end of its name, or 1.
func (n Node) BrokerID() int32 {
	if n.Kafka.Node > 0 {
		return n.Kafka.Node
	}
	digits := n.Name[len(strings.TrimRight(n.Name, "0123456789")):]
	if i, err := strconv.ParseInt(digits, 10, 32); err == nil && i > 0 {
		return int32(i)
	}
	return 1
}

func truth(field func(*Node) *bool) func(*Node, string) error {
	return func(n *Node, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*field(n) = b
		return nil
	}
}

func duration(field func(*Node) *time.Duration) func(*Node, string) error {
	return func(n *Node, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a length of time such as 30s", v)
		}
		*field(n) = d
		return nil
	}
}

func flush(n *Node, v string) error {
	n.Flush = v
	if v == "always" || v == "os" {
		return nil
	}
	if d, ok := strings.CutPrefix(v, "interval:"); ok {
		if every, err := time.ParseDuration(d); err == nil && every > 0 {
			return nil
		}
	}
	return fmt.Errorf("%q is not a flush policy: always, interval:D (interval:10ms) or os", v)
}

func level(n *Node, v string) error {
	switch v {
	case "debug", "info", "warn", "error":
		n.LogLevel = v
		return nil
	}
	return fmt.Errorf("%q is not a log level: debug, info, warn, error", v)
}
