package controller

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/persistence/record"
)

// change is one step of the metadata: one record of its log, as JSON, so that a
// dump of the log can be read by people. Exactly one field is set. A change
// that does not fit the image, such as one of a topic that is gone, does nothing:
// what was decided is in the log, and replaying must come to the same end.
type change struct {
	Cluster    *clusterMade      `json:"cluster,omitempty"`
	Broker     *Broker           `json:"broker,omitempty"`
	Topic      *topicMade        `json:"topic,omitempty"`
	Gone       *topicGone        `json:"gone,omitempty"`
	Partitions *partitionsAdded  `json:"partitions,omitempty"`
	Replicas   *replicasMoved    `json:"replicas,omitempty"`
	Configs    *configsSet       `json:"configs,omitempty"`
	Quota      *Quota            `json:"quota,omitempty"`
	Features   map[string]int16  `json:"features,omitempty"`
	Producers  *producersGiven   `json:"producers,omitempty"`
	Deployed   *topologyDeployed `json:"deployed,omitempty"`
	// Snapshot stands before the records of one batch of a snapshot.
	Snapshot *snapshotPart `json:"snapshot,omitempty"`
}

// clusterMade is the first entry of all.
type clusterMade struct {
	ID string `json:"id"`
}

// topicMade is a new topic; its partitions are the replicas of each.
type topicMade struct {
	Name     string    `json:"name"`
	ID       TopicID   `json:"id"`
	Replicas [][]int32 `json:"replicas"`
	// Epochs are the leader epochs where they are not all 0: in snapshots.
	Epochs  []int32           `json:"epochs,omitempty"`
	Configs map[string]string `json:"configs,omitempty"`
	Ordered bool              `json:"ordered,omitempty"`
}

type topicGone struct {
	Name string  `json:"name"`
	ID   TopicID `json:"id"`
}

// partitionsAdded are the replicas of the partitions from From on.
type partitionsAdded struct {
	ID       TopicID   `json:"id"`
	From     int32     `json:"from"`
	Replicas [][]int32 `json:"replicas"`
}

// replicasMoved is a partition with other replicas, or the same in another order.
type replicasMoved struct {
	ID       TopicID `json:"id"`
	Index    int32   `json:"index"`
	Replicas []int32 `json:"replicas"`
}

// configsSet are all configs of a resource; none removes it from the list.
type configsSet struct {
	Resource
	Values map[string]string `json:"values,omitempty"`
}

// producersGiven says how many producer ids are handed out in all.
type producersGiven struct {
	Next int64 `json:"next"`
}

// topologyDeployed is a definition; without a text the name is undeployed.
type topologyDeployed struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

// snapshotPart says that the records behind it are part Part of Of of all that
// the metadata amounts to. The last one that is whole takes the place of
// everything before it.
type snapshotPart struct {
	Part int `json:"part"`
	Of   int `json:"of"`
}

// internal are the topics in which coordinators keep what they know.
var internal = map[string]bool{
	"__consumer_offsets": true, "__transaction_state": true, "__share_group_state": true,
}

// InternalTopic says whether a topic of this name belongs to a coordinator.
func InternalTopic(name string) bool { return internal[name] }

// edit makes a new image of an old one. What the changes touch is copied once,
// so that many of them cost little more than one.
type edit struct {
	image *Image
	own   struct{ topics, configs, quotas, features, deployed bool }
}

func newEdit(from *Image) *edit {
	image := *from
	return &edit{image: &image}
}

// emptyImage is the metadata before the first entry.
func emptyImage() *Image { return &Image{Controller: -1} }

