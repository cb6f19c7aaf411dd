package main

import (
	"os"
	"strings"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
	"github.com/sluicehq/sluice/topologies/load"
)

// loader reads definitions of either form into topologies of the agents that
// are wanted. Without allowExec no command of a configuration is run while it is
// read.
func loader(allowExec bool) admin.Loader {
	return func(d admin.Definition) (*topologies.Topology, []topologies.Fault) {
		t, faults, err := load.Read(flumeFiles(d), load.Options{Options: flumeOptions(d, allowExec)})
		if err != nil {
			return nil, []topologies.Fault{{Code: "SL0100", Message: err.Error()}}
		}
		t.Name = d.Name
		if d.Agent == "" {
			return t, faults
		}
		return only(d.Agent, t, faults)
	}
}

// only is the agent called name of t, with the faults that concern it.
func only(name string, t *topologies.Topology, faults []topologies.Fault) (*topologies.Topology, []topologies.Fault) {
	var concern []topologies.Fault
	for _, f := range faults {
		if f.Agent == "" || f.Agent == name {
			concern = append(concern, f)
		}
	}
	a, ok := t.Agent(name)
	if !ok {
		return nil, concern
	}
	t.Agents = []topologies.Agent{*a}
	return t, concern
}

func flumeFiles(d admin.Definition) []flume.File {
	var files []flume.File
	for _, f := range d.Files {
		files = append(files, flume.File{Name: f.Name, Data: []byte(f.Text)})
	}
	return files
}

func flumeOptions(d admin.Definition, allowExec bool) flume.Options {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	o := flume.Options{Agent: d.Agent, Env: env, Sys: d.Properties, Lenient: d.Lenient, Compat: d.Compat}
	if allowExec {
		o.Command = flume.Command
	}
	return o
}
