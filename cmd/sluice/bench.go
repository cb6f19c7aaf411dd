package main

import "github.com/spf13/cobra"

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Example: `  sluice bench agent
  sluice bench produce --size 1024 --partitions 12`,
	}
	cmd.AddCommand(newBenchAgent(), newBenchProduce(), newBenchConsume())
	return cmd
}
