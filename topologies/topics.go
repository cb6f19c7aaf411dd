package topologies

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/topologies/configs"
	"github.com/sluicehq/sluice/topologies/kinds"
)

// Topic is a topic as a user wants it. What is left out is the node's default,
// or stays as it is.
type Topic struct {
	Name string
	Pos  Pos
	// Partitions and Replicas are numbers; without a text they are left out.
	Partitions, Replicas Value
	Scale                Value            // ordered, or left out
	Configs              map[string]Value // by Kafka's names
}

// TopicCategory is what plans call topics.
const TopicCategory kinds.Category = "topic"

// partitionsMax is how many partitions a topic may have.
const partitionsMax = 10_000

// Topic finds the topic called name.
func (t *Topology) Topic(name string) (*Topic, bool) {
	for i := range t.Topics {
		if t.Topics[i].Name == name {
			return &t.Topics[i], true
		}
	}
	return nil, false
}

// Count is the number in v, 0 where it is left out or no number.
func (t *Topic) Count(v Value) int {
	n, _ := strconv.Atoi(strings.TrimSpace(v.Text))
	return n
}

// Ordered says whether adding partitions holds the order of keys.
func (t *Topic) Ordered() bool { return t.Scale.Text == "ordered" }

// topic looks at one topic.
func (v *validator) topic(t *Topic) {
	v.topicName(t)
	v.topicNumber(t, "partitions", t.Partitions, partitionsMax)
	v.topicNumber(t, "replicas", t.Replicas, 1000)
	if t.Scale.Text != "" && t.Scale.Text != "ordered" {
		v.atValue("SL0161", Error, t.Scale, "topic %q: scale %q is not known", t.Name, t.Scale.Shown()).Hint = "write scale: ordered, or remove the line"
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		value := t.Configs[name]
		values[name] = value.Text
		if _, known := configs.Topic.Find(name); !known {
			f := v.add("SL0162", Error, value.Key, len(name), "topic %q: unknown config %q", t.Name, name)
			f.Hint = "the names are Kafka's: retention.ms, cleanup.policy, …"
			if near, ok := Nearest(name, configs.Topic.Names()); ok {
				f.Hint = fmt.Sprintf("did you mean %q?", near)
			}
			delete(values, name)
			continue
		}
		if err := configs.Topic.Check(name, value.Text); err != nil {
			why := err.Error()
			if value.Secret {
				why = name + " cannot have this value"
			}
			v.atValue("SL0163", Error, value, "topic %q: %s", t.Name, why)
			delete(values, name)
		}
	}
	if err := configs.Topic.CheckAll(values); err != nil {
		v.add("SL0163", Error, t.Pos, len(t.Name), "topic %q: %s", t.Name, err)
	}
}

func (v *validator) topicName(t *Topic) {
	why := ""
	switch name := t.Name; {
	case name == "." || name == "..":
		why = "is the name of a folder"
	case len(name) > 249:
		why = "is longer than 249 letters"
	case strings.HasPrefix(name, "__"):
		why = "begins like the topics of the coordinators"
	case !plainTopic(name):
		why = "has signs other than letters, digits, . _ and -"
	}
	if why != "" {
		v.add("SL0160", Error, t.Pos, len(t.Name), "no topic can be called %q: it %s", t.Name, why)
	}
}

// plainTopic says whether a name has only signs that names of topics may have.
func plainTopic(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return name != ""
}

func (v *validator) topicNumber(t *Topic, what string, value Value, most int) {
	if value.Text == "" {
		return
	}
	n, err := strconv.Atoi(strings.TrimSpace(value.Text))
	if err != nil || n < 1 || n > most {
		v.atValue("SL0161", Error, value, "topic %q: %s is a number from 1 to %d, not %q", t.Name, what, most, value.Shown())
	}
}

// topics compares the topics of two topologies. A topic that is left out stays:
// records are deleted by nobody but a person.
func (p *Plan) topics(old, new *Topology) {
	for i := range new.Topics {
		t := &new.Topics[i]
		was, ok := old.Topic(t.Name)
		c := Change{Category: TopicCategory, Name: t.Name, Action: Start}
		if ok {
			c.Action, c.Why = Keep, ""
			if changed := t.changed(was); len(changed) > 0 {
				c.Action, c.Why = Adjust, strings.Join(changed, ", ")+" changed"
			}
		}
		p.Changes = append(p.Changes, c)
	}
	for i := range old.Topics {
		if _, stays := new.Topic(old.Topics[i].Name); !stays {
			p.Changes = append(p.Changes, Change{Category: TopicCategory, Name: old.Topics[i].Name, Action: Keep,
				Why: "it is left out, and stays with its records"})
		}
	}
}

// changed are the properties in which t differs from was, sorted.
func (t *Topic) changed(was *Topic) []string {
	var out []string
	for _, p := range []struct {
		name string
		a, b Value
	}{{"partitions", was.Partitions, t.Partitions}, {"replicas", was.Replicas, t.Replicas}, {"scale", was.Scale, t.Scale}} {
		if p.a.Text != p.b.Text {
			out = append(out, p.name)
		}
	}
	names := map[string]bool{}
	for name, v := range t.Configs {
		if before, ok := was.Configs[name]; !ok || before.Text != v.Text {
			names[name] = true
		}
	}
	for name := range was.Configs {
		if _, stays := t.Configs[name]; !stays {
			names[name] = true
		}
	}
	return append(out, slices.Sorted(maps.Keys(names))...)
}
