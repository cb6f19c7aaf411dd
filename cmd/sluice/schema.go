package main

import (
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/topologies/load"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of topologies in YAML, for editors",
		Long: `Schema prints the JSON Schema of topologies in YAML: every kind with its properties, their
types, defaults and meanings. An editor with YAML support reads it from the first line of a file:

  # yaml-language-server: $schema=sluice.schema.json`,
		Example: `  sluice schema > sluice.schema.json
  sluice schema`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(load.Schema())
			return err
		},
	}
}
