package node

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

// Plan says what Deploy would do, or why it would not.
func (n *Node) Plan(t *topologies.Topology) (topologies.Plan, error) {
	n.mu.Lock()
	old := n.deployed[t.Name]
	n.mu.Unlock()
	return n.plan(old, t)
}

// plan is the difference of two topologies, with what is true of the topics
// that are there already: nobody may have deployed them.
func (n *Node) plan(old, t *topologies.Topology) (topologies.Plan, error) {
	p := topologies.Diff(old, t)
	if len(t.Topics) == 0 {
		return p, nil
	}
	if n.broker == nil {
		return topologies.Plan{}, fmt.Errorf("%w: topology %s has topics, and this node serves none; start it with --kafka", admin.ErrBadConfig, t.Name)
	}
	image := n.broker.Controller().Image()
	for i := range p.Changes {
		c := &p.Changes[i]
		wanted, ok := t.Topic(c.Name)
		if c.Category != topologies.TopicCategory || !ok {
			continue
		}
		is, there := image.Topic(c.Name)
		if !there {
			c.Action, c.Why = topologies.Start, ""
			continue
		}
		if err := fitting(wanted, is); err != nil {
			return topologies.Plan{}, fmt.Errorf("%w: %w", admin.ErrBadConfig, err)
		}
		*c = topicChange(*c, wanted, is, old)
	}
	return p, nil
}

// topicChange is what becomes of a topic that is there.
func topicChange(c topologies.Change, wanted *topologies.Topic, is *controller.Topic, old *topologies.Topology) topologies.Change {
	more := wanted.Count(wanted.Partitions) - len(is.Partitions)
	ops := configOps(wanted, is, old)
	c.Action, c.Why = topologies.Keep, ""
	if more > 0 {
		c.Action, c.Why = topologies.Adjust, fmt.Sprintf("%d partitions become %d", len(is.Partitions), len(is.Partitions)+more)
	}
	for _, op := range ops {
		c.Action = topologies.Adjust
		if c.Why != "" {
			c.Why += ", "
		}
		c.Why += op.Name + " changes"
	}
	return c
}

// fitting says why a topic cannot become what is wanted.
func fitting(wanted *topologies.Topic, is *controller.Topic) error {
	if count := wanted.Count(wanted.Partitions); count > 0 && count < len(is.Partitions) {
		return fmt.Errorf("%s: topic %s has %d partitions, and %d would be fewer: the records of the others would be lost",
			wanted.Partitions.Pos, is.Name, len(is.Partitions), count)
	}
	if factor := wanted.Count(wanted.Replicas); factor > 0 && factor != int(is.ReplicationFactor()) {
		return fmt.Errorf("%s: topic %s has %d replicas, and a deployment does not change them", wanted.Replicas.Pos, is.Name, is.ReplicationFactor())
	}
	return nil
}

// configOps lead to the configs that are wanted. What somebody else has set
// stays; what the topology before had set and this one has not is taken back.
func configOps(wanted *topologies.Topic, is *controller.Topic, old *topologies.Topology) []controller.ConfigOp {
	var ops []controller.ConfigOp
	for _, name := range slices.Sorted(maps.Keys(wanted.Configs)) {
		if text := wanted.Configs[name].Text; is.Configs[name] != text {
			ops = append(ops, controller.ConfigOp{Name: name, Op: controller.Set, Value: &text})
		}
	}
	if old == nil {
		return ops
	}
	was, ok := old.Topic(is.Name)
	if !ok {
		return ops
	}
	for _, name := range slices.Sorted(maps.Keys(was.Configs)) {
		_, stays := wanted.Configs[name]
		if _, set := is.Configs[name]; set && !stays {
			ops = append(ops, controller.ConfigOp{Name: name, Op: controller.Delete})
		}
	}
	return ops
}

// makeTopics makes the topics of t and changes those that are there. What the
// controller would refuse of any it refuses before one is made.
func (n *Node) makeTopics(ctx context.Context, old, t *topologies.Topology) error {
	if len(t.Topics) == 0 {
		return nil
	}
	control := n.broker.Controller()
	image := control.Image()
	var fresh []controller.NewTopic
	var grown []controller.MorePartitions
	var altered []controller.Alteration
	var names []string
	for i := range t.Topics {
		wanted := &t.Topics[i]
		names = append(names, wanted.Name)
		is, there := image.Topic(wanted.Name)
		if !there {
			fresh = append(fresh, newTopic(wanted))
			continue
		}
		if count := wanted.Count(wanted.Partitions); count > len(is.Partitions) {
			grown = append(grown, controller.MorePartitions{Name: is.Name, Count: int32(count)})
		}
		if ops := configOps(wanted, is, old); len(ops) > 0 {
			altered = append(altered, controller.Alteration{Resource: controller.Resource{Kind: controller.TopicResource, Name: is.Name}, Ops: ops})
		}
	}
	for _, checking := range []bool{true, false} {
		for _, change := range []func() ([]controller.Result, error){
			func() ([]controller.Result, error) { return control.CreateTopics(ctx, fresh, checking) },
			func() ([]controller.Result, error) { return control.CreatePartitions(ctx, grown, checking) },
			func() ([]controller.Result, error) { return control.AlterConfigs(ctx, altered, checking) },
		} {
			if err := done(change()); err != nil {
				return err
			}
		}
	}
	return n.broker.AwaitTopics(ctx, names...)
}

// done is the first error of results.
func done(results []controller.Result, err error) error {
	for _, r := range results {
		if err == nil && r.Err != nil {
			err = fmt.Errorf("%w: %w", admin.ErrBadConfig, r.Err)
		}
	}
	return err
}

func newTopic(wanted *topologies.Topic) controller.NewTopic {
	topic := controller.NewTopic{Name: wanted.Name, Partitions: -1, Factor: -1, Ordered: wanted.Ordered(), Configs: map[string]*string{}}
	if count := wanted.Count(wanted.Partitions); count > 0 {
		topic.Partitions = int32(count)
	}
	if factor := wanted.Count(wanted.Replicas); factor > 0 {
		topic.Factor = int16(factor)
	}
	for name, v := range wanted.Configs {
		topic.Configs[name] = &v.Text
	}
	return topic
}
