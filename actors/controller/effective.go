package controller

import (
	"maps"

	"github.com/sluicehq/sluice/topologies/configs"
)

// Source says where a config's value comes from.
type Source int8

// The sources, with Kafka's numbers.
const (
	FromTopic    Source = 1
	FromBroker   Source = 2 // set at run time for one node
	FromBrokers  Source = 3 // set at run time for all nodes
	FromSettings Source = 4 // what the node was started with
	FromTable    Source = 5 // the default
	FromGroup    Source = 8
)

// Value is a value of a config and where it comes from.
type Value struct {
	Name   string
	Text   string
	Source Source
}

// Values are all values that are given for a config of r on node, the one that
// counts first. settings are what the node was started with, by the names of
// brokers' configs.
func (i *Image) Values(r Resource, c *configs.Config, node int32, settings map[string]string) []Value {
	var list []Value
	add := func(name, text string, s Source, ok bool) {
		if ok {
			list = append(list, Value{name, text, s})
		}
	}
	switch r.Kind {
	case TopicResource:
		v, ok := i.Configs(r)[c.Name]
		add(c.Name, v, FromTopic, ok)
		for _, s := range c.Synonyms {
			i.brokerValues(s.Name, node, settings, func(text string, from Source) { add(s.Name, s.Value(text), from, true) })
		}
	case BrokerResource:
		if r.Name == "" {
			v, ok := i.Configs(r)[c.Name]
			add(c.Name, v, FromBrokers, ok)
			return list // all nodes share nothing else
		}
		i.brokerValues(c.Name, node, settings, func(text string, from Source) { add(c.Name, text, from, true) })
	case GroupResource:
		v, ok := i.Configs(r)[c.Name]
		add(c.Name, v, FromGroup, ok)
	}
	add(c.Name, c.Default, FromTable, true)
	return list
}

// brokerValues calls found for each value that a config of brokers has on node,
// the strongest first.
func (i *Image) brokerValues(name string, node int32, settings map[string]string, found func(text string, from Source)) {
	if v, ok := i.configs[brokerResource(node)][name]; ok {
		found(v, FromBroker)
	}
	if v, ok := i.configs[Resource{BrokerResource, ""}][name]; ok {
		found(v, FromBrokers)
	}
	if v, ok := settings[name]; ok {
		found(v, FromSettings)
	}
}

// Effective are the configs of a topic on node that differ from the defaults of
// the table: its own, and those that brokers have for all topics.
func (i *Image) Effective(t *Topic, node int32, settings map[string]string) map[string]string {
	if len(t.Configs) == 0 && len(i.configs) == 0 && len(settings) == 0 {
		return nil
	}
	values := map[string]string{}
	for n := range configs.Topic {
		c := &configs.Topic[n]
		if v := i.Values(Resource{TopicResource, t.Name}, c, node, settings)[0]; v.Source != FromTable {
			values[c.Name] = v.Text
		}
	}
	return values
}

// SameDefaults says whether brokers have the same configs in both images, so
// that a topic which has not changed goes by the same.
func (i *Image) SameDefaults(o *Image) bool {
	count := func(i *Image) (n int) {
		for r := range i.configs {
			if r.Kind == BrokerResource {
				n++
			}
		}
		return n
	}
	if count(i) != count(o) {
		return false
	}
	for r, values := range i.configs {
		if r.Kind == BrokerResource && !maps.Equal(values, o.configs[r]) {
			return false
		}
	}
	return true
}
