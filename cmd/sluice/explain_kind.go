package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluicehq/sluice/topologies/kinds"
)

// kindsNamed are the kinds of all categories that name means.
func kindsNamed(name string) []*kinds.Kind {
	var found []*kinds.Kind
	for _, c := range kinds.Categories() {
		if k, ok := kinds.Lookup(c, name); ok {
			found = append(found, k)
		}
	}
	return found
}

// kindExplained is what explain tells of a kind.
type kindExplained struct {
	Category   kinds.Category      `json:"category"`
	Name       string              `json:"name"`
	Class      string              `json:"class,omitempty"`
	Verdict    string              `json:"verdict"`
	Meaning    string              `json:"meaning"`
	Note       string              `json:"note,omitempty"`
	Properties []propertyExplained `json:"properties"`
}

type propertyExplained struct {
	Name     string     `json:"name"`
	Type     kinds.Type `json:"type"`
	Unit     string     `json:"unit,omitempty"`
	Values   []string   `json:"values,omitempty"`
	Default  string     `json:"default,omitempty"`
	Required bool       `json:"required"`
	Verdict  string     `json:"verdict"`
	Meaning  string     `json:"meaning"`
	Note     string     `json:"note,omitempty"`
}

func explainKind(k *kinds.Kind) kindExplained {
	e := kindExplained{k.Category, k.Name, k.Class, verdictOf(k.Support), k.Meaning, k.Note, []propertyExplained{}}
	for _, p := range k.Properties {
		e.Properties = append(e.Properties, propertyExplained{p.Name, p.Type, p.Unit, p.Values, p.Default, p.Required,
			verdictOf(p.Support), p.Meaning, p.Note})
	}
	return e
}

// explainKinds lists the properties of each kind in ks.
func explainKinds(w io.Writer, form string, ks []*kinds.Kind) error {
	explained := make([]kindExplained, len(ks))
	for i, k := range ks {
		explained[i] = explainKind(k)
	}
	if form == "json" {
		return writeJSON(w, explained)
	}
	for i, k := range explained {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %s (%s): %s\n", k.Category, k.Name, k.Verdict, k.Meaning)
		if k.Note != "" {
			fmt.Fprintln(w, k.Note)
		}
		if len(k.Properties) == 0 {
			continue
		}
		var rows [][]string
		for _, p := range k.Properties {
			rows = append(rows, p.row())
		}
		if err := table(w, "PROPERTY TYPE DEFAULT VERDICT MEANING", rows); err != nil {
			return err
		}
	}
	return nil
}

func (p *propertyExplained) row() []string {
	typ, initial := string(p.Type), p.Default
	if len(p.Values) > 0 {
		typ = strings.Join(p.Values, "|")
	}
	if p.Unit != "" {
		typ += " " + p.Unit
	}
	if p.Required {
		initial = "(required)"
	}
	return []string{p.Name, typ, initial, p.Verdict, strings.TrimSpace(p.Meaning + " " + p.Note)}
}
