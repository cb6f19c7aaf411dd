package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
)

func newUndeploy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undeploy NAME",
		Short: "Stop what was deployed under a name, and forget it",
		Long: `Undeploy stops the topology called NAME: sources first, then its sinks deliver what they
can, then the channels close. What a durable channel still holds stays on disk.`,
		Example: `  sluice undeploy flume
  sluice undeploy shop --server /var/lib/sluice -o json`,
		Args: cobra.ExactArgs(1),
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		err = c.Undeploy(cmd.Context(), args[0])
		if errors.Is(err, admin.ErrNotFound) {
			return notDeployed(cmd.Context(), c, args[0])
		}
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), map[string]string{"undeployed": args[0]})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is stopped and forgotten\n", args[0])
		return err
	}
	return cmd
}
