package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/load"
)

func newConvert() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert FILE...",
		Short: "Turn a flume.conf into YAML, with its comments",
		Long: `Convert writes on stdout what the files say, as YAML. Comments stay with their lines, and
references such as ${env:HOME} stay references. Remarks go to stderr. Of several files, later
ones override earlier ones.`,
		Example: `  sluice convert flume.conf > flume.yaml
  sluice convert -Ddir=/data base.conf local.conf`,
		Args: cobra.MinimumNArgs(1),
	}
	var properties []string
	withProperties(cmd, &properties)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sys, err := parseProperties(properties)
		if err != nil {
			return err
		}
		for _, path := range args {
			if load.IsYAML(path) {
				return &usageError{fmt.Errorf("%s is YAML already", path)}
			}
		}
		d, err := admin.ReadDefinition(admin.Definition{Lenient: true, Properties: sys}, args...)
		if err != nil {
			return &exitError{exitConfig, err}
		}
		text, faults, err := load.Convert(flumeFiles(d), load.Options{Options: flumeOptions(d, false)})
		if len(faults) > 0 {
			topologies.RenderFaults(cmd.ErrOrStderr(), faults, d.Source)
		}
		if err != nil {
			return &exitError{exitConfig, err}
		}
		if _, err := cmd.OutOrStdout().Write(text); err != nil {
			return err
		}
		if topologies.Failed(faults, "") {
			return &exitError{exitConfig, nil}
		}
		return nil
	}
	return cmd
}

// readTopology reads files for commands that only look at them.
func readTopology(cmd *cobra.Command, sys map[string]string, paths ...string) (*topologies.Topology, error) {
	d, err := admin.ReadDefinition(admin.Definition{Lenient: true, Properties: sys}, paths...)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	t, faults := loader(false)(d)
	if t == nil || len(t.Agents) == 0 {
		return nil, &admin.ConfigError{Faults: faults, Why: fmt.Sprintf("%s: no agent is left to show", d.Name)}
	}
	if n, _, _ := countFaults(faults); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s; see: sluice validate\n", plural(n, "error"))
	}
	return t, nil
}
