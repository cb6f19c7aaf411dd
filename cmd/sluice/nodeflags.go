package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/runtime/config"
	"github.com/sluicehq/sluice/topologies"
)

// nodeFlags are the settings of runtime/config as flags of a command.
type nodeFlags struct {
	cmd      *cobra.Command
	standard map[string]string
	file     string
}

// withNodeFlags gives cmd a flag for each of the settings named. standard are
// the command's own defaults.
func withNodeFlags(cmd *cobra.Command, standard map[string]string, names ...string) *nodeFlags {
	f := &nodeFlags{cmd: cmd, standard: standard}
	for _, name := range names {
		meaning, usual := config.Meaning(name)
		if v, ok := standard[name]; ok {
			usual = v
		}
		meaning += " (" + config.Variable(name) + ")"
		if usual == "true" || usual == "false" {
			cmd.Flags().Bool(name, usual == "true", meaning)
		} else {
			cmd.Flags().String(name, usual, meaning)
		}
	}
	cmd.Flags().StringVar(&f.file, "settings", "", "YAML file of settings, by the names of these flags")
	return f
}

func (f *nodeFlags) given(name string) bool {
	_, inEnv := os.LookupEnv(config.Variable(name))
	return f.cmd.Flags().Changed(name) || inEnv
}

func (f *nodeFlags) read() (config.Node, error) {
	in := config.Input{Standard: f.standard, File: f.file, Environ: os.Environ(), Flags: map[string]string{}}
	f.cmd.Flags().Visit(func(l *pflag.Flag) {
		if meaning, _ := config.Meaning(l.Name); meaning != "" {
			in.Flags[l.Name] = l.Value.String()
		}
	})
	n, _, err := config.Read(in)
	if err != nil {
		return n, &exitError{exitConfig, err}
	}
	return n, nil
}

// runProcess starts a node, deploys the definitions and runs until it is told
// to stop.
func runProcess(ctx context.Context, o processOptions, defs ...admin.Definition) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	p, err := startProcess(o)
	if err != nil {
		return err
	}
	for _, d := range defs {
		_, faults, err := p.deploys.Deploy(ctx, d, admin.FromFiles)
		if err != nil {
			return p.fail(err)
		}
		if d.Agent == "" { // sluice agent has told them before it started
			tellFaults(o.stderr, faults, d)
		}
	}
	if o.keep {
		if err := p.deploys.Restore(ctx); err != nil {
			p.remark("some of what was deployed before does not run: %v", err)
		}
	}
	// Whoever hears that the process is ready may tell it to stop at once.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	p.ready()
	return p.wait(ctx, signals)
}

// tellFaults tells what is wrong with a file that runs nevertheless. What merely
// works in another way is left to sluice validate.
func tellFaults(w io.Writer, faults []topologies.Fault, d admin.Definition) {
	var wrong []topologies.Fault
	for _, f := range faults {
		if f.Severity != topologies.Note {
			wrong = append(wrong, f)
		}
	}
	if len(wrong) > 0 {
		topologies.RenderFaults(w, wrong, d.Source)
	}
	if _, _, notes := countFaults(faults); notes > 0 {
		fmt.Fprintf(w, "%s on what works otherwise than in Flume: sluice validate %s\n", plural(notes, "note"), strings.Join(d.Paths, " "))
	}
}
