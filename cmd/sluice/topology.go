package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/actors/agent"
	"github.com/sluicehq/sluice/runtime/admin"
)

func newTopology() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "Look at what is deployed",
		Example: `  sluice topology list
  sluice topology describe flume`,
	}
	cmd.AddCommand(newTopologyList(), newTopologyDescribe())
	return cmd
}

func newTopologyList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is deployed",
		Example: `  sluice topology list
  sluice topology list --server /var/lib/sluice -o json`,
		Args: cobra.NoArgs,
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		all, err := c.Topologies(cmd.Context())
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), all)
		}
		var rows [][]string
		for _, d := range all {
			rows = append(rows, []string{d.Name, strings.Join(d.Agents, ","), ago(d.Since), strings.Join(d.Files, ","), orDash(d.ReloadError)})
		}
		return table(cmd.OutOrStdout(), "NAME AGENTS SINCE FILES REFUSED", rows)
	}
	return cmd
}

// description is a topology with the state of its agents.
type description struct {
	admin.Deployed
	AgentStatus []agent.Status `json:"agentStatus"`
	Ledger      agent.Ledger   `json:"ledger"`
}

func newTopologyDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe [NAME]",
		Short: "Show components, rates of fill, and the ledger: where every event went",
		Example: `  sluice topology describe
  sluice topology describe flume --server /var/lib/sluice -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	form, client := withOutput(cmd), withServer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := client()
		if err != nil {
			return err
		}
		st, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		found := describe(st, args)
		if len(args) == 1 && len(found) == 0 {
			return notDeployed(cmd.Context(), c, args[0])
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), found)
		}
		for i, d := range found {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			if err := writeDescription(cmd.OutOrStdout(), d); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func describe(st admin.Status, names []string) []description {
	found := []description{}
	for _, d := range st.Deployed {
		if len(names) > 0 && !slices.Contains(names, d.Name) {
			continue
		}
		out := description{Deployed: d}
		for _, a := range st.Agents {
			if slices.Contains(d.Agents, a.Name) {
				out.AgentStatus = append(out.AgentStatus, a)
				out.Ledger.Add(a.Ledger)
			}
		}
		found = append(found, out)
	}
	return found
}

// notDeployed is the error about a name under which nothing runs.
func notDeployed(ctx context.Context, c *admin.Client, name string) error {
	all, err := c.Topologies(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return fmt.Errorf("topology %q: %w; deployed: %s", name, admin.ErrNotFound, orDash(strings.Join(names, ", ")))
}

func writeDescription(w io.Writer, d description) error {
	fmt.Fprintf(w, "topology %s, for %s, from %s\n", d.Name, ago(d.Since), orDash(strings.Join(d.Files, ", ")))
	if d.ReloadError != "" {
		fmt.Fprintf(w, "a newer form was refused %s ago, the one before runs on:\n  %s\n",
			ago(d.ReloadFailed), strings.ReplaceAll(d.ReloadError, "\n", "\n  "))
	}
	for _, a := range d.AgentStatus {
		fmt.Fprintf(w, "\nagent %s %s\n", a.Name, a.State)
		if err := writeComponents(w, a); err != nil {
			return err
		}
		fmt.Fprintln(w)
		if err := writeLedger(w, a); err != nil {
			return err
		}
	}
	return nil
}

func writeComponents(w io.Writer, a agent.Status) error {
	var rows [][]string
	row := func(category string, p agent.Part, detail string) {
		why := p.Reason
		if why == "" && p.Restarts > 0 {
			why = "last failure: " + p.Failure
		}
		rows = append(rows, []string{category, p.Name, p.Kind, string(p.State), fmt.Sprint(p.Restarts), detail, why})
	}
	for _, s := range a.Sources {
		row("source", s.Part, fmt.Sprintf("received %d -> %s", s.Counts.EventReceived, strings.Join(s.Channels, ",")))
	}
	for _, c := range a.Channels {
		bound := "without bound"
		if c.Capacity > 0 {
			bound = fmt.Sprintf("of %d", c.Capacity)
		}
		row("channel", c.Part, fmt.Sprintf("%d %s, oldest %d ms", c.Size, bound, c.OldestMs))
	}
	for _, k := range a.Sinks {
		row("sink", k.Part, fmt.Sprintf("%s -> delivered %d", k.Channel, k.Counts.EventDrainSuccess))
	}
	return table(w, "PART NAME KIND STATE RESTARTS EVENTS REASON", rows)
}

func writeLedger(w io.Writer, a agent.Status) error {
	var rows [][]string
	row := func(name string, l agent.Ledger) {
		rows = append(rows, []string{name, fmt.Sprint(l.Received), fmt.Sprint(l.Copied), fmt.Sprint(l.Carried), fmt.Sprint(l.Delivered),
			fmt.Sprint(l.Held), fmt.Sprint(l.Dropped), fmt.Sprint(l.DeadLettered), fmt.Sprint(l.Unaccounted)})
	}
	for _, s := range a.Sources {
		row("source/"+s.Name, s.Ledger)
	}
	for _, c := range a.Channels {
		row("channel/"+c.Name, c.Ledger)
	}
	for _, k := range a.Sinks {
		row("sink/"+k.Name, k.Ledger)
	}
	row("agent", a.Ledger)
	return table(w, "LEDGER RECEIVED COPIED CARRIED DELIVERED HELD DROPPED DEAD UNACCOUNTED", rows)
}
