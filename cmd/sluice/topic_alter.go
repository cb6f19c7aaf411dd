package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTopicAlter() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alter NAME...",
		Short: "Change a topic's configs",
		Example: `  sluice topic alter orders --config retention.ms=3600000
  sluice topic alter orders --unset retention.ms --unset cleanup.policy`,
		Args: cobra.MinimumNArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	set := cmd.Flags().StringArrayP("config", "c", nil, "set a config, name=value")
	unset := cmd.Flags().StringArray("unset", nil, "back to the default")
	dry := cmd.Flags().Bool("dry-run", false, "only say whether it would be taken")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changes, err := alterations(*set, *unset)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return &usageError{fmt.Errorf("nothing to change; give --config name=value or --unset name")}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			alter, done := c.AlterTopicConfigs, "altered"
			if *dry {
				alter, done = c.ValidateAlterTopicConfigs, "would be altered"
			}
			answers, err := alter(ctx, changes, args...)
			if err != nil {
				return refusal("alter topics", err, "")
			}
			o := outcomes(cmd, form)
			for _, a := range answers {
				if a.Err != nil {
					o.failed(refusal("alter topic "+a.Name, a.Err, a.ErrMessage))
					continue
				}
				o.did(map[string]any{"topic": a.Name}, "%s %s", a.Name, done)
			}
			return o.end()
		})
	}
	return cmd
}

func alterations(set, unset []string) ([]kadm.AlterConfig, error) {
	values, err := pairs("config", set)
	if err != nil {
		return nil, err
	}
	var changes []kadm.AlterConfig
	for name, value := range values {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	for _, name := range unset {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: strings.TrimSpace(name)})
	}
	return changes, nil
}

func newTopicTrim() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trim NAME --before OFFSET",
		Short: "Delete the oldest records of a topic's partitions",
		Example: `  sluice topic trim orders --before end --yes
  sluice topic trim orders --partition 2 --before 1042 --yes`,
		Args: cobra.ExactArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	partition := cmd.Flags().Int32("partition", -1, "only this partition; -1 is all")
	before := cmd.Flags().String("before", "", "the first offset to keep, or end")
	yes := cmd.Flags().Bool("yes", false, "do it; without it nothing is deleted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := trimOffset(*before)
		if err != nil {
			return err
		}
		if !*yes {
			return &usageError{fmt.Errorf("topic trim removes records for good; say so with --yes")}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			found, err := topics(ctx, c, args[0])
			if err != nil {
				return err
			}
			offsets := kadm.Offsets{}
			for _, p := range found[0].Partitions {
				if *partition < 0 || p.Partition == *partition {
					offsets.AddOffset(args[0], p.Partition, at, -1)
				}
			}
			if len(offsets) == 0 {
				return fmt.Errorf("trim %s: it has no partition %d", args[0], *partition)
			}
			answers, err := c.DeleteRecords(ctx, offsets)
			if err != nil {
				return refusal("trim "+args[0], err, "")
			}
			o := outcomes(cmd, form)
			for _, a := range answers.Sorted() {
				if a.Err != nil {
					o.failed(refusal(fmt.Sprintf("trim %s-%d", a.Topic, a.Partition), a.Err, ""))
					continue
				}
				o.did(map[string]any{"topic": a.Topic, "partition": a.Partition, "start": a.LowWatermark},
					"%s-%d starts at %d", a.Topic, a.Partition, a.LowWatermark)
			}
			return o.end()
		})
	}
	return cmd
}

func trimOffset(s string) (int64, error) {
	if s == "end" {
		return -1, nil
	}
	var at int64
	if n, err := fmt.Sscan(s, &at); n != 1 || err != nil || at < 0 {
		return 0, &usageError{fmt.Errorf("--before %q: want an offset, or end", s)}
	}
	return at, nil
}
