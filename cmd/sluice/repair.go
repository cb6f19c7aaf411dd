package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/persistence"
)

func newRepair() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair DIR --accept-loss",
		Short: "Go on with a damaged store from what is left of it",
		Long: `Repair says what is in doubt in the store in DIR and, with --accept-loss, makes it one that
opens again. What it replaces is kept beside it. A store that is whole is left alone. The
node must be stopped.`,
		Example: `  sluice repair /var/lib/sluice
  sluice repair /var/lib/sluice --accept-loss`,
		Args: cobra.ExactArgs(1),
	}
	form := withOutput(cmd)
	accept := cmd.Flags().Bool("accept-loss", false, "what is in doubt may be gone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := persistence.Options{Log: newLogger(cmd.ErrOrStderr(), "warn")}
		r, err := persistence.Repair(args[0], *accept, o)
		if err != nil && len(r.Doubts) == 0 {
			return err
		}
		if err := writeReport(cmd.OutOrStdout(), *form, args[0], r); err != nil {
			return err
		}
		switch {
		case err != nil && !*accept:
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing was changed; --accept-loss goes on without what is in doubt")
			return &exitError{exitDisk, nil}
		case err != nil:
			return err
		case len(r.Doubts) == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing to repair")
		default:
			fmt.Fprintf(cmd.ErrOrStderr(), "repaired; what was replaced is in %s\n", orDash(r.Kept))
		}
		return nil
	}
	return cmd
}
