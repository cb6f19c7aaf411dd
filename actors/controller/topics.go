package controller

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/topologies/configs"
)

// Bounds of names and of one request.
const (
	nameMax = 249
	// partitionsMax is how many partitions one topic may have, and how many one
	// request may make.
	partitionsMax = 10_000
)

// CheckName says why no topic can be called name, or nil.
func CheckName(name string) error {
	switch {
	case name == "":
		return refuse(kerr.InvalidTopicException, "a topic needs a name")
	case name == "." || name == "..":
		return refuse(kerr.InvalidTopicException, "a topic cannot be called %q", name)
	case len(name) > nameMax:
		return refuse(kerr.InvalidTopicException, "a name of %d letters; %d is the most", len(name), nameMax)
	}
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return refuse(kerr.InvalidTopicException, "%q has signs other than letters, digits, '.', '_' and '-'", name)
		}
	}
	return nil
}

// twice are the names that stand in list more than once.
func twice[T any](list []T, name func(T) string) map[string]bool {
	seen, more := map[string]bool{}, map[string]bool{}
	for _, t := range list {
		n := name(t)
		if seen[n] {
			more[n] = true
		}
		seen[n] = true
	}
	return more
}

func (m *machine) createTopics(q CreateTopics, in Input) []Result {
	results := make([]Result, len(q.Topics))
	double := twice(q.Topics, func(t NewTopic) string { return t.Name })
	room := partitionsMax
	create := func() {
		for n, t := range q.Topics {
			if double[t.Name] {
				results[n].Err = refuse(kerr.InvalidRequest, "topic %s stands in the request twice", t.Name)
				continue
			}
			results[n].Topic, results[n].Err = m.createTopic(t, &room, in)
		}
	}
	if q.ValidateOnly {
		m.trial(create)
	} else {
		create()
	}
	return results
}

// createTopic stages one topic. room is how many partitions the request may
// still make.
func (m *machine) createTopic(t NewTopic, room *int, in Input) (*Topic, error) {
	if err := m.checkNew(t.Name); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, v := range t.Configs {
		if v == nil {
			return nil, refuse(kerr.InvalidConfig, "config %s has no value", name)
		}
		values[name] = *v
	}
	if err := configs.Topic.CheckAll(values); err != nil {
		return nil, refuse(kerr.InvalidConfig, "%s", err)
	}
	made := &topicMade{Name: t.Name, ID: in.NewID(), Configs: values, Ordered: t.Ordered}
	var err error
	if made.Replicas, err = m.replicasOf(t, made.ID); err != nil {
		return nil, err
	}
	if len(made.Replicas) > *room {
		return nil, refuse(kerr.PolicyViolation, "%d partitions; one request makes at most %d", len(made.Replicas), partitionsMax)
	}
	*room -= len(made.Replicas)
	if len(values) == 0 {
		made.Configs = nil
	}
	m.stage(change{Topic: made})
	return m.now().topics[t.Name], nil
}

// checkNew says why no topic can be made with this name.
func (m *machine) checkNew(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if _, exists := m.now().topics[name]; exists {
		return refuse(kerr.TopicAlreadyExists, "topic '%s' already exists", name)
	}
	if other, ok := m.now().alike[likeness(name)]; ok {
		return refuse(kerr.InvalidTopicException, "metrics could not tell %s from topic %s: they differ in '.' and '_' only", name, other)
	}
	return nil
}

// replicasOf decides on the replicas of each partition of a new topic.
func (m *machine) replicasOf(t NewTopic, id TopicID) ([][]int32, error) {
	if len(t.Replicas) > 0 {
		switch {
		case t.Factor != -1:
			return nil, refuse(kerr.InvalidRequest, "replicas and a replication factor other than -1")
		case t.Partitions != -1:
			return nil, refuse(kerr.InvalidRequest, "replicas and a number of partitions other than -1")
		}
		return m.replicasGiven(t.Replicas)
	}
	count, factor := int64(t.Partitions), int64(t.Factor)
	switch {
	case count == 0 || count < -1:
		return nil, refuse(kerr.InvalidPartitions, "a topic has one partition at least, or -1 for the default; not %d", count)
	case factor == 0 || factor < -1:
		return nil, refuse(kerr.InvalidReplicationFactor, "a replication factor is 1 at least, or -1 for the default; not %d", factor)
	}
	if count == -1 {
		count = m.setting("num.partitions", int64(m.settings.NumPartitions))
	}
	if factor == -1 {
		factor = m.setting("default.replication.factor", int64(m.settings.Factor))
	}
	if count > partitionsMax {
		return nil, refuse(kerr.InvalidPartitions, "%d partitions; a topic has at most %d", count, partitionsMax)
	}
	brokers := int64(len(m.now().Brokers))
	if m.settings.Clamp && brokers > 0 {
		factor = min(factor, brokers)
	}
	if factor > brokers {
		return nil, refuse(kerr.InvalidReplicationFactor, "a replication factor of %d needs as many brokers, and there are %d", factor, brokers)
	}
	return m.place(id, 0, int(count), int(factor)), nil
}