func (e *edit) apply(c change) {
	switch {
	case c.Cluster != nil:
		e.image.ClusterID = c.Cluster.ID
	case c.Broker != nil:
		e.broker(*c.Broker)
	case c.Topic != nil:
		e.topic(c.Topic)
	case c.Gone != nil:
		e.gone(c.Gone)
	case c.Partitions != nil:
		e.partitions(c.Partitions)
	case c.Replicas != nil:
		e.replicas(c.Replicas)
	case c.Configs != nil:
		e.configs(c.Configs)
	case c.Quota != nil:
		e.quota(*c.Quota)
	case c.Features != nil:
		e.features(c.Features)
	case c.Producers != nil:
		e.image.producers = max(e.image.producers, c.Producers.Next)
	case c.Deployed != nil:
		e.deployed(c.Deployed)
	}
}

func (e *edit) broker(b Broker) {
	list := slices.Clone(e.image.Brokers)
	at, found := slices.BinarySearchFunc(list, b.Node, func(b Broker, n int32) int { return cmp.Compare(b.Node, n) })
	if found {
		list[at] = b
	} else {
		list = slices.Insert(list, at, b)
	}
	e.image.Brokers = list
}

// ownTopics makes the tables of topics this edit's own.
func (e *edit) ownTopics() {
	if e.own.topics {
		return
	}
	e.own.topics = true
	i := e.image
	i.topics, i.byID, i.alike = cloned(i.topics), cloned(i.byID), cloned(i.alike)
	i.sorted = slices.Clone(i.sorted)
}

// cloned is a copy that can be written to.
func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

func byName(t *Topic, name string) int { return strings.Compare(t.Name, name) }

// put has t in place of the topic of its name, or as a new one.
func (e *edit) put(t *Topic) {
	e.ownTopics()
	i := e.image
	i.topics[t.Name], i.byID[t.ID], i.alike[likeness(t.Name)] = t, t, t.Name
	at, found := slices.BinarySearchFunc(i.sorted, t.Name, byName)
	if found {
		i.sorted[at] = t
	} else {
		i.sorted = slices.Insert(i.sorted, at, t)
	}
}

func (e *edit) topic(c *topicMade) {
	if _, exists := e.image.topics[c.Name]; exists {
		return
	}
	t := &Topic{
		Name: c.Name, ID: c.ID, Partitions: partitionsOf(nil, c.Replicas), Configs: c.Configs,
		Internal: internal[c.Name], Ordered: c.Ordered,
	}
	for n, epoch := range c.Epochs[:min(len(c.Epochs), len(t.Partitions))] {
		t.Partitions[n].LeaderEpoch = epoch
	}
	e.put(t)
}

// partitionsOf adds partitions with these replicas to list. The first replica
// leads; lists that are alike share one slice.
func partitionsOf(list []Partition, replicas [][]int32) []Partition {
	list = slices.Grow(slices.Clip(list), len(replicas))
	for _, r := range replicas {
		if n := len(list); n > 0 && slices.Equal(list[n-1].Replicas, r) {
			r = list[n-1].Replicas
		}
		leader := int32(-1)
		if len(r) > 0 {
			leader = r[0]
		}
		list = append(list, Partition{Index: int32(len(list)), Leader: leader, Replicas: r, ISR: r})
	}
	return list
}

func (e *edit) gone(c *topicGone) {
	t, ok := e.image.byID[c.ID]
	if !ok {
		return
	}
	e.ownTopics()
	i := e.image
	delete(i.topics, t.Name)
	delete(i.byID, t.ID)
	delete(i.alike, likeness(t.Name))
	if at, found := slices.BinarySearchFunc(i.sorted, t.Name, byName); found {
		i.sorted = slices.Delete(i.sorted, at, at+1)
	}
}

// changed is a copy of the topic with id that may be written to.
func (e *edit) changed(id TopicID) (*Topic, bool) {
	t, ok := e.image.byID[id]
	if !ok {
		return nil, false
	}
	copied := *t
	return &copied, true
}

func (e *edit) partitions(c *partitionsAdded) {
	t, ok := e.changed(c.ID)
	if !ok || int(c.From) != len(t.Partitions) {
		return
	}
	t.Partitions = partitionsOf(t.Partitions, c.Replicas)
	e.put(t)
}

