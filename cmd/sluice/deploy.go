package main

import "github.com/spf13/cobra"

func newDeploy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy FILE...",
		Short: "Make a node run what a file says, touching only what differs",
		Long: `Deploy makes a running node run what the files say. Only components that differ are
started, stopped or restarted. All of it happens or nothing: with an error, what ran
before runs on.`,
		Example: `  sluice deploy flume.conf
  sluice deploy --as shop -n a1 --server /var/lib/sluice flume.conf`,
		Args: cobra.MinimumNArgs(1),
	}
	form, client, def := withOutput(cmd), withServer(cmd), withDefinition(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		d, err := def.read(args...)
		if err != nil {
			return err
		}
		outcome, err := c.Deploy(cmd.Context(), d)
		if err != nil {
			return err
		}
		return showOutcome(cmd, *form, d, outcome)
	}
	return cmd
}
