package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// kafkaNames are Kafka's own spellings that sluice understands, as commands and
// as names under which its binary is called.
var kafkaNames = []string{
	"kafka-topics", "kafka-console-producer", "kafka-console-consumer", "kafka-consumer-groups", "kafka-configs", "kafka-get-offsets",
}

// calledAs turns the name under which the binary was called into its first
// argument: kafka-topics.sh --list is sluice kafka-topics --list, and flume-ng
// agent … is sluice agent ….
func calledAs(name string, args []string) []string {
	name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".exe"), ".sh")
	if slices.Contains(kafkaNames, name) {
		return append([]string{name}, args...)
	}
	if name != "flume-ng" {
		return args
	}
	if len(args) > 0 && args[0] == "help" || len(args) == 0 {
		return []string{"agent", "--help"}
	}
	return args
}

// kafkaCommand is a command under one of Kafka's names, with the flags all of
// them have.
func kafkaCommand(use, short, example string) (*cobra.Command, *brokerFlags) {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs}
	broker := withBroker(cmd)
	cmd.Flags().StringVar(&broker.file, "command-config", "", "file of Kafka client properties")
	// Kafka spells some flags in two ways.
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "broker-list":
			name = "bootstrap-server"
		case "consumer.config", "producer.config":
			name = "command-config"
		case "whitelist":
			name = "include"
		}
		return pflag.NormalizedName(name)
	})
	return cmd, broker
}

// oneAction checks that exactly one of the flags is given, as Kafka does.
func oneAction(cmd *cobra.Command, names ...string) (string, error) {
	var given []string
	for _, n := range names {
		if cmd.Flags().Changed(n) {
			given = append(given, n)
		}
	}
	if len(given) != 1 {
		return "", &usageError{fmt.Errorf("%s: want exactly one of --%s", cmd.Name(), strings.Join(names, ", --"))}
	}
	return given[0], nil
}

func newInstallLinks() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install-links DIR",
		Short: "Make flume-ng, kafka-topics.sh and the others in DIR, so that scripts go on unchanged",
		Example: `  sluice install-links ~/bin
  sluice install-links /usr/local/bin --force`,
		Args: cobra.ExactArgs(1),
	}
	force := cmd.Flags().Bool("force", false, "replace links that point elsewhere; files are never replaced")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if self, err = filepath.EvalSymlinks(self); err != nil {
			return err
		}
		names := []string{"flume-ng"}
		for _, n := range kafkaNames {
			names = append(names, n, n+".sh")
		}
		for _, n := range names {
			if err := link(self, filepath.Join(args[0], n), *force); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(args[0], n))
		}
		return nil
	}
	return cmd
}

// link makes path point to self.
func link(self, path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&os.ModeSymlink == 0:
		return fmt.Errorf("%s is there and no link; move it away first", path)
	case err == nil:
		if now, _ := os.Readlink(path); now == self {
			return nil
		} else if !force {
			return fmt.Errorf("%s points to %s; replace it with --force", path, now)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	case !os.IsNotExist(err):
		return err
	}
	return os.Symlink(self, path)
}
