package kafka

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/topologies/configs"
)

// CreateTopics (19), versions 0 to 7: new topics, each with a result of its own.
//
//   - A number of partitions or a replication factor of -1 is the default.
//   - The answer comes when the new partitions take records, so that nobody has
//     to try again right after it.
//   - From version 5 on the answer has the configs that the topic goes by, from 7
//     on its id. To validate only changes nothing.
func (s *Server) newTopics(r *request) {
	req := r.body.(*kmsg.CreateTopicsRequest)
	ctx, cancel := changing(req.TimeoutMillis)
	defer cancel()
	topics := make([]controller.NewTopic, len(req.Topics))
	bad := make([]error, len(req.Topics))
	for i := range req.Topics {
		topics[i], bad[i] = newTopic(&req.Topics[i])
	}
	results, err := s.broker.Controller().CreateTopics(ctx, topics, req.ValidateOnly)
	var made []string
	resp := kmsg.NewPtrCreateTopicsResponse()
	for i := range req.Topics {
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic = req.Topics[i].Topic
		failed := resultOf(results, err, i)
		if bad[i] != nil {
			failed = bad[i]
		}
		t.ErrorCode, t.ErrorMessage = codeOf(failed), explain(failed)
		if failed == nil {
			made = append(made, t.Topic)
			s.describeNew(&t, results[i].Topic, req.ValidateOnly)
		}
		resp.Topics = append(resp.Topics, t)
	}
	if !req.ValidateOnly {
		_ = s.broker.AwaitTopics(ctx, made...) // they are made, also when their leaders are slow
	}
	r.answer(resp)
}

// newTopic is a topic as the controller is asked for it. One that is wrong in
// itself is made impossible to make.
func newTopic(q *kmsg.CreateTopicsRequestTopic) (controller.NewTopic, error) {
	t := controller.NewTopic{Name: q.Topic, Partitions: q.NumPartitions, Factor: q.ReplicationFactor}
	for i := range q.ReplicaAssignment {
		a := &q.ReplicaAssignment[i]
		if t.Replicas == nil {
			t.Replicas = map[int32][]int32{}
		}
		if _, twice := t.Replicas[a.Partition]; twice {
			t.Name = "" // no topic has this name
			return t, &controller.Refusal{Code: kerr.InvalidReplicaAssignment, Why: "replicas of a partition are given twice"}
		}
		t.Replicas[a.Partition] = a.Replicas
	}
	for i := range q.Configs {
		c := &q.Configs[i]
		if t.Configs == nil {
			t.Configs = map[string]*string{}
		}
		if _, twice := t.Configs[c.Name]; twice {
			t.Name = ""
			return t, &controller.Refusal{Code: kerr.InvalidConfig, Why: "config " + c.Name + " is given twice"}
		}
		t.Configs[c.Name] = c.Value
	}
	return t, nil
}

// describeNew fills in what a new topic is.
func (s *Server) describeNew(to *kmsg.CreateTopicsResponseTopic, t *controller.Topic, onlyChecked bool) {
	if !onlyChecked {
		to.TopicID = t.ID
	}
	to.NumPartitions, to.ReplicationFactor = int32(len(t.Partitions)), t.ReplicationFactor()
	image := s.image()
	for n := range configs.Topic {
		c := &configs.Topic[n]
		v, source := c.Default, controller.FromTable
		if text, own := t.Configs[c.Name]; own {
			v, source = text, controller.FromTopic
		} else if values := image.Values(controller.Resource{Kind: controller.TopicResource}, c, s.broker.Node(), s.broker.Settings().Configs); len(values) > 0 {
			v, source = values[0].Text, values[0].Source
		}
		config := kmsg.NewCreateTopicsResponseTopicConfig()
		config.Name, config.Value, config.ReadOnly, config.Source, config.IsSensitive = c.Name, shown(c, v), c.ReadOnly, int8(source), c.Sensitive
		to.Configs = append(to.Configs, config)
	}
}
