package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/runtime/admin"
	"github.com/sluicehq/sluice/topologies"
	"github.com/sluicehq/sluice/topologies/kinds"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain FILE|CODE|KIND",
		Short: "Say what sluice does with every line of a file, what a code means, or what a kind can be told",
		Example: `  sluice explain flume.conf
  sluice explain SL0104`,
		Args: cobra.ExactArgs(1),
	}
	form := withOutput(cmd)
	var properties []string
	withProperties(cmd, &properties)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if looksLikeCode.MatchString(args[0]) {
			return explainCode(cmd.OutOrStdout(), *form, args[0])
		}
		if _, err := os.Stat(args[0]); os.IsNotExist(err) {
			if ks := kindsNamed(args[0]); len(ks) > 0 {
				return explainKinds(cmd.OutOrStdout(), *form, ks)
			}
		}
		sys, err := parseProperties(properties)
		if err != nil {
			return err
		}
		d, err := admin.ReadDefinition(admin.Definition{Lenient: true, Properties: sys}, args[0])
		if err != nil {
			return &exitError{exitConfig, err}
		}
		return explainFile(cmd.OutOrStdout(), *form, d)
	}
	return cmd
}

var looksLikeCode = regexp.MustCompile(`^(?i:SL)\d+$`)

func explainCode(w io.Writer, form, code string) error {
	text, ok := topologies.Explain(code)
	if !ok {
		return fmt.Errorf("no code %s; there are: %s", code, strings.Join(topologies.Codes(), " "))
	}
	if form == "json" {
		return writeJSON(w, map[string]string{"code": strings.ToUpper(code), "text": text})
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", strings.ToUpper(code), text)
	return err
}

// The verdicts on a property.
const (
	asIs     = "works as is"
	withNote = "works with a note"
	ignored  = "ignored"
	missing  = "not supported"
	unknown  = "unknown"
)

// explained is what becomes of one property.
type explained struct {
	Pos     topologies.Pos `json:"pos"`
	Part    string         `json:"part"` // "a1.sources.r1"
	Name    string         `json:"name"`
	Verdict string         `json:"verdict"`
	Note    string         `json:"note,omitempty"`
}

// explanation is what becomes of a file.
type explanation struct {
	File       string             `json:"file"`
	Counts     map[string]int     `json:"counts"`
	Properties []explained        `json:"properties"`
	Faults     []topologies.Fault `json:"faults"`
}

func explainFile(w io.Writer, form string, d admin.Definition) error {
	t, faults := loader(false)(d)
	e := explanation{File: d.Files[0].Name, Counts: map[string]int{}, Properties: []explained{}, Faults: faults}
	if t != nil {
		for i := range t.Agents {
			e.Properties = append(e.Properties, explainAgent(&t.Agents[i])...)
		}
	}
	slices.SortStableFunc(e.Properties, func(a, b explained) int { return a.Pos.Line - b.Pos.Line })
	for _, p := range e.Properties {
		e.Counts[p.Verdict]++
	}
	if form == "json" {
		return writeJSON(w, e)
	}
	if t != nil && len(t.Agents) > 0 {
		if err := topologies.Draw(w, t, "ascii"); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	var rows [][]string
	for _, p := range e.Properties {
		if p.Verdict != asIs {
			rows = append(rows, []string{p.Pos.String(), p.Part + "." + p.Name, p.Verdict, p.Note})
		}
	}
	if len(rows) > 0 {
		if err := table(w, "PLACE PROPERTY VERDICT NOTE", rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(faults) > 0 {
		if err := topologies.RenderFaults(w, faults, d.Source); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	var counts []string
	for _, v := range []string{asIs, withNote, ignored, missing, unknown} {
		if n := e.Counts[v]; n > 0 || v == asIs {
			counts = append(counts, fmt.Sprintf("%s %d", v, n))
		}
	}
	fmt.Fprintf(w, "%s: properties: %s\n", e.File, strings.Join(counts, " / "))
	if t != nil && len(t.Agents) > 0 {
		fmt.Fprintf(w, "run it: sluice agent -n %s -f %s\n", t.Agents[0].Name, e.File)
	}
	return nil
}

func explainAgent(a *topologies.Agent) []explained {
	var out []explained
	for _, g := range []struct {
		word       string
		components []topologies.Component
	}{{"sources", a.Sources}, {"channels", a.Channels}, {"sinks", a.Sinks}} {
		for _, c := range g.components {
			out = append(out, explainComponent(a.Name+"."+g.word+"."+c.Name, c)...)
		}
	}
	return out
}

func explainComponent(at string, c topologies.Component) []explained {
	values := map[string]topologies.Value{}
	for _, name := range c.Settings.Keys("") {
		values[name], _ = c.Settings.Value(name)
	}
	out := explainValues(at, c.Kind, values)
	if c.Kind.Support != kinds.Works {
		out = append(out, explained{c.Pos, at, "type", verdictOf(c.Kind.Support), c.Kind.Note})
	}
	return out
}

// explainValues judges the properties of a component or of a part of one by
// the table of its kind, and those of parts by theirs.
func explainValues(at string, k *kinds.Kind, values map[string]topologies.Value) []explained {
	var out []explained
	parts := topologies.Parts(k, values)
	for name, v := range values {
		if owner := slices.IndexFunc(parts, func(p topologies.Part) bool { return name != p.Name && strings.HasPrefix(name, p.Prefix) }); owner >= 0 {
			continue
		}
		e := explained{Pos: v.Key, Part: at, Name: name, Verdict: unknown}
		if p, ok := k.Property(name); ok {
			e.Verdict, e.Note = verdictOf(p.Support), p.Note
		} else if name == "type" || name == "channel" || name == "channels" {
			e.Verdict = asIs
		}
		if chosen := slices.IndexFunc(parts, func(p topologies.Part) bool { return p.Name == name }); chosen >= 0 {
			e.Verdict, e.Note = missing, "no such kind"
			if part := parts[chosen].Kind; part != nil {
				e.Verdict, e.Note = verdictOf(part.Support), part.Note
			}
		}
		out = append(out, e)
	}
	for _, p := range parts {
		if p.Kind != nil {
			own := maps.Clone(p.Values)
			delete(own, strings.TrimPrefix(p.Name, p.Prefix))
			out = append(out, explainValues(at+"."+strings.TrimSuffix(p.Prefix, "."), p.Kind, own)...)
		}
	}
	return out
}

func verdictOf(s kinds.Support) string {
	switch s {
	case kinds.Noted:
		return withNote
	case kinds.Ignored:
		return ignored
	case kinds.Missing:
		return missing
	}
	return asIs
}