// place spreads count partitions from index from on over the brokers: leaders
// in turn, beginning at a broker that the topic's id chooses, each followed by
// the brokers behind it.
func (m *machine) place(id TopicID, from, count, factor int) [][]int32 {
	brokers := m.now().Brokers
	h := fnv.New32a()
	h.Write(id[:])
	first := int(h.Sum32()%uint32(len(brokers))) + from
	turns := make([][]int32, len(brokers)) // partitions share them
	list := make([][]int32, count)
	for n := range list {
		turn := (first + n) % len(brokers)
		if turns[turn] == nil {
			for k := range factor {
				turns[turn] = append(turns[turn], brokers[(turn+k)%len(brokers)].Node)
			}
		}
		list[n] = turns[turn]
	}
	return list
}

// replicasGiven checks the replicas that a request names.
func (m *machine) replicasGiven(given map[int32][]int32) ([][]int32, error) {
	list := make([][]int32, len(given))
	for _, index := range slices.Sorted(maps.Keys(given)) {
		if index < 0 || int(index) >= len(given) {
			return nil, refuse(kerr.InvalidReplicaAssignment, "replicas for partition %d; %d partitions have the numbers 0 to %d", index, len(given), len(given)-1)
		}
		if err := m.checkReplicas(given[index], len(given[0])); err != nil {
			return nil, err
		}
		list[index] = given[index]
	}
	if len(list) > partitionsMax {
		return nil, refuse(kerr.InvalidPartitions, "%d partitions; a topic has at most %d", len(list), partitionsMax)
	}
	return list, nil
}

// checkReplicas says why a partition cannot have these replicas.
func (m *machine) checkReplicas(replicas []int32, factor int) error {
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "a partition without a replica")
	}
	for n, node := range replicas {
		if slices.Contains(replicas[:n], node) {
			return refuse(kerr.InvalidReplicaAssignment, "broker %d is named twice for one partition", node)
		}
		if _, ok := m.now().Broker(node); !ok {
			return refuse(kerr.InvalidReplicaAssignment, "there is no broker %d", node)
		}
	}
	if len(replicas) != factor {
		return refuse(kerr.InvalidReplicaAssignment, "%d replicas where the others have %d", len(replicas), factor)
	}
	return nil
}

func (m *machine) deleteTopics(q DeleteTopics) []Result {
	results := make([]Result, len(q.Topics))
	names := twice(q.Topics, func(t TopicRef) string {
		if t.Name != "" {
			return t.Name
		}
		if known, ok := m.now().byID[t.ID]; ok && !t.ID.IsZero() {
			return known.Name
		}
		return "/" + t.ID.String() // no name of a topic
	})
	for n, ref := range q.Topics {
		t, err := m.find(ref)
		switch {
		case err == nil && names[t.Name]:
			err = refuse(kerr.InvalidRequest, "topic %s stands in the request twice", t.Name)
		case err == nil && t.Internal:
			err = refuse(kerr.InvalidRequest, "topic %s holds what groups and transactions must not forget", t.Name)
		}
		results[n] = Result{Topic: t, Err: err}
	}
	for _, r := range results {
		if r.Err == nil {
			m.stage(change{Gone: &topicGone{r.Topic.Name, r.Topic.ID}})
		}
	}
	return results
}

