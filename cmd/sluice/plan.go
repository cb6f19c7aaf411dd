package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
)

func newPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan FILE...",
		Short: "Show what deploying a file would start, stop, restart and keep",
		Example: `  sluice plan flume.conf
  sluice plan -n a1 --server http://10.0.0.5:8484 base.conf local.conf`,
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
		outcome, err := c.Plan(cmd.Context(), d)
		if err != nil {
			return err
		}
		return showOutcome(cmd, *form, d, outcome)
	}
	return cmd
}

// showOutcome writes the plan as data and what there is to say as remarks.
func showOutcome(cmd *cobra.Command, form string, d admin.Definition, o admin.Outcome) error {
	if form == "json" {
		return writeJSON(cmd.OutOrStdout(), o)
	}
	if len(o.Faults) > 0 {
		topologies.RenderFaults(cmd.ErrOrStderr(), o.Faults, d.Source)
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	return writePlan(cmd.OutOrStdout(), d.Name, o.Plan)
}

func writePlan(w io.Writer, name string, p topologies.Plan) error {
	marks := map[topologies.Action]string{topologies.Start: "+", topologies.Stop: "-", topologies.Restart: "~", topologies.Adjust: "~", topologies.Keep: "="}
	var rows [][]string
	for _, c := range p.Changes {
		rows = append(rows, []string{marks[c.Action] + " " + string(c.Action), c.Part(), c.Why})
	}
	if err := table(w, "ACTION PART WHY", rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", name, p)
	return err
}
