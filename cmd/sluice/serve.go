package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [FILE...]",
		Short: "Run a node; deploy the topology files given",
		Long: `Serve runs a node: a broker that Kafka's clients connect to, and the agents that it is
told to run over its API, by sluice deploy, undeploy, plan.
Each FILE is deployed at the start, as a topology of its own, and deployed anew when it
changes. What came over the API comes back after a restart.

Everything listens on this machine only, unless an address says otherwise; an address
that others can reach is refused unless --insecure-public is given.`,
		Example: `  sluice serve --data /var/lib/sluice flume.conf
  sluice serve --node n1 --data ./data --http 127.0.0.1:0 --kafka 127.0.0.1:0 --ready-json`,
	}
	var readyJSON, lenient, compat bool
	var properties []string
	cmd.Flags().BoolVar(&readyJSON, "ready-json", false, "print one JSON line on stdout when everything runs")
	cmd.Flags().BoolVar(&lenient, "lenient", false, "drop faulty components and run the rest, as Flume does")
	withCompat(cmd, &compat)
	withProperties(cmd, &properties)
	flags := withNodeFlags(cmd, map[string]string{"http": "127.0.0.1:8484", "kafka": "127.0.0.1:9092"}, "node", "data", "http",
		"kafka", "kafka-advertise", "broker-id", "rack", "auto-create-topics", "num-partitions", "default-replication-factor", "replication-factor-clamp",
		"group-initial-rebalance-delay", "offsets-topic-num-partitions", "transaction-state-log-num-partitions", "flush", "drain",
		"store-value-threshold", "store-min-free", "allow-exec", "allow-chaos", "insecure-public", "log-level")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := parseProperties(properties)
		if err != nil {
			return err
		}
		cfg, err := flags.read()
		if err != nil {
			return err
		}
		cfg.Kafka.Always = true
		if cfg.Dir == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return fmt.Errorf("no --data, and no home directory: %w", err)
			}
			cfg.Dir = filepath.Join(home, ".sluice", cfg.Name)
		}
		if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
			return err
		}
		var defs []admin.Definition
		for _, path := range args {
			def, err := admin.ReadDefinition(admin.Definition{Lenient: lenient, Compat: compat, Properties: d}, path)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			defs = append(defs, def)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "store: %s\n", cfg.Dir)
		return runProcess(cmd.Context(), processOptions{config: cfg, load: runs(cfg.AllowExec), readyJSON: readyJSON, monitoring: d, keep: true,
			reload: 30 * time.Second, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), log: newLogger(cmd.ErrOrStderr(), cfg.LogLevel)}, defs...)
	}
	return cmd
}
