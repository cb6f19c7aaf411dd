package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newScale() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Change how many actors do a job",
		Example: `  sluice scale topic orders --partitions 12
  sluice scale topic orders --partitions 12 --dry-run`,
	}
	cmd.AddCommand(newScaleTopic())
	return cmd
}

func newScaleTopic() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic NAME --partitions N",
		Short: "Add partitions to a topic while it runs",
		Long: `Adds partitions to a topic while it runs: the number is committed, and the node
starts an actor for each new partition. Records that are there stay where they
are; a key may go to another partition from then on.`,
		Example: `  sluice scale topic orders --partitions 12
  sluice scale topic orders --partitions 12 --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	broker, form := withBroker(cmd), withOutput(cmd)
	partitions := cmd.Flags().Int("partitions", 0, "how many there are to be")
	dry := cmd.Flags().Bool("dry-run", false, "only say whether it would be taken")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *partitions <= 0 {
			return &usageError{fmt.Errorf("--partitions: want how many there are to be")}
		}
		return broker.asked(cmd, func(ctx context.Context, c *kadm.Client) error {
			before, err := topics(ctx, c, args[0])
			if err != nil {
				return err
			}
			update, done := c.UpdatePartitions, "has"
			if *dry {
				update, done = c.ValidateUpdatePartitions, "would have"
			}
			answers, err := update(ctx, *partitions, args[0])
			if err != nil {
				return refusal("scale topic "+args[0], err, "")
			}
			if a, err := answers.On(args[0], nil); err != nil {
				return refusal("scale topic "+args[0], err, a.ErrMessage)
			}
			o := outcomes(cmd, form)
			o.did(map[string]any{"topic": args[0], "partitions": *partitions, "before": len(before[0].Partitions)},
				"%s %s %s (before: %d)", args[0], done, plural(*partitions, "partition"), len(before[0].Partitions))
			return o.end()
		})
	}
	return cmd
}