// find is the topic that ref means.
func (m *machine) find(ref TopicRef) (*Topic, error) {
	switch {
	case ref.Name != "" && !ref.ID.IsZero():
		return nil, refuse(kerr.InvalidRequest, "a topic has been named by its name and by its id")
	case ref.Name == "" && ref.ID.IsZero():
		return nil, refuse(kerr.InvalidRequest, "neither a topic's name nor its id")
	case ref.Name == "":
		if t, ok := m.now().byID[ref.ID]; ok {
			return t, nil
		}
		return nil, refuse(kerr.UnknownTopicID, "there is no topic with id %s", ref.ID)
	}
	return m.topic(ref.Name)
}

func (m *machine) topic(name string) (*Topic, error) {
	if t, ok := m.now().topics[name]; ok {
		return t, nil
	}
	return nil, refuse(kerr.UnknownTopicOrPartition, "there is no topic %s", name)
}

func (m *machine) createPartitions(q CreatePartitions) []Result {
	results := make([]Result, len(q.Topics))
	double := twice(q.Topics, func(t MorePartitions) string { return t.Name })
	room := partitionsMax
	grow := func() {
		for n, t := range q.Topics {
			if double[t.Name] {
				results[n].Err = refuse(kerr.InvalidRequest, "topic %s stands in the request twice", t.Name)
				continue
			}
			results[n].Topic, results[n].Err = m.grow(t, &room)
		}
	}
	if q.ValidateOnly {
		m.trial(grow)
	} else {
		grow()
	}
	return results
}

func (m *machine) grow(q MorePartitions, room *int) (*Topic, error) {
	t, err := m.topic(q.Name)
	if err != nil {
		return nil, err
	}
	has := len(t.Partitions)
	more := int(q.Count) - has
	switch {
	case t.Internal:
		return nil, refuse(kerr.InvalidPartitions, "topic %s cannot grow: which group or transaction is where depends on its %d partitions", t.Name, has)
	case more == 0:
		return nil, refuse(kerr.InvalidPartitions, "topic %s has %d partitions already", t.Name, has)
	case more < 0:
		return nil, refuse(kerr.InvalidPartitions, "topic %s has %d partitions and %d would be fewer: the records of the others would be lost", t.Name, has, q.Count)
	case int(q.Count) > partitionsMax:
		return nil, refuse(kerr.InvalidPartitions, "%d partitions; a topic has at most %d", q.Count, partitionsMax)
	case more > *room:
		return nil, refuse(kerr.PolicyViolation, "%d partitions; one request makes at most %d", more, partitionsMax)
	}
	factor := int(t.ReplicationFactor())
	replicas := q.Replicas
	if len(replicas) == 0 {
		if factor > len(m.now().Brokers) {
			return nil, refuse(kerr.InvalidReplicationFactor, "a replication factor of %d needs as many brokers, and there are %d", factor, len(m.now().Brokers))
		}
		replicas = m.place(t.ID, has, more, factor)
	}
	if len(replicas) != more {
		return nil, refuse(kerr.InvalidReplicaAssignment, "%d partitions are added, and replicas are given for %d", more, len(replicas))
	}
	for _, r := range replicas {
		if err := m.checkReplicas(r, factor); err != nil {
			return nil, err
		}
	}
	*room -= more
	m.stage(change{Partitions: &partitionsAdded{t.ID, int32(has), replicas}})
	return m.now().topics[t.Name], nil
}

func (m *machine) moveReplicas(q MoveReplicas) []Result {
	results := make([]Result, len(q.Partitions))
	for n, p := range q.Partitions {
		results[n].Topic, results[n].Err = m.move(p)
	}
	return results
}

func (m *machine) move(p Placement) (*Topic, error) {
	t, err := m.topic(p.Topic)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Index < 0 || int(p.Index) >= len(t.Partitions):
		return nil, refuse(kerr.UnknownTopicOrPartition, "topic %s has no partition %d", p.Topic, p.Index)
	case p.Replicas == nil:
		return nil, refuse(kerr.NoReassignmentInProgress, "partition %s-%d does not move", p.Topic, p.Index)
	}
	if err := m.checkReplicas(p.Replicas, len(p.Replicas)); err != nil {
		return nil, err
	}
	if !slices.Equal(p.Replicas, t.Partitions[p.Index].Replicas) {
		m.stage(change{Replicas: &replicasMoved{t.ID, p.Index, p.Replicas}})
	}
	return m.now().topics[t.Name], nil
}

func listed(names []string) string { return strings.Join(names, ", ") }
