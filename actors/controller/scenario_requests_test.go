package controller

import (
	"strconv"
	"strings"
	"testing"
)

// requestOf reads a command of a scenario.
func requestOf(t *testing.T, verb string, list []string) any {
	t.Helper()
	check := false
	if len(list) > 0 && list[0] == "check" {
		check, list = true, list[1:]
	}
	if len(list) > 0 && list[len(list)-1] == "!lost" {
		list = list[:len(list)-1]
	}
	switch verb {
	case "create":
		q := CreateTopics{ValidateOnly: check}
		for _, w := range parts(list) {
			q.Topics = append(q.Topics, newTopic(w))
		}
		return q
	case "delete":
		q := DeleteTopics{}
		for _, w := range parts(list) {
			q.Topics = append(q.Topics, topicRef(t, w))
		}
		return q
	case "grow":
		q := CreatePartitions{ValidateOnly: check}
		for _, w := range parts(list) {
			m := MorePartitions{Name: name(w), Count: int32(w.number("to", 0))}
			if r, ok := w.values["replicas"]; ok {
				m.Replicas = lists(r)
			}
			q.Topics = append(q.Topics, m)
		}
		return q
	case "move":
		q := MoveReplicas{}
		for _, w := range parts(list) {
			p := Placement{Topic: name(w), Index: int32(w.number("partition", 0))}
			if r, ok := w.values["replicas"]; ok {
				p.Replicas = lists(r)[0]
			}
			q.Partitions = append(q.Partitions, p)
		}
		return q
	case "alter", "replace":
		q := AlterConfigs{ValidateOnly: check}
		for _, part := range cut(list) {
			q.Resources = append(q.Resources, alteration(part, verb == "replace"))
		}
		return q
	case "quota":
		q := AlterQuotas{ValidateOnly: check}
		for _, w := range parts(list) {
			q.Quotas = append(q.Quotas, quotaAlteration(w))
		}
		return q
	case "features":
		q := UpdateFeatures{ValidateOnly: check}
		for _, part := range cut(list) {
			w := parse(part)
			for name, v := range w.values {
				level, _ := strconv.Atoi(v)
				q.Features = append(q.Features, FeatureLevel{name, int16(level), w.has("down")})
			}
		}
		return q
	case "ids":
		return AllocateProducers{}
	case "broker":
		w := parse(list)
		return RegisterBroker{Broker{int32(w.number("node", 1)), w.values["host"], int32(w.number("port", 9092)), w.values["rack"]}}
	case "deploy":
		w := parse(list)
		return DeployTopology{name(w), w.values["text"]}
	}
	t.Fatalf("there is no command %q", verb)
	return nil
}

// name is the first word of a part that is no key=value; "”" is none.
func name(w words) string {
	if len(w.names) == 0 || w.names[0] == "''" {
		return ""
	}
	return w.names[0]
}

// cut is list without the commas between its parts.
func cut(list []string) [][]string {
	var out [][]string
	from := 0
	for i, w := range list {
		if w == "," {
			out = append(out, list[from:i])
			from = i + 1
		}
	}
	return append(out, list[from:])
}

func newTopic(w words) NewTopic {
	topic := NewTopic{Name: name(w), Partitions: -1, Factor: -1, Ordered: w.has("ordered")}
	for k, v := range w.values {
		n, _ := strconv.Atoi(v)
		switch k {
		case "partitions":
			topic.Partitions = int32(n)
		case "factor":
			topic.Factor = int16(n)
		case "replicas": // "0:1,2;1:2,1"
			topic.Replicas = map[int32][]int32{}
			for p := range strings.SplitSeq(v, ";") {
				index, nodes, _ := strings.Cut(p, ":")
				i, _ := strconv.Atoi(index)
				topic.Replicas[int32(i)] = lists(nodes)[0]
			}
		default:
			if topic.Configs == nil {
				topic.Configs = map[string]*string{}
			}
			topic.Configs[k] = value(v)
		}
	}
	return topic
}

// value is the text of a config; "nil" is none.
func value(v string) *string {
	if v == "nil" {
		return nil
	}
	return &v
}

func topicRef(t *testing.T, w words) TopicRef {
	ref := TopicRef{Name: name(w)}
	if id, ok := w.values["id"]; ok {
		if err := ref.ID.UnmarshalText([]byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	return ref
}

// alteration reads "topic orders retention.ms=1000 cleanup.policy+=compact
// segment.ms-".
func alteration(list []string, full bool) Alteration {
	a := Alteration{Resource: Resource{Kind: ResourceKind(list[0])}, Full: full}
	if list[1] != "''" {
		a.Name = list[1]
	}
	for _, word := range list[2:] {
		k, v, ok := strings.Cut(word, "=")
		op := ConfigOp{Name: k, Value: value(v)}
		switch {
		case !ok:
			op.Name, op.Op, op.Value = strings.TrimSuffix(k, "-"), Delete, nil
		case strings.HasSuffix(k, "+"):
			op.Name, op.Op = strings.TrimSuffix(k, "+"), Add
		case strings.HasSuffix(k, "-"):
			op.Name, op.Op = strings.TrimSuffix(k, "-"), Remove
		}
		a.Ops = append(a.Ops, op)
	}
	return a
}

// quotaAlteration reads "user=alice client-id=* producer_byte_rate=100
// consumer_byte_rate=nil".
func quotaAlteration(w words) QuotaAlteration {
	q := QuotaAlteration{Values: map[string]*float64{}}
	for k, v := range w.values {
		switch k {
		case "user", "client-id", "ip", "group":
			q.Entity = append(q.Entity, QuotaEntity{Type: k, Name: strings.Trim(v, "*"), Default: v == "*"})
		default:
			q.Values[k] = nil
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				q.Values[k] = &n
			}
		}
	}
	return q
}
