package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newKafkaTopics() *cobra.Command {
	cmd, broker := kafkaCommand("kafka-topics", "Topics, as kafka-topics.sh has them", `  sluice kafka-topics --bootstrap-server localhost:9092 --create --topic orders --partitions 3
  sluice kafka-topics --bootstrap-server localhost:9092 --describe`)
	f := cmd.Flags()
	f.Bool("create", false, "create a topic")
	f.Bool("list", false, "list topics")
	f.Bool("describe", false, "describe topics")
	f.Bool("alter", false, "add partitions")
	f.Bool("delete", false, "delete a topic")
	topic := f.String("topic", "", "the topic; a regular expression except with --create")
	id := f.String("topic-id", "", "the topic's id, with --describe")
	partitions := f.Int32("partitions", -1, "how many partitions")
	replicas := f.Int16("replication-factor", -1, "how many replicas")
	config := f.StringArray("config", nil, "name=value")
	notExists := f.Bool("if-not-exists", false, "with --create: fine when it is there")
	exists := f.Bool("if-exists", false, "with --alter, --delete, --describe: fine when it is not there")
	noInternal := f.Bool("exclude-internal", false, "leave internal topics out")
	f.Bool("topics-with-overrides", false, "with --describe: only topics with configs of their own")
	f.Bool("under-replicated-partitions", false, "with --describe: only partitions with replicas out of sync")
	f.Bool("unavailable-partitions", false, "with --describe: only partitions without a leader")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		action, err := oneAction(cmd, "create", "list", "describe", "alter", "delete")
		if err != nil {
			return err
		}
		if *topic == "" && (action == "create" || action == "alter" || action == "delete") {
			return &usageError{fmt.Errorf("kafka-topics --%s: want --topic", action)}
		}
		out := cmd.OutOrStdout()
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			if action == "create" {
				return kafkaCreate(ctx, c, out, *topic, *partitions, *replicas, *config, *notExists)
			}
			found, err := matching(ctx, c, *topic, *id, *noInternal)
			if err != nil {
				return err
			}
			if len(found) == 0 && (*topic != "" || *id != "") && action != "list" {
				if *exists {
					return nil
				}
				return fmt.Errorf("topic '%s' does not exist as expected", *topic+*id)
			}
			switch action {
			case "list":
				for _, t := range found {
					fmt.Fprintln(out, t.Name)
				}
				return nil
			case "describe":
				return kafkaDescribe(ctx, cmd, c, found)
			}
			for _, t := range found {
				if action == "delete" {
					_, err = c.DeleteTopic(ctx, t.Name)
				} else if *partitions < 1 {
					return &usageError{errors.New("kafka-topics --alter: want --partitions")}
				} else {
					var answers kadm.CreatePartitionsResponses
					answers, err = c.UpdatePartitions(ctx, int(*partitions), t.Name)
					if err == nil {
						var a kadm.CreatePartitionsResponse
						if a, err = answers.On(t.Name, nil); err != nil {
							return refusal("alter topic "+t.Name, err, a.ErrMessage)
						}
					}
				}
				if err != nil {
					return refusal(action+" topic "+t.Name, err, "")
				}
			}
			return nil
		})
	}
	return cmd
}

func kafkaCreate(ctx context.Context, c *kadm.Client, w io.Writer, topic string, partitions int32, replicas int16, config []string, fine bool) error {
	configs, err := pairs("config", config)
	if err != nil {
		return err
	}
	answers, err := c.CreateTopics(ctx, partitions, replicas, configs, topic)
	if err != nil {
		return refusal("create topic "+topic, err, "")
	}
	a, err := answers.On(topic, nil)
	if errors.Is(err, kerr.TopicAlreadyExists) && fine {
		return nil
	}
	if err != nil {
		return refusal("create topic "+topic, err, a.ErrMessage)
	}
	fmt.Fprintf(w, "Created topic %s.\n", topic)
	return nil
}

// matching are the topics whose whole name matches the expression.
func matching(ctx context.Context, c *kadm.Client, expression, id string, noInternal bool) ([]topicRow, error) {
	all, err := topics(ctx, c)
	if err != nil {
		return nil, err
	}
	name, err := regexp.Compile("^(?:" + strings.ReplaceAll(expression, ",", "|") + ")$")
	if err != nil {
		return nil, &usageError{fmt.Errorf("--topic %s: %w", expression, err)}
	}
	return slices.DeleteFunc(all, func(t topicRow) bool {
		return noInternal && t.Internal || expression != "" && !name.MatchString(t.Name) || id != "" && t.ID != id
	}), nil
}

// kafkaDescribe prints the lines that kafka-topics.sh prints.
func kafkaDescribe(ctx context.Context, cmd *cobra.Command, c *kadm.Client, found []topicRow) error {
	if len(found) == 0 {
		return nil
	}
	if err := addConfigs(ctx, c, found, false); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	under, gone := given("under-replicated-partitions"), given("unavailable-partitions")
	w := cmd.OutOrStdout()
	for _, t := range found {
		if given("topics-with-overrides") && len(t.Configs) == 0 {
			continue
		}
		var configs []string
		for _, k := range sortedKeys(t.Configs) {
			configs = append(configs, k+"="+t.Configs[k])
		}
		if !under && !gone {
			fmt.Fprintf(w, "Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
				t.Name, t.ID, len(t.Partitions), t.Replicas, strings.Join(configs, ","))
		}
		if given("topics-with-overrides") {
			continue
		}
		for _, p := range t.Partitions {
			if under && len(p.InSync) >= len(p.Replicas) || gone && p.Leader >= 0 {
				continue
			}
			fmt.Fprintf(w, "\tTopic: %s\tPartition: %d\tLeader: %d\tReplicas: %s\tIsr: %s\tElr: \tLastKnownElr: \n",
				t.Name, p.Partition, p.Leader, numbers(p.Replicas), numbers(p.InSync))
		}
	}
	return nil
}
