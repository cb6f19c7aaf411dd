package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTopic() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Create, look at, change, fill and read topics",
		Example: `  sluice topic create orders --partitions 6 --config retention.ms=86400000
  sluice topic list`,
	}
	cmd.AddCommand(newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicAlter(), newTopicDelete(),
		newTopicTrim(), newTopicProduce(), newTopicConsume())
	return cmd
}

func newTopicCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME...",
		Short: "Create topics",
		Example: `  sluice topic create orders --partitions 6 --replicas 1
  sluice topic create clicks --config cleanup.policy=compact --config max.message.bytes=2097152`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	partitions := cmd.Flags().Int32P("partitions", "p", -1, "partitions; -1 is the broker's num.partitions")
	replicas := cmd.Flags().Int16P("replicas", "r", -1, "replicas of each; -1 is the broker's default")
	config := cmd.Flags().StringArrayP("config", "c", nil, "a topic config by Kafka's name, name=value")
	dry := cmd.Flags().Bool("dry-run", false, "only say what would happen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		configs, err := pairs("config", *config)
		if err != nil {
			return err
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			create, done := c.CreateTopics, "created"
			if *dry {
				create, done = c.ValidateCreateTopics, "would be created"
			}
			answers, err := create(ctx, *partitions, *replicas, configs, args...)
			if err != nil {
				return refusal("create topics", err, "")
			}
			o := outcomes(cmd, form)
			for _, a := range answers.Sorted() {
				if a.Err != nil {
					o.failed(refusal("create topic "+a.Topic, a.Err, a.ErrMessage))
					continue
				}
				o.did(map[string]any{"topic": a.Topic, "id": a.ID.String(), "partitions": a.NumPartitions, "replicas": a.ReplicationFactor},
					"%s %s: %s, %s", a.Topic, done, plural(int(a.NumPartitions), "partition"), plural(int(a.ReplicationFactor), "replica"))
			}
			return o.end()
		})
	}
	return cmd
}

func newTopicDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete topics and all their records",
		Example: `  sluice topic delete orders --yes
  sluice topic delete a b c --yes --bootstrap-server 127.0.0.1:9092`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	yes := cmd.Flags().Bool("yes", false, "do it; without it nothing is deleted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return &usageError{fmt.Errorf("topic delete removes the records of %s for good; say so with --yes", strings.Join(args, ", "))}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			answers, err := c.DeleteTopics(ctx, args...)
			if err != nil {
				return refusal("delete topics", err, "")
			}
			o := outcomes(cmd, form)
			for _, a := range answers.Sorted() {
				if a.Err != nil {
					o.failed(refusal("delete topic "+a.Topic, a.Err, a.ErrMessage))
					continue
				}
				o.did(map[string]any{"topic": a.Topic}, "%s deleted", a.Topic)
			}
			return o.end()
		})
	}
	return cmd
}

// topicRow is a topic as list and describe show it.
type topicRow struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal"`
	Replicas   int               `json:"replicas"`
	Configs    map[string]string `json:"configs,omitempty"` // those that differ from the default
	Partitions []partitionRow    `json:"partitions"`
}

type partitionRow struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leaderEpoch"`
	Replicas  []int32 `json:"replicas"`
	InSync    []int32 `json:"inSync"`
	Start     int64   `json:"start"` // the first offset kept
	End       int64   `json:"end"`   // one past the last record; -1 is unknown
	Error     string  `json:"error,omitempty"`
}

func (t topicRow) records() (n int64) {
	for _, p := range t.Partitions {
		n += max(p.End-p.Start, 0)
	}
	return n
}

