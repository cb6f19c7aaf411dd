package main

import (
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/topologies"
)

func newGraph() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "graph FILE...",
		Short: "Draw what flows where in a file",
		Example: `  sluice graph flume.conf
  sluice graph flume.conf -o svg > flume.svg`,
		Args: cobra.MinimumNArgs(1),
	}
	form := withOutput(cmd, append(topologies.Forms(), "json")...)
	var properties []string
	withProperties(cmd, &properties)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sys, err := parseProperties(properties)
		if err != nil {
			return err
		}
		t, err := readTopology(cmd, sys, args...)
		if err != nil {
			return err
		}
		if *form == "json" {
			return writeJSON(cmd.OutOrStdout(), edgesOf(t))
		}
		return topologies.Draw(cmd.OutOrStdout(), t, *form)
	}
	return cmd
}

// edge is one way of events, for scripts.
type edge struct {
	Agent string `json:"agent"`
	From  string `json:"from"`
	To    string `json:"to"`
}

func edgesOf(t *topologies.Topology) []edge {
	edges := []edge{}
	for _, a := range t.Agents {
		for _, s := range a.Sources {
			for _, c := range s.Channels {
				edges = append(edges, edge{a.Name, "source/" + s.Name, "channel/" + c})
			}
		}
		for _, k := range a.Sinks {
			for _, c := range k.Channels {
				edges = append(edges, edge{a.Name, "channel/" + c, "sink/" + k.Name})
			}
		}
	}
	return edges
}
