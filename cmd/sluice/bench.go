package main

import "github.com/spf13/cobra"

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Example: `  sluice bench agent
  sluice bench agent --workload b --runs 5`,
	}
	cmd.AddCommand(newBenchAgent())
	return cmd
}
