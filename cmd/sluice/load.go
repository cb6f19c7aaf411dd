package main

import (
	"os"
	"slices"
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

// runs is the loader of a process that runs what it loads: where commands are
// not allowed, a configuration with one is refused as a whole.
func runs(allowExec bool) admin.Loader {
	return func(d admin.Definition) (*topologies.Topology, []topologies.Fault) {
		t, faults := loader(allowExec)(d)
		faults = slices.DeleteFunc(faults, func(f topologies.Fault) bool { return allowExec && f.Code == runsCommand })
		for i := range faults {
			if faults[i].Code == runsCommand {
				faults[i].Severity = topologies.Error
			}
		}
		return t, faults
	}
}

// runsCommand is the code of the note that a source runs a command.
const runsCommand = "SL0333"

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
