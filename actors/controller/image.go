// Package controller keeps the metadata of the cluster: its topics and where
// their partitions are, configs, quotas, features, deployed topologies. All of
// it is an Image; every change of it is one batch in a log of its own, and an
// Image is what the log amounts to up to some offset.
package controller

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/persistence/record"
)

// Image is the metadata at one moment. It never changes, so that reading it
// takes no lock; nobody may write to what it hands out.
type Image struct {
	// ClusterID is Kafka's form of a UUID; "" before the first entry.
	ClusterID string
	// Epoch is the offset behind the last entry that is in the image.
	Epoch record.Offset
	// Controller is the node that changes the metadata, one of Brokers; -1
	// while there is none.
	Controller int32
	// Brokers are in the order of their nodes.
	Brokers []Broker

	topics    map[string]*Topic
	byID      map[TopicID]*Topic
	sorted    []*Topic          // by name
	alike     map[string]string // names by their form with "_" for "."
	configs   map[Resource]map[string]string
	quotas    map[string]Quota
	features  map[string]int16
	producers int64 // ids handed out so far
	deployed  map[string]string
}

// Broker is a node in its Kafka role.
type Broker struct {
	Node int32  `json:"node"` // from 1
	Host string `json:"host"` // as clients reach it
	Port int32  `json:"port"`
	Rack string `json:"rack,omitempty"` // "" is none
}

// TopicID tells a topic from a later one of the same name.
type TopicID [16]byte

// IsZero says that there is no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is Kafka's form of an id.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Hex is the id as it stands in the names of logs.
func (id TopicID) Hex() string { return hex.EncodeToString(id[:]) }

// MarshalText is String.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *TopicID) UnmarshalText(text []byte) error {
	_, err := base64.RawURLEncoding.Decode(id[:], text)
	return err
}

// Topic is a topic with its partitions. The partition with index i is
// Partitions[i].
type Topic struct {
	Name       string
	ID         TopicID
	Partitions []Partition
	Configs    map[string]string // those set on the topic itself
	Internal   bool
	// Ordered holds the order of keys when partitions are added.
	Ordered bool
}

// ReplicationFactor is how many replicas a partition of the topic has.
func (t *Topic) ReplicationFactor() int16 {
	if len(t.Partitions) == 0 {
		return 0
	}
	return int16(len(t.Partitions[0].Replicas))
}

// Partition is where one partition is. Of a partition that this node leads
// partition.Ref knows the epoch better.
type Partition struct {
	Index       int32
	Leader      int32 // -1: none
	LeaderEpoch int32
	Replicas    []int32
	ISR         []int32
}

// Topic finds a topic by its name.
func (i *Image) Topic(name string) (*Topic, bool) {
	t, ok := i.topics[name]
	return t, ok
}

// TopicByID finds a topic by its id.
func (i *Image) TopicByID(id TopicID) (*Topic, bool) {
	t, ok := i.byID[id]
	return t, ok
}

// Topics are all topics by name. The slice is the image's own.
func (i *Image) Topics() []*Topic { return i.sorted }

// Partitions counts the partitions of all topics.
func (i *Image) Partitions() int {
	n := 0
	for _, t := range i.sorted {
		n += len(t.Partitions)
	}
	return n
}

// Broker finds a broker by its node.
func (i *Image) Broker(node int32) (Broker, bool) {
	at, ok := slices.BinarySearchFunc(i.Brokers, node, func(b Broker, n int32) int { return cmp.Compare(b.Node, n) })
	if !ok {
		return Broker{}, false
	}
	return i.Brokers[at], true
}

// ResourceKind is what a config belongs to.
type ResourceKind string

// The kinds of resources that keep configs here; a topic keeps its own.
const (
	TopicResource  ResourceKind = "topic"
	BrokerResource ResourceKind = "broker" // by node as a number; "" is every broker
	GroupResource  ResourceKind = "group"
)

// Resource is the owner of configs.
type Resource struct {
	Kind ResourceKind `json:"kind"`
	Name string       `json:"name"`
}

// Configs are the values set on a resource itself, by Kafka's names; nil when
// there are none.
func (i *Image) Configs(r Resource) map[string]string {
	if r.Kind == TopicResource {
		if t, ok := i.topics[r.Name]; ok {
			return t.Configs
		}
		return nil
	}
	return i.configs[r]
}

// GroupConfig is a value set for a group.
func (i *Image) GroupConfig(group, name string) (string, bool) {
	v, ok := i.configs[Resource{GroupResource, group}][name]
	return v, ok
}

// BrokerConfig is a value set at run time for node, or else for all nodes.
func (i *Image) BrokerConfig(node int32, name string) (string, bool) {
	if v, ok := i.configs[brokerResource(node)][name]; ok {
		return v, ok
	}
	v, ok := i.configs[Resource{BrokerResource, ""}][name]
	return v, ok
}

// Configured are the resources of a kind that have configs of their own, by name.
func (i *Image) Configured(kind ResourceKind) []string {
	var names []string
	for r := range i.configs {
		if r.Kind == kind {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Quota is what one kind of client may use.
type Quota struct {
	Entity []QuotaEntity      `json:"entity"` // sorted by Type
	Values map[string]float64 `json:"values"`
}

// QuotaEntity is one property of the clients of a quota: a user, client-id or ip.
type QuotaEntity struct {
	Type    string `json:"type"`
	Name    string `json:"name,omitempty"`
	Default bool   `json:"default,omitempty"` // all that have no quota of their own
}

// Quotas are all quotas in an order that does not change.
func (i *Image) Quotas() []Quota {
	list := make([]Quota, 0, len(i.quotas))
	for _, key := range slices.Sorted(maps.Keys(i.quotas)) {
		list = append(list, i.quotas[key])
	}
	return list
}

// Features are the finalized features with their levels. The map is the image's own.
func (i *Image) Features() map[string]int16 { return i.features }

// Deployed are the deployed topologies: their definitions by name. The map is
// the image's own.
func (i *Image) Deployed() map[string]string { return i.deployed }

// quotaKey is the same for the same entity and for no other.
func quotaKey(entity []QuotaEntity) string {
	var b strings.Builder
	for _, e := range entity {
		b.WriteString(e.Type)
		if e.Default {
			b.WriteString("\x00d\x00")
			continue
		}
		b.WriteString("\x00n\x00" + e.Name + "\x00")
	}
	return b.String()
}

// brokerResource is the owner of the configs of one node.
func brokerResource(node int32) Resource {
	return Resource{BrokerResource, strconv.Itoa(int(node))}
}