func (e *edit) replicas(c *replicasMoved) {
	t, ok := e.changed(c.ID)
	if !ok || c.Index < 0 || int(c.Index) >= len(t.Partitions) || len(c.Replicas) == 0 {
		return
	}
	t.Partitions = slices.Clone(t.Partitions)
	p := &t.Partitions[c.Index]
	p.Replicas, p.ISR = c.Replicas, c.Replicas
	if p.Leader != c.Replicas[0] {
		p.Leader = c.Replicas[0]
		p.LeaderEpoch++
	}
	e.put(t)
}

func (e *edit) configs(c *configsSet) {
	if c.Kind == TopicResource {
		if t, ok := e.image.topics[c.Name]; ok {
			copied := *t
			copied.Configs = c.Values
			e.put(&copied)
		}
		return
	}
	if !e.own.configs {
		e.own.configs, e.image.configs = true, cloned(e.image.configs)
	}
	if len(c.Values) == 0 {
		delete(e.image.configs, c.Resource)
		return
	}
	e.image.configs[c.Resource] = c.Values
}

func (e *edit) quota(q Quota) {
	if !e.own.quotas {
		e.own.quotas, e.image.quotas = true, cloned(e.image.quotas)
	}
	if len(q.Values) == 0 {
		delete(e.image.quotas, quotaKey(q.Entity))
		return
	}
	e.image.quotas[quotaKey(q.Entity)] = q
}

func (e *edit) features(levels map[string]int16) {
	if !e.own.features {
		e.own.features, e.image.features = true, cloned(e.image.features)
	}
	for name, level := range levels {
		if level <= 0 {
			delete(e.image.features, name)
			continue
		}
		e.image.features[name] = level
	}
}

func (e *edit) deployed(c *topologyDeployed) {
	if !e.own.deployed {
		e.own.deployed, e.image.deployed = true, cloned(e.image.deployed)
	}
	if c.Text == "" {
		delete(e.image.deployed, c.Name)
		return
	}
	e.image.deployed[c.Name] = c.Text
}

// likeness is the same for names that metrics cannot tell apart.
func likeness(name string) string { return strings.ReplaceAll(name, ".", "_") }

// encode makes one batch of the changes.
func encode(changes []change, now int64) ([]byte, error) {
	s := record.NewSlab(256 * len(changes))
	defer s.Release()
	s.SetTime(now)
	for i := range changes {
		text, err := json.Marshal(&changes[i])
		if err != nil {
			return nil, fmt.Errorf("encode metadata: %w", err)
		}
		s.Append(text)
	}
	codec := record.None
	if s.BodyBytes() > compressFrom {
		codec = record.LZ4
	}
	return s.Encode(nil, codec)
}

// compressFrom is the bytes from which a batch of changes is compressed. The
// replicas of many partitions are much alike.
const compressFrom = 2 << 10

// limits are those of batches that this package has written: replicas of many
// partitions are compressed a thousand times.
var limits = record.Limits{Bytes: 1 << 30, Ratio: 1 << 20}

// decodeChange refuses what it does not know: it was written by a newer version,
// and without it the image would be another.
func decodeChange(text []byte) (change, error) {
	var c change
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	return c, err
}

// decode reads the changes of one batch.
func decode(b record.Batch) ([]change, error) {
	payload, pooled, err := b.Payload(limits)
	if err != nil {
		return nil, fmt.Errorf("metadata at %d: %w", b.BaseOffset(), err)
	}
	if pooled {
		defer record.PutBuffer(payload)
	}
	list := make([]change, 0, b.Count())
	for it := record.Iterate(payload, b.Count()); ; {
		if !it.Next() {
			if err := it.Err(); err != nil {
				return nil, fmt.Errorf("metadata at %d: %w", b.BaseOffset(), err)
			}
			return list, nil
		}
		c, err := decodeChange(it.Value())
		if err != nil {
			return nil, fmt.Errorf("metadata at %d: %w", b.BaseOffset(), err)
		}
		list = append(list, c)
	}
}
