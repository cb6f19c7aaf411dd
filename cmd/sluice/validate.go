package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/flume"
)

// validateFlags are the flags of sluice validate.
type validateFlags struct {
	agent                    string
	properties               []string
	compat, strict, commands bool
	asFlume                  string
}

func newValidate() *cobra.Command {
	f := &validateFlags{}
	cmd := &cobra.Command{
		Use:     "validate FILE...",
		Aliases: []string{"lint"},
		Short:   "Say at once all that is wrong with files",
		Long: `Validate reads each file and says everything that is wrong with it, with its place, what
to do, and what Flume would have done. It exits with 78 when a file has an error.

With --as-flume it prints instead what Flume 1.11 would make of the file: the agents and
components that survive, every property as its component sees it, and the errors Flume
records.`,
		Example: `  sluice validate flume.conf
  sluice validate --as-flume flume.conf`,
	}
	form := withOutput(cmd, "table", "json", "github")
	l := cmd.Flags()
	l.StringVarP(&f.agent, "name", "n", "", "only this agent")
	l.BoolVar(&f.strict, "strict", false, "warnings count as errors")
	l.BoolVar(&f.commands, "allow-exec", false, "run the commands of external config filters")
	l.StringVar(&f.asFlume, "as-flume", "", "print what Flume would make of this `FILE`")
	withCompat(cmd, &f.compat)
	withProperties(cmd, &f.properties)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if (f.asFlume == "") == (len(args) == 0) {
			return fmt.Errorf("want files, or --as-flume with one")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		properties, err := parseProperties(f.properties)
		if err != nil {
			return err
		}
		base := admin.Definition{Agent: f.agent, Compat: f.compat, Properties: properties}
		if f.asFlume != "" {
			return asFlume(cmd.OutOrStdout(), *form, base, f)
		}
		return validate(cmd.OutOrStdout(), *form, base, f, args)
	}
	return cmd
}

func asFlume(w io.Writer, form string, base admin.Definition, f *validateFlags) error {
	d, err := admin.ReadDefinition(base, f.asFlume)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	lines := flume.AsFlume(flumeFiles(d), flumeOptions(d, f.commands))
	if form == "json" {
		return writeJSON(w, lines)
	}
	_, err = fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// validated is what there is to say about one file.
type validated struct {
	File   string             `json:"file"`
	Agents []string           `json:"agents"` // that would run
	Faults []topologies.Fault `json:"faults"`
	def    admin.Definition
}

func validate(w io.Writer, form string, base admin.Definition, f *validateFlags, paths []string) error {
	bad := false
	results := []validated{}
	for _, path := range paths {
		d, err := admin.ReadDefinition(base, path)
		if err != nil {
			return &exitError{exitConfig, err}
		}
		v := validated{File: path, Agents: []string{}, Faults: []topologies.Fault{}, def: d}
		t, faults := loader(f.commands)(d)
		v.Faults = append(v.Faults, faults...)
		if t != nil {
			for _, a := range t.Agents {
				if !topologies.Failed(faults, a.Name) {
					v.Agents = append(v.Agents, a.Name)
				}
			}
		}
		errors, warnings, _ := countFaults(faults)
		nothing := len(v.Agents) == 0 && (t == nil || len(t.Topics) == 0)
		bad = bad || errors > 0 || nothing || f.strict && warnings > 0
		results = append(results, v)
	}
	if err := writeValidated(w, form, results); err != nil {
		return err
	}
	if bad {
		return &exitError{exitConfig, nil}
	}
	return nil
}

func writeValidated(w io.Writer, form string, results []validated) error {
	switch form {
	case "json":
		return writeJSON(w, results)
	case "github":
		for _, v := range results {
			for _, f := range v.Faults {
				fmt.Fprintln(w, githubLine(f))
			}
		}
		return nil
	}
	for _, v := range results {
		if len(v.Faults) > 0 {
			if err := topologies.RenderFaults(w, v.Faults, v.def.Source); err != nil {
				return err
			}
			fmt.Fprintln(w)
		}
		errors, warnings, notes := countFaults(v.Faults)
		fmt.Fprintf(w, "%s: %s, %s, %s; would run: %s\n", v.File, plural(errors, "error"), plural(warnings, "warning"),
			plural(notes, "note"), orDash(strings.Join(v.Agents, ", ")))
	}
	return nil
}

func countFaults(faults []topologies.Fault) (errors, warnings, notes int) {
	for _, f := range faults {
		switch f.Severity {
		case topologies.Error:
			errors++
		case topologies.Warning:
			warnings++
		default:
			notes++
		}
	}
	return errors, warnings, notes
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// githubLine is a fault as a GitHub workflow shows it beside the line.
func githubLine(f topologies.Fault) string {
	level := map[topologies.Severity]string{topologies.Error: "error", topologies.Warning: "warning", topologies.Note: "notice"}[f.Severity]
	text := f.Message
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	if f.Flume != "" {
		text += " (Flume would " + f.Flume + ")"
	}
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	return fmt.Sprintf("::%s file=%s,line=%d,col=%d,title=%s::%s", level, property.Replace(f.Pos.File), max(f.Pos.Line, 1),
		max(f.Pos.Column, 1), f.Code, message.Replace(text))
}