// topics are the topics named, or all.
func topics(ctx context.Context, c *kadm.Client, names ...string) ([]topicRow, error) {
	details, err := c.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, refusal("list topics", err, "")
	}
	var errs []error
	known := details.Names()
	slices.Sort(known)
	for _, name := range known {
		if d := details[name]; d.Err != nil {
			errs = append(errs, refusal("topic "+name, d.Err, ""))
		}
	}
	if len(errs) > 0 {
		return nil, together(errs)
	}
	var starts, ends kadm.ListedOffsets
	if len(known) > 0 {
		if starts, err = c.ListStartOffsets(ctx, known...); err == nil {
			ends, err = c.ListEndOffsets(ctx, known...)
		}
		if err != nil {
			return nil, refusal("list offsets", err, "")
		}
	}
	rows := []topicRow{}
	for _, name := range known {
		d := details[name]
		t := topicRow{Name: name, ID: d.ID.String(), Internal: d.IsInternal, Replicas: d.Partitions.NumReplicas()}
		for _, p := range d.Partitions.Sorted() {
			row := partitionRow{Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, InSync: p.ISR, Start: -1, End: -1}
			if o, ok := starts.Lookup(name, p.Partition); ok && o.Err == nil {
				row.Start = o.Offset
			}
			if o, ok := ends.Lookup(name, p.Partition); ok && o.Err == nil {
				row.End = o.Offset
			}
			if p.Err != nil {
				row.Error = p.Err.Error()
			}
			t.Partitions = append(t.Partitions, row)
		}
		rows = append(rows, t)
	}
	return rows, nil
}

func newTopicList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Example: `  sluice topic list
  sluice topic list --internal -o json`,
		Args: cobra.NoArgs,
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	internal := cmd.Flags().Bool("internal", false, "internal topics too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			all, err := topics(ctx, c)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(t topicRow) bool { return t.Internal && !*internal })
			if *form == "json" {
				return writeJSON(cmd.OutOrStdout(), all)
			}
			var rows [][]string
			for _, t := range all {
				rows = append(rows, []string{t.Name, fmt.Sprint(len(t.Partitions)), fmt.Sprint(t.Replicas), fmt.Sprint(t.records())})
			}
			return table(cmd.OutOrStdout(), "NAME PARTITIONS REPLICAS OFFSETS", rows)
		})
	}
	return cmd
}

func newTopicDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show a topic's partitions, offsets and configs",
		Example: `  sluice topic describe orders
  sluice topic describe orders --all-configs -o json`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	everything := cmd.Flags().Bool("all-configs", false, "defaults too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			found, err := topics(ctx, c, args...)
			if err != nil {
				return err
			}
			if err := addConfigs(ctx, c, found, *everything); err != nil {
				return err
			}
			if *form == "json" {
				return writeJSON(cmd.OutOrStdout(), found)
			}
			for i, t := range found {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := writeTopic(cmd.OutOrStdout(), t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// addConfigs adds the configs that were set, or all.
func addConfigs(ctx context.Context, c *kadm.Client, to []topicRow, all bool) error {
	var names []string
	for _, t := range to {
		names = append(names, t.Name)
	}
	configs, err := c.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return refusal("describe configs", err, "")
	}
	for i := range to {
		r, err := configs.On(to[i].Name, nil)
		if err != nil {
			return refusal("describe configs of "+to[i].Name, err, r.ErrMessage)
		}
		to[i].Configs = map[string]string{}
		for _, one := range r.Configs {
			if all || one.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				to[i].Configs[one.Key] = one.MaybeValue()
			}
		}
	}
	return nil
}

func writeTopic(w io.Writer, t topicRow) error {
	fmt.Fprintf(w, "topic %s, id %s, %d partitions, %d replicas\n", t.Name, t.ID, len(t.Partitions), t.Replicas)
	for _, k := range sortedKeys(t.Configs) {
		fmt.Fprintf(w, "  %s=%s\n", k, t.Configs[k])
	}
	var rows [][]string
	for _, p := range t.Partitions {
		rows = append(rows, []string{fmt.Sprint(p.Partition), fmt.Sprint(p.Leader), fmt.Sprint(p.Epoch), numbers(p.Replicas), numbers(p.InSync),
			fmt.Sprint(p.Start), fmt.Sprint(p.End), orDash(p.Error)})
	}
	return table(w, "PARTITION LEADER EPOCH REPLICAS IN-SYNC START END ERROR", rows)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func numbers(ns []int32) string {
	words := make([]string, len(ns))
	for i, n := range ns {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}
