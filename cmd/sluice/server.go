package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
)

// withServer gives cmd the flag --server and returns a way to the node.
func withServer(cmd *cobra.Command) func() (*admin.Client, error) {
	standard := admin.DefaultServer
	if s := os.Getenv("SLUICE_SERVER"); s != "" {
		standard = s
	}
	server := cmd.Flags().String("server", standard,
		"the node: http://HOST:PORT, or the path of its socket or data directory (SLUICE_SERVER)")
	return func() (*admin.Client, error) {
		c, err := admin.NewClient(*server)
		if err != nil {
			return nil, &usageError{err}
		}
		return c, nil
	}
}

// definitionFlags are the flags of commands that read a definition.
type definitionFlags struct {
	agent, name     string
	lenient, compat bool
	properties      []string
}

func withDefinition(cmd *cobra.Command) *definitionFlags {
	f := &definitionFlags{}
	cmd.Flags().StringVarP(&f.agent, "name", "n", "", "only this agent of those in the file")
	cmd.Flags().StringVar(&f.name, "as", "", "name of the topology; the file's base name unless given")
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "drop faulty components and run the rest, as Flume does")
	withCompat(cmd, &f.compat)
	withProperties(cmd, &f.properties)
	return f
}

func (f *definitionFlags) read(paths ...string) (admin.Definition, error) {
	properties, err := parseProperties(f.properties)
	if err != nil {
		return admin.Definition{}, err
	}
	d, err := admin.ReadDefinition(admin.Definition{Name: f.name, Agent: f.agent, Lenient: f.lenient,
		Compat: f.compat, Properties: properties}, paths...)
	if err != nil {
		return d, &exitError{exitConfig, err}
	}
	return d, nil
}

// withCompat gives cmd the flag --compat, whose only value is flume.
func withCompat(cmd *cobra.Command, to *bool) {
	compat := cmd.Flags().String("compat", "", "flume: keep Flume's defects too")
	checkFirst(cmd, func() error {
		if *compat != "" && *compat != "flume" {
			return &usageError{fmt.Errorf("--compat %s: the only value is flume", *compat)}
		}
		*to = *compat == "flume"
		return nil
	})
}
